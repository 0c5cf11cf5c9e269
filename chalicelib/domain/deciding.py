"""Decisions about a call after its attempt has ended, or was taken back.

decide() decides by the policy. If decide() says "retry", this module then checks three things that forbid a retry: a
cancel, a contact ("the customer called back") and the end of the policy. No late callback lifts these three.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib.domain.call import TIMED_OUT, Attempt, Call, CallRecord
from chalicelib.domain.decide import Decision, Reason, decide, reached_earlier
from chalicelib.domain.events import CallEvent
from chalicelib.domain.outcome import Outcome, SummaryStatus
from chalicelib.domain.transition import Effect, Transition, apply, becoming, failed_over

#: the waits after a provider rejected a call, because of a rate limit or a fault of the account: each wait is twice as
#: long as the one before, from the first to the last
FIRST_DEFERRAL = timedelta(minutes=1)
LAST_DEFERRAL = timedelta(minutes=30)
#: the longest wait that Redial accepts from a provider: a longer one could make the call expire
MAX_NAMED_WAIT = timedelta(hours=1)


def decided_after(record: CallRecord, ended: Attempt, event: CallEvent, now: datetime, *before: str) -> Transition:
    """Decide about the call after the end of an attempt.

    ``ended`` is the attempt with its end. ``before`` are the steps that come first in the decision. If the network
    could not connect the attempt, the retry uses the policy's second provider (see failed_over()).
    """
    call = record.call
    attempts = record.replacing(ended)
    decision = decide(call.policy, CallRecord(call, attempts).situation)
    decision = unless_forbidden(call, replace(decision, steps=(*before, *decision.steps)), now)
    changed = apply(call, decision, now)
    last = next((a for a in reversed(attempts) if a.counts), ended)
    if decision.retry_at is not None and last.outcome is not None:
        changed = replace(changed, next_target_url=call.policy.rule(last.outcome).target_url)
        if last.outcome is Outcome.FAILED and last.cause not in TIMED_OUT:
            changed = failed_over(changed)
    return becoming(record, changed, ended, effect=Effect.DECIDED, at=now, decision=decision, event=event)


def unless_forbidden(call: Call, decision: Decision, now: datetime) -> Decision:
    """Return the decision, or the end of the call if something forbids the retry.

    A cancel, a contact and the policy's end forbid a retry. If the customer called back and allows calls from
    ``not_before`` on, return the retry at that time at the earliest.
    """
    if decision.retry_at is None:
        return decision
    if call.canceled_at is not None:
        return canceled(*decision.steps, f"canceled by request at {call.canceled_at:%Y-%m-%dT%H:%M:%SZ}")
    if call.contacted_at is not None and call.not_before is None:
        return contacted(*decision.steps, called_back(call.contacted_at))
    if now > call.expires_at:
        ends = f"after the policy ended at {call.expires_at:%Y-%m-%dT%H:%M:%SZ}"
        late = f"the attempt's end became known at {now:%Y-%m-%dT%H:%M:%SZ}, {ends}"
        return Decision(Reason.POLICY_EXPIRED, (*decision.steps, late), summary_status=SummaryStatus.EXPIRED)
    if call.not_before is not None and decision.retry_at < call.not_before:
        step = f"postponed until {call.not_before:%Y-%m-%dT%H:%MZ}, because the customer called back"
        return replace(decision, steps=(*decision.steps, step), retry_at=call.not_before)
    return decision


def canceled(*steps: str) -> Decision:
    """Return the decision that ends a call as canceled by a user."""
    return Decision(Reason.CANCELED, steps, summary_status=SummaryStatus.CANCELED)


def contacted(*steps: str) -> Decision:
    """Return the decision that ends a call because the customer called back."""
    return Decision(Reason.CONTACTED, steps, summary_status=SummaryStatus.CANCELED)


def called_back(at: datetime) -> str:
    """Return the step that records a contact."""
    return f"the customer called back at {at:%Y-%m-%dT%H:%M:%SZ}"


def deferred_until(record: CallRecord, why: str, wait: timedelta | None, now: datetime) -> Decision:
    """Return the decision to dial later, because the provider placed no call.

    ``why`` is the first step. ``wait`` is the wait that the provider named, if any. If a late callback has shown
    meanwhile that an earlier attempt reached the person, the call ends instead.
    """
    call, reached = record.call, reached_earlier(record.situation, why)
    if reached is not None:
        return reached
    doubling = min(FIRST_DEFERRAL * 2 ** min(call.deferrals, 10), LAST_DEFERRAL)
    wait = min(wait, MAX_NAMED_WAIT) if wait else doubling
    steps = (why, f"+{round(wait.total_seconds() / 60, 1):g} min until the next try at the provider")
    if now + wait > call.expires_at:
        return Decision(Reason.POLICY_EXPIRED, steps, summary_status=SummaryStatus.EXPIRED)
    return unless_forbidden(call, Decision(Reason.DEFERRED_BY_PROVIDER, steps, retry_at=now + wait), now)


def postponed(call: Call, reason: Reason, step: str, until: datetime) -> Decision:
    """Return the decision to dial at ``until``, because an obstacle forbids it now.

    Obstacles are a full concurrency limit, a pause or a used budget, for example. ``step`` names the obstacle. If the
    policy ends before ``until``, the call ends as expired.
    """
    if until > call.expires_at:
        ends = f"after the policy ends at {call.expires_at:%Y-%m-%dT%H:%M:%SZ}"
        late = f"a retry at {until:%Y-%m-%dT%H:%M:%SZ} would come {ends}"
        return Decision(Reason.POLICY_EXPIRED, (step, late), summary_status=SummaryStatus.EXPIRED)
    return Decision(reason, (step, f"deferred until {until:%Y-%m-%dT%H:%M:%SZ}"), retry_at=until)
