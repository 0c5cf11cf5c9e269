"""Placing a call where the HTTP status tells what the answer means, as it does for most vendors but Twilio and kin."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from chalicelib.domain.outcome import Outcome
from chalicelib.providers.base import DialResult, Now, Placed, PlacementUnknown, PutOff, Refused, Unanswered
from chalicelib.providers.forms import MAX_TEXT, instant
from chalicelib.providers.http import Answer, AnswerLost, NotSent

#: The redirects that ask for the same request elsewhere, so nothing was done here (RFC 9110, 15.4.8, 15.4.9):
#: the API's address is set wrong. After any other redirect the call may have been placed; 303 says just that.
NOT_DONE_HERE = (307, 308)

#: The longest wait that a provider can ask for
MAX_RETRY_AFTER_SEC = 3600

#: Request Timeout: the server gave up on us, and nobody knows how far it had come (RFC 9110, 15.5.9)
AMBIGUOUS = (408,)

_DIGITS = re.compile(r"[0-9]{1,64}")


@dataclass(frozen=True, slots=True)
class Meanings:
    """What a vendor's refusals of a new call mean. What is in none of these is an error of the request.

    ``said`` maps the words of an error to an outcome, at the statuses ``said_at``. It goes before ``account``, the
    statuses for which the account is to blame. After those of ``pace`` the same call may be asked for later.
    """

    said: Sequence[tuple[re.Pattern[str], Outcome]]
    account: Collection[int]
    pace: Collection[int] = (429,)
    said_at: Collection[int] = range(400, 500)


#: Our credentials are wrong, or we ask too often: nothing is said of the call.
CANNOT_BE_ASKED = (401, 403, 408, 429)


def place(send: Callable[[], Answer], read: Callable[[Answer], DialResult]) -> DialResult:
    """Send the one request that asks for a call, and read its answer, if there is one."""
    try:
        answer = send()
    except NotSent as error:
        return PutOff(cause="network", fault=False, evidence={"error": str(error)[:MAX_TEXT]})
    except AnswerLost as error:
        return PlacementUnknown(cause="answer-lost", evidence={"error": str(error)[:MAX_TEXT]})
    return read(answer)


def ask(send: Callable[[], Answer]) -> Answer:
    """Send a request that places no call. Raises Unanswered."""
    try:
        answer = send()
    except (NotSent, AnswerLost) as error:
        raise Unanswered(f"no answer came: {error}") from error
    if answer.status >= 500 or answer.status in CANNOT_BE_ASKED:
        raise Unanswered(f"the answer was {answer.status}")
    return answer


def outcome_of_answer(
    answer: Answer, *, call_id: str | None, said: str, meanings: Meanings, evidence: Mapping[str, str], now: Now
) -> DialResult:
    """What an answer to a new call means. ``call_id`` is the id that it names, ``said`` its error in words."""
    cause = f"http:{answer.status}"
    known = {"http_status": str(answer.status), **evidence}
    if 200 <= answer.status <= 299:
        return Placed(call_id, known) if call_id else PlacementUnknown(cause, known)
    if answer.status in NOT_DONE_HERE:
        return PutOff(cause, fault=True, evidence=known)
    if answer.status in AMBIGUOUS or not 400 <= answer.status <= 499:
        return PlacementUnknown(cause, known)
    if answer.status in meanings.pace:
        wait_sec = retry_after_sec(answer, now)
        return PutOff(cause, fault=False, retry_after_sec=wait_sec, evidence=known)
    for words, outcome in meanings.said:
        if answer.status in meanings.said_at and words.search(said):
            return Refused(outcome, cause, known)
    if answer.status in meanings.account:
        return PutOff(cause, fault=True, evidence=known)
    return Refused(Outcome.ERROR, cause, known)


def retry_after_sec(answer: Answer, now: Now, header: str = "retry-after") -> int | None:
    """Return Retry-After, given in seconds or as a date (RFC 9110, 10.2.3), within 0 to MAX_RETRY_AFTER_SEC.

    None where the header says neither. A provider that asks for a day's wait must not end a call.
    """
    text = answer.headers.get(header, "").strip()
    if _DIGITS.fullmatch(text):
        return min(int(text), MAX_RETRY_AFTER_SEC)
    at = instant(text)
    if at is None:
        return None
    return min(max(0, ceil((at - now()).total_seconds())), MAX_RETRY_AFTER_SEC)
