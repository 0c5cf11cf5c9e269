"""What a policy would do: the attempts it makes for assumed outcomes, without dialling anybody."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.domain.decide import Decision, Reason, Situation, decide, first
from chalicelib.domain.outcome import Outcome, SummaryStatus
from chalicelib.domain.policy import Policy
from chalicelib.domain.tried import Tried
from chalicelib.domain.work import Work


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
    summary_status: SummaryStatus | None = None
    reason: Reason | None = None
    steps: tuple[str, ...] = ()


def preview(policy: Policy, zones: tuple[str, ...], start_at: datetime, outcomes: Sequence[Outcome]) -> Preview:
    """The attempts of a policy. An attempt ends at the moment it starts, and no other call counts against a cap."""
    situation = Situation(start_at + timedelta(hours=policy.expires_after_hours), zones)
    work = Work()  # one bound for all of them, for a preview is asked for with a key that may only read
    decision = first(policy, situation, start_at, work)
    attempts: list[PreviewAttempt] = []
    for number in range(1, len(outcomes) + 2):
        if decision.retry_at is None:
            return _ended(attempts, decision)
        outcome = outcomes[number - 1] if number <= len(outcomes) else None
        attempts.append(PreviewAttempt(number, decision.retry_at, outcome, decision.reason, decision.steps))
        if outcome is None:
            break
        situation = situation.having_tried(Tried(number, outcome, decision.retry_at, decision.retry_at))
        decision = decide(policy, situation, work)
    return Preview(tuple(attempts))


def _ended(attempts: Sequence[PreviewAttempt], decision: Decision) -> Preview:
    return Preview(tuple(attempts), decision.summary_status, decision.reason, decision.steps)
