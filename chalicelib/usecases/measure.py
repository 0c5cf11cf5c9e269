"""The metrics of the use cases: which change counts towards which metric.

The metrics are CloudWatch's. Each change is counted after it is committed.
"""

from collections.abc import Mapping
from datetime import datetime

from chalicelib.domain.call import NEVER_PLACED, Attempt, AttemptPhase
from chalicelib.domain.decide import Reason
from chalicelib.domain.events import CallEvent
from chalicelib.domain.transition import Transition
from chalicelib.providers import DeferredByProvider, DialResult, Placed, PlacementUnknown
from chalicelib.runtime import metrics
from chalicelib.runtime.metrics import count, measure

#: the reasons of a scheduled dial that nothing delays
AS_PLANNED = (Reason.STARTED, Reason.RETRY)
#: the ends of a sweep's work that needed no repair, or that are left to the next sweep
NOT_REPAIRED = ("skipped", "left", "still-live", "adopted", "left-alone", "not-adopted", "erased")


def committed(transition: Transition) -> None:
    """Count a committed change: the end of an attempt, a lost placement or a deferral."""
    _count_end(transition)
    if transition.attempt is not None and _became_unknown(transition, transition.attempt):
        count(metrics.PLACEMENT_UNKNOWN, Provider=transition.attempt.provider)
    decision = transition.decision
    if decision is not None and decision.retry_at is not None and decision.reason not in AS_PLANNED:
        count(metrics.DEFERRED, Reason=decision.reason)


def _count_end(transition: Transition) -> None:
    ended = None if transition.dropped else transition.ended_attempt
    if ended is None or ended.outcome is None:
        return
    count(metrics.ATTEMPTS, Outcome=ended.outcome, Provider=ended.provider)
    if not ended.counts and _reports_account_fault(transition.event):
        count(metrics.ACCOUNT_FAULTS, Provider=ended.provider)


def _reports_account_fault(event: CallEvent | None) -> bool:
    return event is not None and event.fault not in (None, NEVER_PLACED)


def _became_unknown(transition: Transition, attempt: Attempt) -> bool:
    before = transition.before.attempt(attempt.number)
    known = before is not None and before.phase is AttemptPhase.DIALING
    return known and attempt.phase is AttemptPhase.PLACEMENT_UNKNOWN


def claimed(transition: Transition) -> None:
    """Measure how late a due call was claimed for its next dial, in seconds."""
    due_at = transition.before.call.due_at
    if due_at is not None:
        measure(metrics.REDIAL_LATENESS, (transition.at - due_at).total_seconds())


def dialed(provider: str, result: DialResult) -> None:
    """Count a provider's answer to a dial, after the answer is in the table."""
    match result:
        case Placed():
            count(metrics.DIALED, Provider=provider)
        case PlacementUnknown():
            count(metrics.PLACEMENT_UNKNOWN, Provider=provider)
        case DeferredByProvider(fault=True):
            count(metrics.ACCOUNT_FAULTS, Provider=provider)


def callback_taken(event: CallEvent, now: datetime) -> None:
    """Measure how long the event of a callback took to reach Redial, in milliseconds."""
    if event.occurred_at is not None and event.occurred_at <= now:
        measure(metrics.CALLBACK_DELAY, (now - event.occurred_at).total_seconds() * 1000)


def swept(counts: Mapping[str, int], rules_live: int | None) -> None:
    """Count a finished sweep, and its repairs by kind.

    ``rules_live`` is the number of rules of all programs in the AWS account; None if it is unknown.
    """
    count(metrics.SWEEPS)
    if rules_live is not None:
        measure(metrics.RULES_LIVE, rules_live)
    for kind, number in counts.items():
        if not kind.endswith(NOT_REPAIRED):
            count(metrics.SWEEP_REPAIRED, number, Kind=kind)


def wake_not_set() -> None:
    """Count a wake whose trigger EventBridge did not accept.

    The sweep dials the calls of that wake, one or two minutes late.
    """
    count(metrics.WAKES_NOT_SET)


def slots_in_use(scope: str, number: int) -> None:
    """Measure how many slots of a limit were taken when a claim looked.

    ``scope`` is ``account:<provider>:<id>`` or a workspace.
    """
    kind, _, name = scope.partition(":")
    # The dimension is the provider, not the workspace: CloudWatch charges for each value of a dimension.
    measure(metrics.SLOTS_IN_USE, number, Holder=name.partition(":")[0] if kind == "account" else "workspace")


def breaker_opened(scope: str) -> None:
    """Count that the breaker paused an account (``account:<provider>:<id>``)."""
    count(metrics.BREAKER_OPENED, Provider=scope.split(":")[1])


def breaker_closed(scope: str) -> None:
    """Count that the breaker resumed an account (``account:<provider>:<id>``)."""
    count(metrics.BREAKER_CLOSED, Provider=scope.split(":")[1])
