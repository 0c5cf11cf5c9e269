"""What to do about an attempt that was silent until its deadline, given what the provider says when it is asked.

    the provider                      id known  Redial waits                        at the latest until   and then
    --------------------------------  --------  ----------------------------------  --------------------  -----------
    was not asked, it is too early    yes       for the callback                    the limit             asks
    says that the call goes on        any       ten minutes                         hours past the limit  never-ended
    says how it ended, or of a fault  any       -                                   -                     as it says
    has no such call                  yes       -                                   the limit             no-callback
    has no such call                  no        ten minutes                         ten minutes after     never-placed
    cannot say which call it is       no        ten minutes                         the limit             no-callback
    does not answer                   any       growing intervals                   the policy's end      no-callback
    is not set up any more            any       growing intervals                   hours past the limit  not-set-up

The limit is how long an attempt can last, with its ring and its last callback.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from chalicelib.domain import lifecycle
from chalicelib.domain.attempt_ends import under_way
from chalicelib.domain.call import (
    NEVER_ENDED,
    NEVER_HEARD_OF,
    NEVER_PLACED,
    NOBODY_TO_ASK,
    Attempt,
    AttemptPhase,
    CallRecord,
)
from chalicelib.domain.events import CallEvent
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.transition import Effect, Transition, becoming, unchanged

#: A call that the provider says is still going on, or knows nothing of yet, is asked about again after this.
ASK_AGAIN = timedelta(minutes=10)
#: A provider that says so long after the request that it has no such call will have none; its dialer is dead by then.
CONFIRMED_AFTER = timedelta(minutes=10)
#: An attempt that goes on this long past its limit has lost its end: no call lasts so long.
OVERRUN = timedelta(hours=4)
#: A provider that does not answer is asked at least this long past the limit, however short the policy is.
MIN_ASKING = timedelta(minutes=15)
#: The interval grows with the time that was waited, from the first to the last.
FIRST_INTERVAL = timedelta(minutes=5)
LAST_INTERVAL = timedelta(hours=1)


class Word(StrEnum):
    """What a provider said of a silent attempt."""

    TOO_EARLY = "too-early"
    GOES_ON = "goes-on"
    ENDED = "ended"
    NONE = "none"
    UNSURE = "unsure"
    UNANSWERED = "unanswered"
    NOT_SET_UP = "not-set-up"


@dataclass(frozen=True, slots=True)
class Said:
    """A provider's word about an attempt, with what it told of the call (GOES_ON, ENDED)."""

    word: Word
    attempt: int
    event: CallEvent | None = None


@dataclass(frozen=True, slots=True)
class _Patience:
    """When to ask again, until when at the latest, and the cause by which the attempt times out then."""

    again_at: datetime
    until: datetime
    cause: str


def too_early(record: CallRecord, now: datetime, limit: timedelta) -> bool:
    """True where the callback may still come, and the call is not to be hung up: nobody need be asked.

    Then a callback named the provider's id first, and the dialer died before it set the deadline.
    """
    attempt = record.attempt(record.call.attempt)
    known = attempt is not None and attempt.provider_call_id is not None
    return known and attempt is not None and now < attempt.claimed_at + limit and record.call.canceled_at is None


def is_silent(record: CallRecord, now: datetime) -> bool:
    """True where the latest attempt is live and its deadline has passed."""
    call, attempt = record.call, record.attempt(record.call.attempt)
    overdue = call.deadline_at is not None and call.deadline_at <= now
    return overdue and attempt is not None and attempt.outcome is None


def after_silence(record: CallRecord, said: Said, now: datetime, limit: timedelta) -> Transition:
    """Return what becomes of a silent attempt, of which the provider said this. ``limit`` is how long one can last."""
    attempt = record.attempt(said.attempt)
    if attempt is None or record.call.attempt != said.attempt or not is_silent(record, now):
        return unchanged(record, now)
    if said.word is Word.ENDED and said.event is not None:
        return lifecycle.absorb(record, said.attempt, said.event, now)
    patience = _patience(record, attempt, said.word, now, limit)
    if now >= patience.until:
        heard = record
        if said.event is not None:  # what proves that the call was answered stays with the attempt
            heard = replace(record, attempts=record.replacing(under_way(attempt, said.event, now)))
        return lifecycle.absorb(heard, said.attempt, _timed_out(attempt, said, patience.cause), now)
    return _waiting(record, attempt, said, patience.again_at, now)


def _patience(record: CallRecord, attempt: Attempt, word: Word, now: datetime, limit: timedelta) -> _Patience:
    limit_at = attempt.claimed_at + limit
    known = attempt.provider_call_id is not None
    growing = now + min(max((now - (limit_at if known else attempt.claimed_at)) / 2, FIRST_INTERVAL), LAST_INTERVAL)
    before_limit = min(limit_at, now + ASK_AGAIN)
    confirmed_at = attempt.claimed_at + CONFIRMED_AFTER
    # A canceled call is to be hung up, so whether it goes on is asked again soon.
    goes_on_until = now if record.call.canceled_at is not None else limit_at
    policy_ends = max(record.call.expires_at, limit_at + MIN_ASKING)
    table = {
        Word.TOO_EARLY: _Patience(limit_at, limit_at, NEVER_HEARD_OF),
        Word.GOES_ON: _Patience(max(goes_on_until, now + ASK_AGAIN), limit_at + OVERRUN, NEVER_ENDED),
        Word.UNSURE: _Patience(before_limit, limit_at, NEVER_HEARD_OF),
        Word.UNANSWERED: _Patience(growing, policy_ends, NEVER_HEARD_OF),
        Word.NOT_SET_UP: _Patience(growing, limit_at + OVERRUN, NOBODY_TO_ASK),
    }
    none = (
        _Patience(limit_at, limit_at, NEVER_HEARD_OF) if known else _Patience(before_limit, confirmed_at, NEVER_PLACED)
    )
    return table.get(word, none)


def _waiting(record: CallRecord, attempt: Attempt, said: Said, until: datetime, now: datetime) -> Transition:
    """Wait longer for the end of an attempt, with what the provider said of it along the way."""
    if said.word is Word.GOES_ON and said.event is not None:
        heard = lifecycle.absorb(record, attempt.number, said.event, now)
        if heard.effect is not Effect.NOTHING:
            return heard.until(until)
    waiting = replace(record.call, deadline_at=until)
    lost = attempt.phase is AttemptPhase.DIALING and attempt.provider_call_id is None
    if not lost:
        return becoming(record, waiting, effect=Effect.ENRICHED, at=now)
    # Whoever was asking the provider for the call died: nobody knows whether it was placed.
    phase = AttemptPhase.PLACEMENT_UNKNOWN
    unknown = replace(attempt, phase=phase, cause=attempt.cause or lifecycle.DIALER_DIED)
    return becoming(record, waiting, unknown, effect=Effect.ENRICHED, at=now)


def _timed_out(attempt: Attempt, said: Said, cause: str) -> CallEvent:
    """Return the event that ends a silent attempt."""
    told = said.event
    event = CallEvent(
        event_id=f"{cause}-{attempt.number}",
        provider_call_id=attempt.provider_call_id or (told.provider_call_id if told else ""),
        status="failed",
        outcome=Outcome.FAILED,
        cause=cause,
        evidence={"phase": attempt.phase},
    )
    if cause != NEVER_PLACED:
        return event
    evidence = {"phase": str(attempt.phase), "asked_about": attempt.cause or ""}
    return replace(event, status=cause, outcome=None, fault=NEVER_PLACED, evidence=evidence)
