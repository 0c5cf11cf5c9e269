"""The changes that a callback may still make after the end of its attempt.

The first row that applies counts:

    end of the attempt      the callback says         the attempt becomes      Redial decides again if
    ----------------------  ------------------------  -----------------------  --------------------------------
    guessed (GUESSED)       how the attempt ended     the true end             the call waits, or ended unreached,
                                                                               or this attempt completed the call and
                                                                               reached no person
    not answered            the call was answered     completed, or voicemail  the call waits, or ended unreached
    completed               first AMD: no person      voicemail                this attempt completed the call
    any                     first AMD result          with the AMD result      never
    any, without duration   the duration              with the duration        never
    any, without id         the provider's id         with the progress        never

Each row also adds the provider's id if the attempt has none: the dialer may have died before it got the id. An attempt
that ended as never-placed was made after all if it has an id, and then counts for caps (Attempt.was_made). Any other
late callback changes nothing. A cancel, a contact and the end of the policy still forbid a retry: see
deciding.unless_forbidden().
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from chalicelib.domain.attempt_ends import (
    with_answer,
    with_detection,
    with_duration,
    with_end,
    with_late_progress,
    with_machine,
)
from chalicelib.domain.call import GUESSED, Attempt, CallRecord, CallState
from chalicelib.domain.deciding import decided_after
from chalicelib.domain.events import CallEvent
from chalicelib.domain.outcome import Outcome, SummaryStatus
from chalicelib.domain.reached import corrected_by, ended_unreached
from chalicelib.domain.transition import Effect, Transition, becoming, unchanged


@dataclass(frozen=True, slots=True)
class Late:
    """One row of the table.

    ``applies`` says whether the row is for this callback, ``becomes`` returns the changed attempt, and ``decides`` says
    whether Redial decides about the call again. ``step`` is the first step of that decision.
    """

    applies: Callable[[Attempt, CallEvent], bool]
    becomes: Callable[[Attempt, CallEvent, datetime], Attempt]
    decides: Callable[[CallRecord, Attempt], bool]
    step: str = ""


def after_the_end(record: CallRecord, attempt: Attempt, event: CallEvent, now: datetime) -> Transition:
    """Take in an event of an ended attempt, with the first row that applies."""
    row = _row(attempt, event)
    if row is None:
        return unchanged(record, now)
    provider_call_id = attempt.provider_call_id or event.provider_call_id or None
    changed = replace(row.becomes(attempt, event, now), provider_call_id=provider_call_id)
    if row.decides(record, changed):
        step = row.step.format(number=attempt.number, cause=attempt.cause, outcome=attempt.outcome)
        return decided_after(record, changed, event, now, *filter(None, [step]))
    return becoming(record, record.call, changed, effect=Effect.ENRICHED, at=now, event=event)


def changes_ended(attempt: Attempt, event: CallEvent) -> bool:
    """Return whether an event changes an attempt that has ended."""
    return _row(attempt, event) is not None


def _row(attempt: Attempt, event: CallEvent) -> Late | None:
    return next((row for row in TABLE if row.applies(attempt, event)), None)


def _was_guessed(attempt: Attempt, event: CallEvent) -> bool:
    return event.outcome is not None and attempt.cause in GUESSED


def _first_amd(attempt: Attempt, event: CallEvent) -> bool:
    return event.amd is not None and attempt.amd is None


def _machine_after_completed(attempt: Attempt, event: CallEvent) -> bool:
    machine = event.amd is not None and event.amd.is_machine
    return machine and _first_amd(attempt, event) and attempt.outcome is Outcome.COMPLETED


def _lacks_duration(attempt: Attempt, event: CallEvent) -> bool:
    return event.outcome is not None and attempt.duration_sec is None and event.duration_sec is not None


def _lacks_id(attempt: Attempt, event: CallEvent) -> bool:
    return attempt.provider_call_id is None and bool(event.provider_call_id)


def _waits_or_was_unreached(record: CallRecord, changed: Attempt) -> bool:
    """Return whether the call waits for a retry, or ended without reaching anybody.

    If the call waits, an earlier attempt matters only if it reached the person. Any other end of an earlier attempt is
    no reason to reschedule the planned retry.
    """
    call = record.call
    matters = changed.outcome is Outcome.COMPLETED or call.attempt == changed.number
    return (matters and call.state is CallState.SCHEDULED) or ended_unreached(call)


def _completed_by_this(record: CallRecord, changed: Attempt) -> bool:
    """Return whether the call ended as completed because of this attempt.

    If this attempt is not the latest, a late callback had proved its answer, and later attempts reached nobody.
    """
    is_latest = record.call.attempt == changed.number
    others_reached = any(a.outcome is Outcome.COMPLETED and a.number != changed.number for a in record.attempts)
    return record.call.summary_status is SummaryStatus.COMPLETED and (is_latest or not others_reached)


def _waits_or_reached_no_person(record: CallRecord, changed: Attempt) -> bool:
    no_person = changed.outcome is not Outcome.COMPLETED and _completed_by_this(record, changed)
    return no_person or _waits_or_was_unreached(record, changed)


def _never(record: CallRecord, changed: Attempt) -> bool:
    return False


TABLE = (
    Late(_was_guessed, with_end, _waits_or_reached_no_person, "attempt {number} had timed out ({cause})"),
    Late(
        corrected_by, with_answer, _waits_or_was_unreached, "attempt {number} was answered, although it ended {outcome}"
    ),
    Late(_machine_after_completed, with_machine, _completed_by_this),
    Late(_first_amd, with_detection, _never),
    Late(_lacks_duration, with_duration, _never),
    Late(_lacks_id, with_late_progress, _never),
)
