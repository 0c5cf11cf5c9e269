"""What the use cases' changes come to in CloudWatch's figures; each is told of once it is committed."""

from collections.abc import Mapping
from datetime import datetime

from chalicelib import metrics
from chalicelib.domain.call import Call
from chalicelib.domain.events import CallEvent
from chalicelib.domain.lifecycle import Transition
from chalicelib.metrics import count, measure
from chalicelib.providers import DialResult, Placed, PlacementUnknown, PutOff

#: ends of what a sweep looked into that needed no mending, or are left to the next one
NOT_MENDED = ("skipped", "left", "still-live")


def committed(transition: Transition) -> None:
    """A change of a call is in the table: an attempt has ended, a dial was put off, or nothing that is counted."""
    attempt, decision, event = transition.attempt, transition.decision, transition.event
    if attempt is not None and not transition.dropped and attempt.outcome is not None:
        before = transition.before.attempt(attempt.number)
        if before is None or before.outcome is None:
            count(metrics.ATTEMPTS, Outcome=attempt.outcome, Provider=attempt.provider)
        if event is not None and event.fault is not None:
            count(metrics.ACCOUNT_FAULTS, Provider=attempt.provider)
    tried = attempt is not None and attempt.counts and not transition.dropped
    if decision is not None and decision.retry_at is not None and not tried:
        count(metrics.PUT_OFFS, Reason=decision.reason)


def claimed(call: Call, now: datetime) -> None:
    """A call that was due, as it was before, has been claimed for its next dial."""
    if call.due_at is not None:
        measure(metrics.REDIAL_LATENESS, (now - call.due_at).total_seconds())


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


def swept(counts: Mapping[str, int], rules_live: int, slots_in_use: Mapping[str, int]) -> None:
    """A sweep has come to its end: what it mended by kind, the alarms that are set, and who holds how many slots."""
    count(metrics.SWEEPS)
    count(metrics.RULES_LIVE, rules_live)
    for kind, number in counts.items():
        if number and not kind.endswith(NOT_MENDED):
            count(metrics.SWEEP_MENDED, number, Kind=kind)
    for holder, number in slots_in_use.items():
        count(metrics.SLOTS_IN_USE, number, Holder=holder)


def breaker_opened(provider: str) -> None:
    """Dialling through a provider was stopped."""
    count(metrics.BREAKER_OPENED, Provider=provider)


def breaker_closed(provider: str) -> None:
    """Dialling through a provider was taken up again."""
    count(metrics.BREAKER_CLOSED, Provider=provider)
