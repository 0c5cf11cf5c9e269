"""The state machine of a call: every change that can happen to it, as pure functions from record to transition.

    scheduled --claim, adopt--> dialing --absorb: answered--> in-progress --absorb: ended--> final

    a call that is            becomes                          by
    ------------------------  -------------------------------  ----------------------------------------
    scheduled                 dialing                          claim, adopt
    scheduled                 scheduled, for another time      decided, contacted, wake
    scheduled                 final                            decided, contacted
    dialing                   in-progress                      absorb: somebody answered
    dialing                   scheduled, or final              defer: the provider rejected the attempt
    dialing, or in progress   scheduled, or final              absorb: the latest attempt has ended
    anything but final        final                            cancel, end, disown
    final                     scheduled, or final otherwise    absorb: a late callback

``absorb`` takes in what a provider says: along the way it notes, at the end of the latest attempt it decides (back to
scheduled, or final), and after the end late_callbacks.py says what may still change. A silent attempt is asked about,
and silence.py says what becomes of it. A live attempt of a call that is final goes on to its own end in the history.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib.domain.attempt_ends import as_another_calls, under_way, with_end, with_fault
from chalicelib.domain.call import NEVER_PLACED, Attempt, AttemptPhase, Call, CallRecord, CallState
from chalicelib.domain.decide import Decision, Reason, may_dial
from chalicelib.domain.deciding import called_back, canceled, decided_after, deferred_until
from chalicelib.domain.deciding import contacted as contact_ends
from chalicelib.domain.events import CallEvent
from chalicelib.domain.late_callbacks import after_the_end
from chalicelib.domain.outcome import Outcome, SummaryStatus
from chalicelib.domain.reached import ended_unreached, was_answered
from chalicelib.domain.transition import Effect, Transition, apply, becoming, failed_over, unchanged

DIALER_DIED = "dialer-died"  # the cause of an attempt whose dial was never recorded
NO_CONNECTION = "network"  # the cause of a deferral where the provider's API could not be reached at all


def claim(
    record: CallRecord,
    *,
    token: str,
    now: datetime,
    deadline_at: datetime,
    others_made: tuple[datetime, ...] = (),
    slots: tuple[str, ...] = (),
    budget: str | None = None,
) -> Transition:
    """Take the next attempt: from here on it counts as made, whatever becomes of us."""
    call = record.call
    if call.state is not CallState.SCHEDULED:
        raise ValueError(f"{call.id} is {call.state}, so nothing is to be claimed")
    number = call.attempt + 1
    attempt = Attempt(
        call_id=call.id,
        number=number,
        token=token,
        claimed_at=now,
        provider=call.provider,
        target_url=call.next_target_url or call.target_url,
        slots=slots,
        budget=budget,
    )
    claimed = replace(
        call,
        state=CallState.DIALING,
        attempt=number,
        due_at=None,
        places=(),
        waits_for=None,
        deadline_at=deadline_at,
        others_made=others_made,
    )
    return becoming(record, claimed, attempt, effect=Effect.CLAIMED, at=now)


def adopt(
    record: CallRecord,
    *,
    token: str,
    provider_call_id: str,
    now: datetime,
    deadline_at: datetime,
    others_made: tuple[datetime, ...],
) -> Transition:
    """Take over a call that somebody else placed: its first attempt is in flight already."""
    claimed = claim(record, token=token, now=now, deadline_at=deadline_at, others_made=others_made)
    if claimed.attempt is None:
        raise ValueError(f"{record.call.id} has no attempt to take over")
    placed = replace(claimed.attempt, phase=AttemptPhase.PLACED, provider_call_id=provider_call_id)
    return replace(claimed, attempt=placed)


def with_other_attempts(
    record: CallRecord, others_made: tuple[datetime, ...], quiet_until: datetime | None = None
) -> CallRecord:
    """The record as it is with what is now known of other calls' attempts to the number."""
    return replace(record, call=replace(record.call, others_made=others_made, quiet_until=quiet_until))


def absorb(record: CallRecord, number: int, event: CallEvent, now: datetime) -> Transition:
    """Take in what a provider says of an attempt, in whatever order it comes and however often.

    The first terminal event of the latest attempt decides, and evidence of a conversation counts more than its word
    (see reached.py). What comes later may enrich an attempt, and three kinds of it make Redial decide again (see
    late_callbacks.py). After a cancel or a contact they lead to no further attempt. An erased call takes in nothing
    that names the person, and is never reopened.
    """
    event = _as_told(record.call, event)
    attempt = record.attempt(number)
    if attempt is None or _is_other_leg(attempt, event):
        return unchanged(record, now)
    if attempt.outcome is not None:
        return after_the_end(record, attempt, event, now)
    if event.fault is not None and not was_answered(attempt, event):
        return _faulted(record, with_fault(attempt, event, now), event, now)
    if not event.is_terminal:
        return _along_the_way(record, attempt, event, now)
    return _ended(record, with_end(attempt, event, now), event, now)


def _as_told(call: Call, event: CallEvent) -> CallEvent:
    """Return the event as this call may take it in."""
    if call.erased_at is not None:
        event = event.anonymous
    if call.is_adopted and event.fault is not None:
        # Its numbers came from the user's own code: the fault is the call's, and the account's other calls go on.
        return replace(event, outcome=Outcome.ERROR, cause=event.cause or event.fault, fault=None)
    return event


def _is_other_leg(attempt: Attempt, event: CallEvent) -> bool:
    """A child leg of our call (a transfer, say) posts to the same URL under an id of its own."""
    return attempt.provider_call_id is not None and event.provider_call_id != attempt.provider_call_id


def _along_the_way(record: CallRecord, attempt: Attempt, event: CallEvent, now: datetime) -> Transition:
    changed = under_way(attempt, event, now)
    call = record.call
    answered = changed.answered_at is not None and attempt.answered_at is None
    if answered and call.attempt == attempt.number and call.state is CallState.DIALING:
        call = replace(call, state=CallState.IN_PROGRESS)
    if changed == attempt and call == record.call:
        return unchanged(record, now)
    return becoming(record, call, changed, effect=Effect.ENRICHED, at=now, event=event)


def _ended(record: CallRecord, ended: Attempt, event: CallEvent, now: datetime) -> Transition:
    """End the attempt and, where it is the latest of a call that still lives, decide about the call."""
    if _is_latest_of_live(record.call, ended):
        return decided_after(record, ended, event, now)
    return _only_ended(record, ended, event, now)


def _faulted(record: CallRecord, ended: Attempt, event: CallEvent, now: datetime) -> Transition:
    """No call came of the attempt, and the callee had no part in that: it counts for nothing, and another is made."""
    call = record.call
    if not _is_latest_of_live(call, ended):
        return _only_ended(record, ended, event, now)
    decision = deferred_until(record, f"attempt {ended.number} came to nothing ({event.fault})", None, now)
    if event.fault == NEVER_PLACED and decision.reason is Reason.DEFERRED_BY_PROVIDER:
        decision = replace(decision, reason=Reason.NEVER_PLACED)
    changed = replace(apply(call, decision, now), deferrals=call.deferrals + 1)
    return becoming(record, changed, ended, effect=Effect.DECIDED, at=now, decision=decision, event=event)


def _is_latest_of_live(call: Call, ended: Attempt) -> bool:
    return call.attempt == ended.number and call.is_live


def _only_ended(record: CallRecord, ended: Attempt, event: CallEvent, now: datetime) -> Transition:
    """End an attempt that decides nothing. A deadline goes with the attempt that it was set for, and no other."""
    call = record.call
    deadline_at = call.deadline_at if call.attempt != ended.number else None
    told = replace(call, deadline_at=deadline_at)
    return becoming(record, told, ended, effect=Effect.ENRICHED, at=now, event=event)


def decided(record: CallRecord, decision: Decision, now: datetime, waits_for: str | None = None) -> Transition:
    """What a decision makes of a call that waits: it waits until another time, or it ends.

    ``waits_for`` names the obstacle that it waits for. To wait on for the same one is no second decision.
    """
    call = record.call
    if call.state is not CallState.SCHEDULED:
        raise ValueError(f"{call.id} is {call.state}, so there is nothing to move")
    waits = decision.retry_at is not None
    changed = replace(
        apply(call, decision, now), deferrals=call.deferrals if waits else 0, waits_for=waits_for if waits else None
    )
    if waits and waits_for is not None and call.waits_for == waits_for:
        return becoming(record, changed, effect=Effect.ENRICHED, at=now)
    return becoming(record, changed, effect=Effect.DECIDED, at=now, decision=decision)


def wake(record: CallRecord, now: datetime) -> Transition:
    """Let a call that waits ask again now: what it waited for is over. No decision is taken."""
    call = record.call
    if call.state is not CallState.SCHEDULED:
        return unchanged(record, now)
    return becoming(record, replace(call, due_at=now), effect=Effect.ENRICHED, at=now)


def in_minute(transition: Transition, minute: datetime) -> Transition:
    """Return the transition as it is where its dial may be made in that minute; else moved on, or ended.

    The wheel books whole minutes, and a full minute leads to a later one: by then the window may have closed or the
    policy ended.
    """
    call, decision = transition.call, transition.decision
    checked = may_dial(call.policy, transition.after.situation, minute)
    if checked.retry_at == minute:
        return transition
    before = decision.steps if decision else ()
    steps = (*before, f"the wheel has room at {minute:%Y-%m-%dT%H:%MZ}", *checked.steps[1:])
    reason = decision.reason if decision and not checked.is_final else checked.reason
    moved = replace(checked, reason=reason, steps=steps)
    changed = apply(replace(call, ended_at=transition.before.call.ended_at), moved, transition.at)
    changed = replace(changed, deferrals=call.deferrals if moved.retry_at else 0)
    return replace(transition, call=changed, decision=moved, effect=Effect.DECIDED)


def defer(
    record: CallRecord, *, cause: str, wait: timedelta | None, evidence: Mapping[str, str], now: datetime
) -> Transition:
    """Take a claimed attempt back: the provider did not place it, and the callee had no part in that."""
    call = record.call
    attempt = record.attempt(call.attempt)
    if call.state is not CallState.DIALING or attempt is None:
        raise ValueError(f"{call.id} is {call.state}, so no dial can be deferred")
    decision = deferred_until(record, f"the provider rejected attempt {attempt.number} ({cause})", wait, now)
    back = replace(apply(call, decision, now), attempt=attempt.number - 1, deferrals=call.deferrals + 1)
    if cause == NO_CONNECTION:
        back = failed_over(back)
    refused = replace(attempt, cause=cause, evidence=evidence)
    return becoming(record, back, refused, effect=Effect.DECIDED, at=now, decision=decision, dropped=True)


def cancel(record: CallRecord, now: datetime) -> Transition:
    """End a call as canceled. One that has ended stays as it ended, but nothing can reopen it any more."""
    call = replace(record.call, canceled_at=now)
    if record.call.canceled_at is not None:
        return unchanged(record, now)
    if call.state is CallState.FINAL:
        return becoming(record, call, effect=Effect.ENRICHED, at=now)
    return _over(record, call, canceled("canceled by request"), now)


def disown(record: CallRecord, number: int, now: datetime) -> Transition:
    """End an adopted call whose attempt turns out to be one that Redial placed for another call, which goes on."""
    attempt = record.attempt(number)
    ended = as_another_calls(attempt, now) if attempt is not None and attempt.outcome is None else None
    deadline_at = record.call.deadline_at if record.call.attempt != number else None
    call = replace(record.call, canceled_at=record.call.canceled_at or now, deadline_at=deadline_at)
    if call.state is CallState.FINAL:
        return becoming(record, call, ended, effect=Effect.ENRICHED, at=now)
    decision = canceled("Redial placed this call itself, for another call that goes on")
    over = replace(apply(call, decision, now), deadline_at=deadline_at)
    return becoming(record, over, ended, effect=Effect.DECIDED, at=now, decision=decision)


def contacted(record: CallRecord, not_before: datetime | None, now: datetime) -> Transition:
    """Leave the person alone who called back: for good, or until ``not_before``.

    A call that waits for its dial ends, or waits longer. One whose attempt is in flight, or that a late callback could
    reopen, remembers it for whatever is decided next. Of several contacts the one that forbids most holds.
    """
    call = _remembering(record.call, not_before, now)
    if call == record.call:
        return unchanged(record, now)
    if call.state is not CallState.SCHEDULED or call.due_at is None:
        return becoming(record, call, effect=Effect.ENRICHED, at=now)
    if call.not_before is None:
        return _over(record, call, contact_ends(called_back(now)), now)
    until = call.not_before
    if until <= call.due_at:
        return becoming(record, call, effect=Effect.ENRICHED, at=now)
    if until > call.expires_at:
        late = f"deferred until {until:%Y-%m-%dT%H:%MZ}, after the policy ends"
        return _over(record, call, contact_ends(called_back(now), late), now)
    steps = (called_back(now), f"deferred until {until:%Y-%m-%dT%H:%MZ}")
    decision = Decision(Reason.CONTACTED, steps, retry_at=until)
    return becoming(record, apply(call, decision, now), effect=Effect.DECIDED, at=now, decision=decision)


def _remembering(call: Call, not_before: datetime | None, now: datetime) -> Call:
    """Return the call with the contact recorded, where that can still make a difference."""
    contacted_for_good = call.contacted_at is not None and call.not_before is None
    if contacted_for_good or not _may_still_dial(call):
        return call
    if not_before is not None and call.not_before is not None and not_before <= call.not_before:
        return call
    return replace(call, contacted_at=now, not_before=not_before)


def _may_still_dial(call: Call) -> bool:
    """True for a call that has not ended, and for one that a late callback could reopen."""
    if call.canceled_at is not None or call.erased_at is not None:
        return False
    return call.state is not CallState.FINAL or call.summary_status is SummaryStatus.COMPLETED or ended_unreached(call)


def end(record: CallRecord, *, summary: SummaryStatus, reason: Reason, step: str, now: datetime) -> Transition:
    """End a call whatever it is doing; an attempt that is in flight goes on to its own end in the history."""
    if record.call.state is CallState.FINAL:
        return unchanged(record, now)
    return _over(record, record.call, Decision(reason, (step,), summary_status=summary), now)


def _over(record: CallRecord, call: Call, decision: Decision, now: datetime) -> Transition:
    # A live attempt keeps its deadline, so that a lost callback of it is still looked for.
    ended = replace(apply(call, decision, now), deadline_at=call.deadline_at)
    return becoming(record, ended, effect=Effect.DECIDED, at=now, decision=decision)
