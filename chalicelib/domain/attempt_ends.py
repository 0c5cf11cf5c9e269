"""The changes of an attempt by an event: its progress and its end.

No function here decides about the call.
"""

from dataclasses import replace
from datetime import datetime

from chalicelib.domain.call import ANOTHER_CALLS, TIMED_OUT, Attempt, AttemptPhase
from chalicelib.domain.events import CallEvent
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.reached import outcome_of_end, weighed, with_progress


def under_way(attempt: Attempt, event: CallEvent, now: datetime) -> Attempt:
    """Return the attempt after an event of a call that goes on."""
    progressed = with_progress(attempt, event, happened_at(event, attempt, now))
    return replace(progressed, provider_call_id=event.provider_call_id, phase=AttemptPhase.PLACED)


def with_end(attempt: Attempt, event: CallEvent, now: datetime) -> Attempt:
    """Return the attempt with the end that the event reports.

    Evidence from earlier events counts, too.
    """
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
    """Return the attempt as ended by a fault of the account.

    No call was placed, and the attempt does not count.
    """
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
    """Return an adopted attempt as ended, because Redial placed it for another call.

    The attempt continues and counts in the other call.
    """
    return replace(
        attempt, phase=AttemptPhase.ENDED, outcome=Outcome.CANCELED, ended_at=now, cause=ANOTHER_CALLS, counts=False
    )


def with_answer(attempt: Attempt, event: CallEvent, now: datetime) -> Attempt:
    """Return an attempt that ended unanswered, after an event that proves an answer."""
    progressed = with_progress(attempt, event, min(happened_at(event, attempt, now), attempt.ended_at or now))
    return replace(
        progressed,
        outcome=weighed(event.outcome or Outcome.COMPLETED, answered=True, amd=progressed.amd),
        duration_sec=event.duration_sec if event.duration_sec is not None else attempt.duration_sec,
        counts=True,
        evidence={**attempt.evidence, **event.evidence},
    )


def with_detection(attempt: Attempt, event: CallEvent, now: datetime) -> Attempt:
    """Return an ended attempt with its first AMD result."""
    return replace(attempt, amd=event.amd, evidence={**attempt.evidence, **event.evidence})


def with_machine(attempt: Attempt, event: CallEvent, now: datetime) -> Attempt:
    """Return a ``completed`` attempt as a voicemail, after AMD found no person."""
    return replace(with_detection(attempt, event, now), outcome=Outcome.VOICEMAIL)


def with_duration(attempt: Attempt, event: CallEvent, now: datetime) -> Attempt:
    """Return an ended attempt with the duration that was missing."""
    return replace(attempt, duration_sec=event.duration_sec)


def with_late_progress(attempt: Attempt, event: CallEvent, now: datetime) -> Attempt:
    """Return an ended attempt with the progress of an event that came after the end."""
    progressed = with_progress(attempt, event, happened_at(event, attempt, now))
    return replace(progressed, evidence={**attempt.evidence, **event.evidence})


def happened_at(event: CallEvent, attempt: Attempt, now: datetime) -> datetime:
    """Return the time of an event: the provider's time if possible, else ``now``.

    A time before the claim or after ``now`` is impossible: the provider's clock is wrong. Redial prefers the provider's
    time because a callback may be hours late.
    """
    if event.occurred_at is not None and attempt.claimed_at <= event.occurred_at <= now:
        return event.occurred_at
    return now


def _talked_sec(attempt: Attempt, event: CallEvent, ended_at: datetime) -> int | None:
    """Return the seconds between answer and end, for an end without a duration.

    Telnyx's hangup has no duration. Return None if the call was not answered, or if the time of its end is unknown.
    """
    if attempt.answered_at is None or event.cause in TIMED_OUT:
        return None
    return max(0, round((ended_at - attempt.answered_at).total_seconds()))
