"""Decide about a call after its attempt has ended, or was taken back: what decide() says, less what a user has said.

A cancel and a contact hold whatever comes in later, and so does the end of the policy.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib.domain.call import TIMED_OUT, Attempt, Call, CallRecord
from chalicelib.domain.decide import Decision, Reason, decide, reached_earlier
from chalicelib.domain.events import CallEvent
from chalicelib.domain.outcome import Outcome, SummaryStatus
from chalicelib.domain.transition import Effect, Transition, apply, becoming, failed_over

#: How long a call waits after its provider rejected it for the rate or for a fault of the account: the delay doubles
#: from the first to the last.
FIRST_DEFERRAL = timedelta(minutes=1)
LAST_DEFERRAL = timedelta(minutes=30)
#: A provider that names a longer wait is not believed: a call would end for it.
MAX_NAMED_WAIT = timedelta(hours=1)


def decided_after(record: CallRecord, ended: Attempt, event: CallEvent, now: datetime, *before: str) -> Transition:
    """Decide about the call as it is with this end. ``before`` are the steps that led here."""
    call = record.call
    attempts = record.replacing(ended)
    decision = decide(call.policy, CallRecord(call, attempts).situation)
    decision = as_agreed(call, replace(decision, steps=(*before, *decision.steps)), now)
    changed = apply(call, decision, now)
    last = attempts[-1]
    if decision.retry_at is not None and last.outcome is not None:
        changed = replace(changed, next_target_url=call.policy.rule(last.outcome).target_url)
        if last.outcome is Outcome.FAILED and last.cause not in TIMED_OUT:
            changed = failed_over(changed)
    return becoming(record, changed, ended, effect=Effect.DECIDED, at=now, decision=decision, event=event)


def as_agreed(call: Call, decision: Decision, now: datetime) -> Decision:
    """Return a decision to try again as far as a cancel, a contact and the end of the policy leave it."""
    if decision.retry_at is None:
        return decision
    if call.canceled_at is not None:
        return canceled(*decision.steps, f"canceled by request at {call.canceled_at:%Y-%m-%dT%H:%M:%SZ}")
    if call.contacted_at is not None and call.not_before is None:
        return contacted(*decision.steps, called_back(call.contacted_at))
    if now > call.expires_at:
        ends = f"after the policy ends at {call.expires_at:%Y-%m-%dT%H:%M:%SZ}"
        late = f"its end became known at {now:%Y-%m-%dT%H:%M:%SZ}, {ends}"
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
    """Return the step that tells of a contact."""
    return f"the customer called back at {at:%Y-%m-%dT%H:%M:%SZ}"


def deferred_until(record: CallRecord, why: str, wait: timedelta | None, now: datetime) -> Decision:
    """Return the decision to ask the provider again later; ``wait`` is what the provider asked for, if it did.

    A call whose earlier attempt turns out to have reached the person meanwhile ends instead.
    """
    call, reached = record.call, reached_earlier(record.situation, why)
    if reached is not None:
        return reached
    doubling = min(FIRST_DEFERRAL * 2 ** min(call.deferrals, 10), LAST_DEFERRAL)
    wait = min(wait, MAX_NAMED_WAIT) if wait else doubling
    steps = (why, f"+{round(wait.total_seconds() / 60, 1):g} min until the next try at the provider")
    if now + wait > call.expires_at:
        return Decision(Reason.POLICY_EXPIRED, steps, summary_status=SummaryStatus.EXPIRED)
    return as_agreed(call, Decision(Reason.DEFERRED_BY_PROVIDER, steps, retry_at=now + wait), now)


def postponed(call: Call, reason: Reason, step: str, until: datetime) -> Decision:
    """The decision to try a call again later that cannot be dialled just now, for no fault of its own."""
    if until > call.expires_at:
        late = f"that is after the policy ends at {call.expires_at:%Y-%m-%dT%H:%M:%SZ}"
        return Decision(Reason.POLICY_EXPIRED, (step, late), summary_status=SummaryStatus.EXPIRED)
    return Decision(reason, (step, f"deferred until {until:%Y-%m-%dT%H:%M:%SZ}"), retry_at=until)
