"""What the use cases' changes come to in CloudWatch's figures; each is told of once it is committed."""

from collections.abc import Mapping
from datetime import datetime

from chalicelib.domain.call import NEVER_PLACED, Attempt, AttemptPhase
from chalicelib.domain.decide import Reason
from chalicelib.domain.events import CallEvent
from chalicelib.domain.transition import Transition
from chalicelib.providers import DialResult, Placed, PlacementUnknown, PutOff
from chalicelib.runtime import metrics
from chalicelib.runtime.metrics import count, measure

#: why a call waits for its dial where nothing is in its way
AS_PLANNED = (Reason.STARTED, Reason.RETRY)
#: ends of what a sweep looked into that needed no repair, or are left to the next one
NOT_REPAIRED = ("skipped", "left", "still-live", "adopted", "left-alone", "not-adopted", "erased")


def committed(transition: Transition) -> None:
    """A change of a call is in the table: an attempt has ended, a dial was postponed, or nothing that is counted."""
    _count_end(transition)
    if transition.attempt is not None and _was_lost_sight_of(transition, transition.attempt):
        count(metrics.PLACEMENT_UNKNOWN, Provider=transition.attempt.provider)
    decision = transition.decision
    if decision is not None and decision.retry_at is not None and decision.reason not in AS_PLANNED:
        count(metrics.DEFERRED, Reason=decision.reason)


def _count_end(transition: Transition) -> None:
    ended = None if transition.dropped else transition.ended_attempt
    if ended is None or ended.outcome is None:
        return
    count(metrics.ATTEMPTS, Outcome=ended.outcome, Provider=ended.provider)
    if not ended.counts and _tells_of_a_fault(transition.event):
        count(metrics.ACCOUNT_FAULTS, Provider=ended.provider)


def _tells_of_a_fault(event: CallEvent | None) -> bool:
    return event is not None and event.fault not in (None, NEVER_PLACED)


def _was_lost_sight_of(transition: Transition, attempt: Attempt) -> bool:
    before = transition.before.attempt(attempt.number)
    known = before is not None and before.phase is AttemptPhase.DIALING
    return known and attempt.phase is AttemptPhase.PLACEMENT_UNKNOWN


def claimed(transition: Transition) -> None:
    """A call that was due has been claimed for its next dial."""
    due_at = transition.before.call.due_at
    if due_at is not None:
        measure(metrics.REDIAL_LATENESS, (transition.at - due_at).total_seconds())


def dialed(provider: str, result: DialResult) -> None:
    """A provider was asked to place a call, and what it answered is in the table."""
    match result:
        case Placed():
            count(metrics.DIALED, Provider=provider)
        case PlacementUnknown():
            count(metrics.PLACEMENT_UNKNOWN, Provider=provider)
        case PutOff(fault=True):
            count(metrics.ACCOUNT_FAULTS, Provider=provider)


def heard(event: CallEvent, now: datetime) -> None:
    """A callback's event has been taken in."""
    if event.occurred_at is not None and event.occurred_at <= now:
        measure(metrics.CALLBACK_DELAY, (now - event.occurred_at).total_seconds() * 1000)


def swept(counts: Mapping[str, int], rules_live: int | None) -> None:
    """Count a sweep that has ended: what it repaired by kind, and the rules of all programs, where they are known."""
    count(metrics.SWEEPS)
    if rules_live is not None:
        measure(metrics.RULES_LIVE, rules_live)
    for kind, number in counts.items():
        if not kind.endswith(NOT_REPAIRED):
            count(metrics.SWEEP_REPAIRED, number, Kind=kind)


def wake_not_set() -> None:
    """Count a wake that EventBridge did not take: the sweep dials what is due in it, a minute or two late."""
    count(metrics.WAKES_NOT_SET)


def slots_in_use(scope: str, number: int) -> None:
    """A claim found so many of a limit's slots taken; the scope is ``account:<provider>:<id>`` or a workspace."""
    kind, _, name = scope.partition(":")
    # By provider and not by workspace: each value of a dimension is a metric of its own, and is paid for.
    measure(metrics.SLOTS_IN_USE, number, Holder=name.partition(":")[0] if kind == "account" else "workspace")


def breaker_opened(scope: str) -> None:
    """Dialling through an account (``account:<provider>:<id>``) was stopped."""
    count(metrics.BREAKER_OPENED, Provider=scope.split(":")[1])


def breaker_closed(scope: str) -> None:
    """Dialling through an account (``account:<provider>:<id>``) was taken up again."""
    count(metrics.BREAKER_CLOSED, Provider=scope.split(":")[1])
