"""The state machine of a call, as pure functions from a record to a transition.

    scheduled --claim, adopt--> dialing --absorb: answered--> in-progress --absorb: ended--> final

    state before              state after                      function: cause
    ------------------------  -------------------------------  ---------------------------------------------
    scheduled                 dialing                          claim, adopt
    scheduled                 scheduled, at another time       decided, contacted, wake
    scheduled                 final                            decided, contacted
    scheduled                 scheduled, or final              absorb: a late callback of an earlier attempt
    dialing                   in-progress                      absorb: the call was answered
    dialing                   scheduled, or final              defer: the provider rejected the attempt
    dialing, in-progress      scheduled, or final              absorb: the latest attempt has ended
    any state but final       final                            cancel, end, disown
    final                     scheduled, or another ending     absorb: a late callback

``absorb`` takes in each event of a provider. While an attempt is live, ``absorb`` records its progress. At the end of
the latest attempt, ``absorb`` decides: the call is scheduled again, or final. After the end of an attempt,
late_callbacks.py says what an event may still change.

If an attempt is silent until its deadline, Redial asks the provider, and silence.py says what happens next. A call can
be final while its attempt is still live. Then the attempt continues to its own end, and the history records that end.
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

#: the cause of an attempt whose dialer stopped before it recorded the provider's answer
DIALER_DIED = "dialer-died"
#: the cause of a deferral if Redial could not connect to the provider's API
NO_CONNECTION = "network"


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
    """Claim the next attempt. From now on it counts as made.

    It counts even if this Lambda dies before it dials. ``token`` is the secret part of the attempt's callback address.
    At ``deadline_at`` Redial asks the provider about the attempt. ``others_made`` are the attempts of other calls to
    the number. Raises ValueError if the call is not scheduled.
    """
    call = record.call
    if call.state is not CallState.SCHEDULED:
        raise ValueError(f"{call.id} is {call.state}; only a scheduled call can be claimed")
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
    """Adopt a call whose first attempt was placed by the user's own code.

    The attempt is in flight already. Raises ValueError if the call is not scheduled.
    """
    claimed = claim(record, token=token, now=now, deadline_at=deadline_at, others_made=others_made)
    if claimed.attempt is None:
        raise ValueError(f"{record.call.id} has no attempt to adopt")
    placed = replace(claimed.attempt, phase=AttemptPhase.PLACED, provider_call_id=provider_call_id)
    return replace(claimed, attempt=placed)


def with_other_attempts(
    record: CallRecord, others_made: tuple[datetime, ...], quiet_until: datetime | None = None
) -> CallRecord:
    """Return the record with the current attempts of other calls to the same number.

    Because of those attempts, the number is not dialled before ``quiet_until`` (None: no such time).
    """
    return replace(record, call=replace(record.call, others_made=others_made, quiet_until=quiet_until))


def absorb(record: CallRecord, number: int, event: CallEvent, now: datetime) -> Transition:
    """Take in an event about attempt ``number``, in any order and any number of times.

    The first terminal event of the latest attempt makes Redial decide. If there is evidence of a conversation, the
    evidence counts more than the outcome in the event (see reached.py). A later event may enrich the attempt, and three
    kinds of later events make Redial decide again (see late_callbacks.py). After a cancel or a contact, no event leads
    to another attempt. An erased call accepts no data about the person, and no event reopens it.
    """
    event = _acceptable(record.call, event)
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


def _acceptable(call: Call, event: CallEvent) -> CallEvent:
    """Return the event in the form that this call accepts."""
    if call.erased_at is not None:
        event = event.anonymous
    if call.is_adopted and event.fault is not None:
        # The user's own code chose the numbers of an adopted call. So the fault belongs to this call alone, and the
        # account keeps dialing its other calls.
        return replace(event, outcome=Outcome.ERROR, cause=event.cause or event.fault, fault=None)
    return event


def _is_other_leg(attempt: Attempt, event: CallEvent) -> bool:
    """Return whether the event is about a child leg, such as a transfer.

    A child leg has an id of its own, and the provider posts its events to the same callback address.
    """
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
    """End the attempt. If it is the latest of a live call, decide about the call."""
    if _is_latest_of_live(record.call, ended):
        return decided_after(record, ended, event, now)
    return _only_ended(record, ended, event, now)


def _faulted(record: CallRecord, ended: Attempt, event: CallEvent, now: datetime) -> Transition:
    """End an attempt that placed no call, and schedule another attempt.

    The account or the provider caused the fault, so the ended attempt uses up none of the policy's attempts.
    """
    call = record.call
    if not _is_latest_of_live(call, ended):
        return _only_ended(record, ended, event, now)
    decision = deferred_until(record, f"attempt {ended.number} placed no call ({event.fault})", None, now)
    if event.fault == NEVER_PLACED and decision.reason is Reason.DEFERRED_BY_PROVIDER:
        decision = replace(decision, reason=Reason.NEVER_PLACED)
    changed = replace(apply(call, decision, now), deferrals=call.deferrals + 1)
    return becoming(record, changed, ended, effect=Effect.DECIDED, at=now, decision=decision, event=event)


def _is_latest_of_live(call: Call, ended: Attempt) -> bool:
    return call.attempt == ended.number and call.is_live


def _only_ended(record: CallRecord, ended: Attempt, event: CallEvent, now: datetime) -> Transition:
    """End an attempt without a decision about the call.

    The deadline belongs to the latest attempt: the end of that attempt removes it, the end of another one does not.
    """
    call = record.call
    deadline_at = call.deadline_at if call.attempt != ended.number else None
    changed = replace(call, deadline_at=deadline_at)
    return becoming(record, changed, ended, effect=Effect.ENRICHED, at=now, event=event)


def decided(record: CallRecord, decision: Decision, now: datetime, waits_for: str | None = None) -> Transition:
    """Apply a decision to a scheduled call: it waits until another time, or ends.

    ``waits_for`` names the obstacle that the call waits for. If the call already waits for the same obstacle, the
    history records no second decision. Raises ValueError if the call is not scheduled.
    """
    call = record.call
    if call.state is not CallState.SCHEDULED:
        raise ValueError(f"{call.id} is {call.state}, so it cannot be rescheduled")
    waits = decision.retry_at is not None
    changed = replace(
        apply(call, decision, now), deferrals=call.deferrals if waits else 0, waits_for=waits_for if waits else None
    )
    if waits and waits_for is not None and call.waits_for == waits_for:
        return becoming(record, changed, effect=Effect.ENRICHED, at=now)
    return becoming(record, changed, effect=Effect.DECIDED, at=now, decision=decision)


def wake(record: CallRecord, now: datetime) -> Transition:
    """Make a scheduled call due now, because its obstacle is gone.

    This is not a decision, so the history does not record it.
    """
    call = record.call
    if call.state is not CallState.SCHEDULED:
        return unchanged(record, now)
    return becoming(record, replace(call, due_at=now), effect=Effect.ENRICHED, at=now)


def in_minute(transition: Transition, minute: datetime) -> Transition:
    """Return the transition unchanged if its dial may be made in that minute.

    Otherwise, return the transition with a later dial, or with the end of the call. The wheel books whole minutes. If a
    minute is full, the wheel offers a later one, and by then the window may have closed or the policy may have ended.
    """
    call, decision = transition.call, transition.decision
    checked = may_dial(call.policy, transition.after.situation, minute)
    if checked.retry_at == minute:
        return transition
    before = decision.steps if decision else ()
    steps = (*before, f"the next minute with room is {minute:%Y-%m-%dT%H:%MZ}", *checked.steps[1:])
    reason = decision.reason if decision and not checked.is_final else checked.reason
    moved = replace(checked, reason=reason, steps=steps)
    changed = apply(replace(call, ended_at=transition.before.call.ended_at), moved, transition.at)
    changed = replace(changed, deferrals=call.deferrals if moved.retry_at else 0)
    return replace(transition, call=changed, decision=moved, effect=Effect.DECIDED)


def defer(
    record: CallRecord, *, cause: str, wait: timedelta | None, evidence: Mapping[str, str], now: datetime
) -> Transition:
    """Take a claimed attempt back, because the provider did not place it.

    The reason is a fault of the provider or the account, not of the callee. ``wait`` is the wait that the provider
    named, if any. Raises ValueError if the call is not dialing.
    """
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
    """End a call as canceled.

    If the call has ended already, it keeps its ending. In both cases, no callback reopens the call.
    """
    call = replace(record.call, canceled_at=now)
    if record.call.canceled_at is not None:
        return unchanged(record, now)
    if call.state is CallState.FINAL:
        return becoming(record, call, effect=Effect.ENRICHED, at=now)
    return _over(record, call, canceled("canceled by request"), now)


def disown(record: CallRecord, number: int, now: datetime) -> Transition:
    """End an adopted call whose attempt was in fact placed by Redial for another call.

    The other call continues, and its history keeps the attempt.
    """
    attempt = record.attempt(number)
    ended = as_another_calls(attempt, now) if attempt is not None and attempt.outcome is None else None
    deadline_at = record.call.deadline_at if record.call.attempt != number else None
    call = replace(record.call, canceled_at=record.call.canceled_at or now, deadline_at=deadline_at)
    if call.state is CallState.FINAL:
        return becoming(record, call, ended, effect=Effect.ENRICHED, at=now)
    decision = canceled("Redial itself placed this call for another of its calls, and that call continues")
    over = replace(apply(call, decision, now), deadline_at=deadline_at)
    return becoming(record, over, ended, effect=Effect.DECIDED, at=now, decision=decision)


def contacted(record: CallRecord, not_before: datetime | None, now: datetime) -> Transition:
    """Record that the customer called back: dial never, or not before ``not_before``.

    A scheduled call ends, or waits longer. If an attempt is in flight, or if a late callback could reopen the call, the
    call keeps the contact for the next decision. Of several contacts, the strictest one holds.
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
        late = f"{until:%Y-%m-%dT%H:%MZ} is after the policy ends at {call.expires_at:%Y-%m-%dT%H:%MZ}"
        return _over(record, call, contact_ends(called_back(now), late), now)
    steps = (called_back(now), f"deferred until {until:%Y-%m-%dT%H:%MZ}")
    decision = Decision(Reason.CONTACTED, steps, retry_at=until)
    return becoming(record, apply(call, decision, now), effect=Effect.DECIDED, at=now, decision=decision)


def _remembering(call: Call, not_before: datetime | None, now: datetime) -> Call:
    """Return the call with the contact, if the contact can still change anything."""
    contacted_for_good = call.contacted_at is not None and call.not_before is None
    if contacted_for_good or not _may_still_dial(call):
        return call
    if not_before is not None and call.not_before is not None and not_before <= call.not_before:
        return call
    return replace(call, contacted_at=now, not_before=not_before)


def _may_still_dial(call: Call) -> bool:
    """Return whether the call is not final, or a late callback could reopen it."""
    if call.canceled_at is not None or call.erased_at is not None:
        return False
    return call.state is not CallState.FINAL or call.summary_status is SummaryStatus.COMPLETED or ended_unreached(call)


def end(record: CallRecord, *, summary: SummaryStatus, reason: Reason, step: str, now: datetime) -> Transition:
    """End a call in any state. An attempt in flight continues to its own end."""
    if record.call.state is CallState.FINAL:
        return unchanged(record, now)
    return _over(record, record.call, Decision(reason, (step,), summary_status=summary), now)


def _over(record: CallRecord, call: Call, decision: Decision, now: datetime) -> Transition:
    # The deadline of a live attempt stays: if its callback is lost, Redial still asks the provider.
    ended = replace(apply(call, decision, now), deadline_at=call.deadline_at)
    return becoming(record, ended, effect=Effect.DECIDED, at=now, decision=decision)
