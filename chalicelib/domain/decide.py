"""decide(): after an attempt has ended, whether to dial again, when, and why. Pure and total."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from chalicelib.domain.outcome import Outcome, SummaryStatus
from chalicelib.domain.policy import Fixed, OutcomeRule, Policy


class Reason(StrEnum):
    """Why a decision came out as it did: a closed set, safe to count and to branch on."""

    RETRY = "retry"
    REACHED = "reached"
    VOICEMAIL_IS_FINAL = "voicemail-is-final"
    OUTCOME_NOT_RETRYABLE = "outcome-not-retryable"
    RETRIES_EXHAUSTED = "retries-exhausted"
    OUTCOME_RETRIES_EXHAUSTED = "outcome-retries-exhausted"
    POLICY_EXPIRED = "policy-expired"
    CANCELED = "canceled"
    DO_NOT_DISTURB = "do-not-disturb"
    STARTED = "started"
    PUT_OFF_BY_PROVIDER = "put-off-by-provider"


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt that was made, as far as deciding needs it."""

    number: int
    outcome: Outcome
    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided. Exactly one of ``retry_at`` and ``summary_status`` is set; ``steps`` read as the reasoning."""

    reason: Reason
    steps: tuple[str, ...] = ()
    retry_at: datetime | None = None
    summary_status: SummaryStatus | None = None

    @property
    def is_final(self) -> bool:
        return self.summary_status is not None


#: outcomes that end a call at once -> how the call ends, and the reason
ENDINGS: dict[Outcome, tuple[SummaryStatus, Reason]] = {
    Outcome.COMPLETED: (SummaryStatus.COMPLETED, Reason.REACHED),
    Outcome.CANCELED: (SummaryStatus.CANCELED, Reason.CANCELED),
    Outcome.DND: (SummaryStatus.BLOCKED, Reason.DO_NOT_DISTURB),
    Outcome.INVALID_NUMBER: (SummaryStatus.NOT_RETRYABLE, Reason.OUTCOME_NOT_RETRYABLE),
}


def decide(policy: Policy, tried: Sequence[Tried], expires_at: datetime) -> Decision:
    """Decide after the last of ``tried`` (in order, never empty). Never raises on a valid policy."""
    outcome = tried[-1].outcome
    if outcome in ENDINGS:
        summary, reason = ENDINGS[outcome]
        return _final(summary, reason, f"attempt {tried[-1].number} ended {outcome}")
    rule = policy.rule(outcome)
    if not rule.retry:
        if outcome is Outcome.VOICEMAIL:
            return _final(SummaryStatus.VOICEMAIL_FINAL, Reason.VOICEMAIL_IS_FINAL, "voicemail is final by policy")
        return _final(SummaryStatus.NOT_RETRYABLE, Reason.OUTCOME_NOT_RETRYABLE, f"{outcome} is not retried by policy")
    return _budget(policy, rule, tried) or _retry(policy, rule, tried, expires_at)


def _budget(policy: Policy, rule: OutcomeRule, tried: Sequence[Tried]) -> Decision | None:
    retries = len(tried) - 1
    outcome = tried[-1].outcome
    if retries >= policy.max_retries:
        return _final(
            SummaryStatus.ALL_RETRIES_EXHAUSTED,
            Reason.RETRIES_EXHAUSTED,
            f"{retries} of {policy.max_retries} retries used",
        )
    after_this = sum(1 for t in tried[:-1] if t.outcome is outcome)
    if rule.max_retries is not None and after_this >= rule.max_retries:
        return _final(
            SummaryStatus.ALL_RETRIES_EXHAUSTED,
            Reason.OUTCOME_RETRIES_EXHAUSTED,
            f"{after_this} of {rule.max_retries} retries after {outcome} used",
        )
    return None


def _retry(policy: Policy, rule: OutcomeRule, tried: Sequence[Tried], expires_at: datetime) -> Decision:
    last = tried[-1]
    wait_minutes = rule.wait_minutes if rule.wait_minutes is not None else _wait_minutes(policy)
    retry_at = last.ended_at + timedelta(minutes=wait_minutes)
    steps = (f"+{wait_minutes:g} min after {last.outcome}",)
    if retry_at > expires_at:
        return Decision(
            Reason.POLICY_EXPIRED,
            (*steps, f"the policy ended at {expires_at:%Y-%m-%dT%H:%M:%SZ}"),
            summary_status=SummaryStatus.EXPIRED,
        )
    return Decision(Reason.RETRY, steps, retry_at=retry_at)


def _wait_minutes(policy: Policy) -> float:
    return policy.strategy.wait_minutes if isinstance(policy.strategy, Fixed) else 0.0


def _final(summary: SummaryStatus, reason: Reason, step: str) -> Decision:
    return Decision(reason, (step,), summary_status=summary)
