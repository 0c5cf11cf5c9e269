"""What a late callback, one that comes after the end of its attempt, may still change: one table, read from the top.

    the attempt had ended       the event says             the attempt becomes       Redial decides again where
    --------------------------  -------------------------  ------------------------  ------------------------------
    as a guess (GUESSED)        how it ended               its true end              the call waits or was unreached
    as not answered             that it was answered       completed, or voicemail   the call waits or was unreached
    as completed                first AMD: a machine       voicemail                 the call ended by this attempt
    in any way                  first AMD result           enriched                  never
    in any way                  the duration that it lacks enriched                  never

Anything else changes nothing. A cancel, a contact and the end of the policy hold: see deciding.as_agreed().
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from chalicelib.domain.attempt_ends import with_answer, with_detection, with_duration, with_end, with_machine
from chalicelib.domain.call import GUESSED, Attempt, CallRecord, CallState
from chalicelib.domain.deciding import decided_after
from chalicelib.domain.events import CallEvent
from chalicelib.domain.outcome import Outcome, SummaryStatus
from chalicelib.domain.reached import corrected_by, ended_unreached
from chalicelib.domain.transition import Effect, Transition, becoming, unchanged


@dataclass(frozen=True, slots=True)
class Late:
    """One row of the table: when it applies, what the attempt becomes, and where the call is decided about again."""

    applies: Callable[[Attempt, CallEvent], bool]
    becomes: Callable[[Attempt, CallEvent, datetime], Attempt]
    decides: Callable[[CallRecord, Attempt], bool]
    step: str = ""


def after_the_end(record: CallRecord, attempt: Attempt, event: CallEvent, now: datetime) -> Transition:
    """Take in an event of an attempt that has ended, by the first row of the table that applies."""
    row = next((row for row in TABLE if row.applies(attempt, event)), None)
    if row is None:
        return unchanged(record, now)
    changed = row.becomes(attempt, event, now)
    if row.decides(record, changed):
        step = row.step.format(number=attempt.number, cause=attempt.cause, outcome=attempt.outcome)
        return decided_after(record, changed, event, now, *filter(None, [step]))
    return becoming(record, record.call, changed, effect=Effect.ENRICHED, at=now, event=event)


def _was_guessed(attempt: Attempt, event: CallEvent) -> bool:
    return event.outcome is not None and attempt.cause in GUESSED


def _first_amd(attempt: Attempt, event: CallEvent) -> bool:
    return event.amd is not None and attempt.amd is None


def _machine_after_completed(attempt: Attempt, event: CallEvent) -> bool:
    machine = event.amd is not None and event.amd.is_machine
    return machine and _first_amd(attempt, event) and attempt.outcome is Outcome.COMPLETED


def _lacks_duration(attempt: Attempt, event: CallEvent) -> bool:
    return event.outcome is not None and attempt.duration_sec is None and event.duration_sec is not None


def _waits_or_was_unreached(record: CallRecord, changed: Attempt) -> bool:
    """What an earlier attempt came to, short of reaching the person, is no reason to move a retry that is planned."""
    call = record.call
    tells = changed.outcome is Outcome.COMPLETED or call.attempt == changed.number
    return (tells and call.state is CallState.SCHEDULED) or ended_unreached(call)


def _ended_by_this(record: CallRecord, changed: Attempt) -> bool:
    return record.call.attempt == changed.number and record.call.summary_status is SummaryStatus.COMPLETED


def _never(record: CallRecord, changed: Attempt) -> bool:
    return False


TABLE = (
    Late(_was_guessed, with_end, _waits_or_was_unreached, "attempt {number} had timed out ({cause})"),
    Late(
        corrected_by, with_answer, _waits_or_was_unreached, "attempt {number} was answered, although it ended {outcome}"
    ),
    Late(_machine_after_completed, with_machine, _ended_by_this),
    Late(_first_amd, with_detection, _never),
    Late(_lacks_duration, with_duration, _never),
)
