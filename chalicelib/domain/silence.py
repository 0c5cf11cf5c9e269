"""The next step for a silent attempt, after Redial has asked its provider.

An attempt is silent if no end was reported until its deadline.

    the provider                   id known  Redial looks it up again     at the latest at       then the attempt ends
    -----------------------------  --------  ---------------------------  ---------------------  ---------------------
    is not asked: too early        yes       at the limit                 -                      -
    says that the call goes on     any       at the limit, or in 10 min   4 h past the limit     never-ended
    says how the call ended        any       -                            -                      as the provider says
    reports a fault                any       -                            -                      by the fault
    has no such call               yes       at the limit                 the limit              no-callback
    has no such call               no        in 10 min                    10 min past the claim  never-placed
    cannot say which call it is    no        in 10 min                    the limit              no-callback
    does not answer                any       at growing intervals         the policy's end       no-callback
    is not set up any more         any       at growing intervals         4 h past the limit     provider-not-set-up

The limit is the time at which even the longest attempt has ended: the claim, plus the ring, the longest call and the
last callback.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from chalicelib.domain import lifecycle
from chalicelib.domain.attempt_ends import under_way
from chalicelib.domain.call import (
    NEVER_ENDED,
    NEVER_PLACED,
    NO_CALLBACK,
    NOT_SET_UP,
    Attempt,
    AttemptPhase,
    CallRecord,
)
from chalicelib.domain.events import CallEvent
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.transition import Effect, Transition, becoming, unchanged

#: the time until the next look-up if the call goes on, or if the provider does not have it yet
ASK_AGAIN = timedelta(minutes=10)
#: the time after the claim from which "no such call" is final: the dialer is dead by then, so no request is under way
CONFIRMED_AFTER = timedelta(minutes=10)
#: the time past its limit after which an attempt that "goes on" times out: no call lasts so long
OVERRUN = timedelta(hours=4)
#: the time past the limit until which Redial asks a provider that does not answer, even if the policy ends earlier
MIN_ASKING = timedelta(minutes=15)
#: the shortest and the longest interval of look-ups that get no answer: half of the time that Redial has waited so far
FIRST_INTERVAL = timedelta(minutes=5)
LAST_INTERVAL = timedelta(hours=1)


class LookupResult(StrEnum):
    """The result of a look-up of a silent attempt: the first column of the table."""

    TOO_EARLY = "too-early"  # Redial did not ask
    GOES_ON = "goes-on"
    ENDED = "ended"  # by an outcome, or by a fault of the account
    NONE = "none"  # the provider has no such call
    UNSURE = "unsure"  # the provider cannot say which call it is
    UNANSWERED = "unanswered"
    NOT_SET_UP = "not-set-up"


@dataclass(frozen=True, slots=True)
class Lookup:
    """The result of a look-up of attempt number ``attempt``.

    ``event`` is the state of the call, if the provider reported it (GOES_ON, ENDED).
    """

    result: LookupResult
    attempt: int
    event: CallEvent | None = None


@dataclass(frozen=True, slots=True)
class _Patience:
    """The time of the next look-up, and when and why the attempt times out."""

    again_at: datetime
    until: datetime
    cause: str


def too_early(record: CallRecord, now: datetime, limit: timedelta) -> bool:
    """Return whether the callback may still come, so Redial need not ask yet.

    This happens if the dialer died before it set the attempt's deadline, but a callback had named the provider's id. A
    canceled call is never too early, because Redial must hang it up.
    """
    attempt = record.attempt(record.call.attempt)
    known = attempt is not None and attempt.provider_call_id is not None
    return known and attempt is not None and now < attempt.claimed_at + limit and record.call.canceled_at is None


def is_silent(record: CallRecord, now: datetime) -> bool:
    """Return whether the latest attempt is live and its deadline has passed."""
    call, attempt = record.call, record.attempt(record.call.attempt)
    overdue = call.deadline_at is not None and call.deadline_at <= now
    return overdue and attempt is not None and attempt.outcome is None


def after_silence(record: CallRecord, lookup: Lookup, now: datetime, limit: timedelta) -> Transition:
    """Return the change of a silent attempt after a look-up: its end, or more time.

    ``limit`` is the longest time that an attempt can last, from its claim to its last callback.
    """
    attempt = record.attempt(lookup.attempt)
    if attempt is None or record.call.attempt != lookup.attempt or not is_silent(record, now):
        return unchanged(record, now)
    if lookup.result is LookupResult.ENDED and lookup.event is not None:
        return lifecycle.absorb(record, lookup.attempt, lookup.event, now)
    patience = _patience(record, attempt, lookup.result, now, limit)
    if now >= patience.until:
        informed = record
        if lookup.event is not None:  # the event may prove that the call was answered, and that decides how it ends
            informed = replace(record, attempts=record.replacing(under_way(attempt, lookup.event, now)))
        return lifecycle.absorb(informed, lookup.attempt, _timed_out(attempt, lookup, patience.cause), now)
    return _waiting(record, attempt, lookup, patience.again_at, now)


def _patience(record: CallRecord, attempt: Attempt, result: LookupResult, now: datetime, limit: timedelta) -> _Patience:
    limit_at = attempt.claimed_at + limit
    known = attempt.provider_call_id is not None
    growing = now + min(max((now - (limit_at if known else attempt.claimed_at)) / 2, FIRST_INTERVAL), LAST_INTERVAL)
    before_limit = min(limit_at, now + ASK_AGAIN)
    confirmed_at = attempt.claimed_at + CONFIRMED_AFTER
    # Redial must hang up a canceled call, so it asks again soon whether that call goes on.
    goes_on_until = now if record.call.canceled_at is not None else limit_at
    policy_ends = max(record.call.expires_at, limit_at + MIN_ASKING)
    table = {
        LookupResult.TOO_EARLY: _Patience(limit_at, limit_at, NO_CALLBACK),
        LookupResult.GOES_ON: _Patience(max(goes_on_until, now + ASK_AGAIN), limit_at + OVERRUN, NEVER_ENDED),
        LookupResult.UNSURE: _Patience(before_limit, limit_at, NO_CALLBACK),
        LookupResult.UNANSWERED: _Patience(growing, policy_ends, NO_CALLBACK),
        LookupResult.NOT_SET_UP: _Patience(growing, limit_at + OVERRUN, NOT_SET_UP),
    }
    none = _Patience(limit_at, limit_at, NO_CALLBACK) if known else _Patience(before_limit, confirmed_at, NEVER_PLACED)
    return table.get(result, none)


def _waiting(record: CallRecord, attempt: Attempt, lookup: Lookup, until: datetime, now: datetime) -> Transition:
    """Return the change that waits longer for the end of an attempt.

    The change also records the progress that the look-up found.
    """
    if lookup.result is LookupResult.GOES_ON and lookup.event is not None:
        progressed = lifecycle.absorb(record, attempt.number, lookup.event, now)
        if progressed.effect is not Effect.NOTHING:
            return progressed.until(until)
    waiting = replace(record.call, deadline_at=until)
    lost = attempt.phase is AttemptPhase.DIALING and attempt.provider_call_id is None
    if not lost:
        return becoming(record, waiting, effect=Effect.ENRICHED, at=now)
    # The dialer died during its request, so Redial does not know whether the provider placed the call.
    phase = AttemptPhase.PLACEMENT_UNKNOWN
    unknown = replace(attempt, phase=phase, cause=attempt.cause or lifecycle.DIALER_DIED)
    return becoming(record, waiting, unknown, effect=Effect.ENRICHED, at=now)


def _timed_out(attempt: Attempt, lookup: Lookup, cause: str) -> CallEvent:
    """Return the event that ends a silent attempt."""
    found = lookup.event
    event = CallEvent(
        event_id=f"{cause}-{attempt.number}",
        provider_call_id=attempt.provider_call_id or (found.provider_call_id if found else ""),
        status="failed",
        outcome=Outcome.FAILED,
        cause=cause,
        evidence={"phase": attempt.phase},
    )
    if cause != NEVER_PLACED:
        return event
    evidence = {"phase": str(attempt.phase), "asked_about": attempt.cause or ""}
    return replace(event, status=cause, outcome=None, fault=NEVER_PLACED, evidence=evidence)
