"""A preview of a policy: the attempts for assumed outcomes, without any dial."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from chalicelib.domain.decide import MAX_MOVES, Decision, Reason, Situation, decide, first, may_dial
from chalicelib.domain.expiry import expiry
from chalicelib.domain.outcome import Outcome, SummaryStatus
from chalicelib.domain.past_attempt import PastAttempt
from chalicelib.domain.policy import Policy
from chalicelib.domain.work import Work

#: (due time of a dial, time of the decision) -> the whole minute in which the dial can be made
InMinute = Callable[[datetime, datetime], datetime]


@dataclass(frozen=True, slots=True)
class PreviewAttempt:
    """An attempt that would be made.

    ``outcome`` is None for the attempt after the last assumed outcome.
    """

    attempt: int
    at: datetime
    outcome: Outcome | None
    reason: Reason
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """The attempts that would be made, and how the call would end.

    ``summary_status`` and ``reason`` are None if the assumed outcomes do not end the call.
    """

    attempts: tuple[PreviewAttempt, ...]
    expires_at: datetime
    summary_status: SummaryStatus | None = None
    reason: Reason | None = None
    steps: tuple[str, ...] = ()


def preview(
    policy: Policy,
    zones: tuple[str, ...],
    start_at: datetime,
    outcomes: Sequence[Outcome],
    in_minute: InMinute = lambda due_at, now: due_at,
    placed_at: datetime | None = None,
) -> Preview:
    """Return the attempts that a policy makes for assumed outcomes.

    Each attempt ends at the moment at which it starts, and no other call counts against a cap. ``in_minute`` returns
    the whole minute in which a dial can be made. ``placed_at`` is the time of the request (None: the start of the
    call): an attempt at that very moment needs no minute.
    """
    ends = expiry(policy, zones, start_at)
    situation = Situation(ends.at, zones, policy_ends_at=ends.policy_ends_at)
    work = Work()  # one bound for all decisions together, because even a read-only key may request a preview
    decision = first(policy, situation, start_at, work)
    placed_at = placed_at or start_at
    if decision.retry_at != placed_at:
        decision = _booked(policy, situation, decision, placed_at, in_minute)
    attempts: list[PreviewAttempt] = []
    for number in range(1, len(outcomes) + 2):
        if decision.retry_at is None:
            return _ended(attempts, decision, ends.at)
        at = decision.retry_at
        outcome = outcomes[number - 1] if number <= len(outcomes) else None
        attempts.append(PreviewAttempt(number, at, outcome, decision.reason, decision.steps))
        if outcome is None:
            break
        situation = situation.with_attempt(PastAttempt(number, outcome, at, at))
        decision = _booked(policy, situation, decide(policy, situation, work), at, in_minute)
    return Preview(tuple(attempts), ends.at)


def _booked(policy: Policy, situation: Situation, decision: Decision, now: datetime, in_minute: InMinute) -> Decision:
    """Return the decision with its dial in a whole minute that the policy allows.

    The wheel books whole minutes, and this function does the same.
    """
    reason = decision.reason
    for _ in range(MAX_MOVES):
        if decision.retry_at is None or (minute := in_minute(decision.retry_at, now)) == decision.retry_at:
            break
        checked = may_dial(policy, situation, minute)
        if checked.retry_at == minute:
            return replace(decision, retry_at=minute)
        steps = (*decision.steps, f"the next minute with room is {minute:%Y-%m-%dT%H:%MZ}", *checked.steps[1:])
        decision = replace(checked, reason=checked.reason if checked.is_final else reason, steps=steps)
    return decision


def _ended(attempts: Sequence[PreviewAttempt], decision: Decision, expires_at: datetime) -> Preview:
    return Preview(tuple(attempts), expires_at, decision.summary_status, decision.reason, decision.steps)
