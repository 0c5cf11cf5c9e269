"""What a policy would do: the attempts it makes for assumed outcomes, without dialling anybody."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from chalicelib.domain.decide import MAX_MOVES, Decision, Reason, Situation, decide, first, may_dial
from chalicelib.domain.expiry import expiry
from chalicelib.domain.outcome import Outcome, SummaryStatus
from chalicelib.domain.past_attempt import PastAttempt
from chalicelib.domain.policy import Policy
from chalicelib.domain.work import Work

#: when a dial is due, and when that was decided -> the whole minute in which it can be made
InMinute = Callable[[datetime, datetime], datetime]


@dataclass(frozen=True, slots=True)
class PreviewAttempt:
    """One attempt that would be made; ``outcome`` is None for one beyond the assumed outcomes."""

    attempt: int
    at: datetime
    outcome: Outcome | None
    reason: Reason
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """The attempts that would be made, and how the call would end, if the assumed outcomes tell."""

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
    """The attempts of a policy. An attempt ends at the moment it starts, and no other call counts against a cap.

    ``in_minute`` gives the minute in which a dial can be made. A call that is placed at ``placed_at`` (None: at its
    start) needs none for a first attempt at that very moment.
    """
    ends = expiry(policy, zones, start_at)
    situation = Situation(ends.at, zones, policy_ends_at=ends.policy_ends_at)
    work = Work()  # one bound for all of them, for a preview is asked for with a key that may only read
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
    """Return a decision with its dial in a whole minute that the policy allows, as the wheel will book it."""
    reason = decision.reason
    for _ in range(MAX_MOVES):
        if decision.retry_at is None or (minute := in_minute(decision.retry_at, now)) == decision.retry_at:
            break
        checked = may_dial(policy, situation, minute)
        if checked.retry_at == minute:
            return replace(decision, retry_at=minute)
        steps = (*decision.steps, f"the wheel has room at {minute:%Y-%m-%dT%H:%MZ}", *checked.steps[1:])
        decision = replace(checked, reason=checked.reason if checked.is_final else reason, steps=steps)
    return decision


def _ended(attempts: Sequence[PreviewAttempt], decision: Decision, expires_at: datetime) -> Preview:
    return Preview(tuple(attempts), expires_at, decision.summary_status, decision.reason, decision.steps)
