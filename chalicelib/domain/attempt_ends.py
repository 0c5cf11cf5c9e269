"""What an attempt becomes by an event: how far it has come, and how it ended. Pure values; nothing is decided here."""

from dataclasses import replace
from datetime import datetime

from chalicelib.domain.call import ANOTHER_CALLS, TIMED_OUT, Attempt, AttemptPhase
from chalicelib.domain.events import CallEvent
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.reached import having_heard, outcome_of_end, weighed


def under_way(attempt: Attempt, event: CallEvent, now: datetime) -> Attempt:
    """Return the attempt after an event of a call that goes on."""
    heard = having_heard(attempt, event, happened_at(event, attempt, now))
    return replace(heard, provider_call_id=event.provider_call_id, phase=AttemptPhase.PLACED)


def with_end(attempt: Attempt, event: CallEvent, now: datetime) -> Attempt:
    """Return the attempt with the end that an event tells of, given what was heard before."""
    ended_at = happened_at(event, attempt, now)
    return replace(
        attempt,
        phase=AttemptPhase.ENDED,
        provider_call_id=event.provider_call_id or attempt.provider_call_id,
        outcome=outcome_of_end(attempt, event),
        ended_at=ended_at,
        duration_sec=event.duration_sec if event.duration_sec is not None else _talked_sec(attempt, event, ended_at),
        amd=attempt.amd or event.amd,
        cause=event.cause or event.fault,
        counts=True,
        evidence={**attempt.evidence, **event.evidence},
    )


def with_fault(attempt: Attempt, event: CallEvent, now: datetime) -> Attempt:
    """Return the attempt of which no call came, for which the account is to blame: it counts for nothing."""
    return replace(
        attempt,
        phase=AttemptPhase.ENDED,
        provider_call_id=event.provider_call_id or attempt.provider_call_id,
        outcome=Outcome.ERROR,
        ended_at=happened_at(event, attempt, now),
        cause=event.cause or event.fault,
        counts=False,
        evidence={**attempt.evidence, **event.evidence},
    )


def as_another_calls(attempt: Attempt, now: datetime) -> Attempt:
    """Return an adopted attempt that Redial itself placed for another call, where it goes on and counts."""
    return replace(
        attempt, phase=AttemptPhase.ENDED, outcome=Outcome.CANCELED, ended_at=now, cause=ANOTHER_CALLS, counts=False
    )


def with_answer(attempt: Attempt, event: CallEvent, now: datetime) -> Attempt:
    """Return an attempt that had ended as not answered, after an event that proves that it was."""
    heard = having_heard(attempt, event, min(happened_at(event, attempt, now), attempt.ended_at or now))
    return replace(
        heard,
        outcome=weighed(event.outcome or Outcome.COMPLETED, answered=True, amd=heard.amd),
        duration_sec=event.duration_sec if event.duration_sec is not None else attempt.duration_sec,
        counts=True,
        evidence={**attempt.evidence, **event.evidence},
    )


def with_detection(attempt: Attempt, event: CallEvent, now: datetime) -> Attempt:
    """Return an attempt that has ended with its first AMD result."""
    return replace(attempt, amd=event.amd, evidence={**attempt.evidence, **event.evidence})


def with_machine(attempt: Attempt, event: CallEvent, now: datetime) -> Attempt:
    """Return an attempt that was ``completed`` and had reached an answering machine."""
    return replace(with_detection(attempt, event, now), outcome=Outcome.VOICEMAIL)


def with_duration(attempt: Attempt, event: CallEvent, now: datetime) -> Attempt:
    """Return an attempt that has ended with the duration that it lacked."""
    return replace(attempt, duration_sec=event.duration_sec)


def happened_at(event: CallEvent, attempt: Attempt, now: datetime) -> datetime:
    """The provider's time where it can be true, else ours: its clock may be off, and its callbacks hours late."""
    if event.occurred_at is not None and attempt.claimed_at <= event.occurred_at <= now:
        return event.occurred_at
    return now


def _talked_sec(attempt: Attempt, event: CallEvent, ended_at: datetime) -> int | None:
    """How long an answered call lasted, for a provider that does not say so (Telnyx's hangup has no duration).

    None where nobody knows when the call ended.
    """
    if attempt.answered_at is None or event.cause in TIMED_OUT:
        return None
    return max(0, round((ended_at - attempt.answered_at).total_seconds()))
