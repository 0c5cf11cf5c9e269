"""The create-call request, for vendors whose HTTP status says what happened.

Twilio's family is different: its error codes count more (cxml_calls.py).
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from chalicelib.domain.outcome import Outcome
from chalicelib.providers.base import DeferredByProvider, DialResult, Now, Placed, PlacementUnknown, Refused, Unanswered
from chalicelib.providers.forms import MAX_TEXT, instant
from chalicelib.providers.http import Answer, AnswerLost, NotSent

#: The redirects that ask for the same request elsewhere, so this server did nothing (RFC 9110, 15.4.8, 15.4.9): the
#: API's URL is set wrong. After any other redirect the call may have been placed; a 303 says exactly that.
NOT_DONE_HERE = (307, 308)

#: The longest wait in seconds that a provider can ask for
MAX_RETRY_AFTER_SEC = 3600

#: Request Timeout: the server stopped waiting, and nobody knows how much it had done (RFC 9110, 15.5.9)
AMBIGUOUS = (408,)

_DIGITS = re.compile(r"[0-9]{1,64}")


@dataclass(frozen=True, slots=True)
class Meanings:
    """The meaning of a vendor's refusals of a new call.

    ``error_texts`` maps the words of an error to an outcome, for the statuses in ``error_text_statuses``. It goes
    before ``account``, the statuses that blame the account. ``limits`` are the statuses after which the same call may
    be retried later. A status in none of these is an error of the request.
    """

    error_texts: Sequence[tuple[re.Pattern[str], Outcome]]
    account: Collection[int]
    limits: Collection[int] = (429,)
    error_text_statuses: Collection[int] = range(400, 500)


#: The statuses that say nothing of the call: our credentials are wrong, or we send too many requests
CANNOT_BE_ASKED = (401, 403, 408, 429)


def place(send: Callable[[], Answer], read: Callable[[Answer], DialResult]) -> DialResult:
    """Send the one request that asks for a call, and return what its answer means.

    ``read`` reads the answer, if there is one.
    """
    try:
        answer = send()
    except NotSent as error:
        return DeferredByProvider(cause="network", fault=False, evidence={"error": str(error)[:MAX_TEXT]})
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
    answer: Answer, *, call_id: str | None, error_text: str, meanings: Meanings, evidence: Mapping[str, str], now: Now
) -> DialResult:
    """Return what an answer to a new call means.

    ``call_id`` is the id in the answer, ``error_text`` its error in words.
    """
    cause = f"http:{answer.status}"
    known = {"http_status": str(answer.status), **evidence}
    if 200 <= answer.status <= 299:
        return Placed(call_id, known) if call_id else PlacementUnknown(cause, known)
    if answer.status in NOT_DONE_HERE:
        return DeferredByProvider(cause, fault=True, evidence=known)
    if answer.status in AMBIGUOUS or not 400 <= answer.status <= 499:
        return PlacementUnknown(cause, known)
    if answer.status in meanings.limits:
        wait_sec = retry_after_sec(answer, now)
        return DeferredByProvider(cause, fault=False, retry_after_sec=wait_sec, evidence=known)
    for words, outcome in meanings.error_texts:
        if answer.status in meanings.error_text_statuses and words.search(error_text):
            return Refused(outcome, cause, known)
    if answer.status in meanings.account:
        return DeferredByProvider(cause, fault=True, evidence=known)
    return Refused(Outcome.ERROR, cause, known)


def retry_after_sec(answer: Answer, now: Now, header: str = "retry-after") -> int | None:
    """Return the wait that Retry-After asks for, in seconds.

    The header holds seconds or a date (RFC 9110, 10.2.3). The wait is limited to 0 to MAX_RETRY_AFTER_SEC, because a
    provider that asks for a wait of a day must not end a call. None if the header holds neither.
    """
    text = answer.headers.get(header, "").strip()
    if _DIGITS.fullmatch(text):
        return min(int(text), MAX_RETRY_AFTER_SEC)
    at = instant(text)
    if at is None:
        return None
    return min(max(0, ceil((at - now()).total_seconds())), MAX_RETRY_AFTER_SEC)
