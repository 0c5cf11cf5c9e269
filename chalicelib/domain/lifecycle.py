"""The state machine of a call: every change that can happen to it, as pure functions from record to transition.

scheduled --claim--> dialing --answered--> in-progress
    ^                   |                      |
    |                   +------ absorb --------+---> final
    +--- retry, put off +
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib.domain.call import (
    NEVER_HEARD_OF,
    NEVER_PLACED,
    Attempt,
    AttemptPhase,
    Call,
    CallRecord,
    CallState,
)
from chalicelib.domain.decide import Decision, Reason, decide
from chalicelib.domain.events import CallEvent
from chalicelib.domain.outcome import Outcome, SummaryStatus
from chalicelib.domain.reached import corrected_by, ended_unreached, having_heard, outcome_of_end, was_answered, weighed
from chalicelib.domain.transition import Effect, Transition, apply, enriched, failed_over

DIALER_DIED = "dialer-died"  # the cause of an attempt whose dial was never recorded, whatever came of it
NO_CONNECTION = "network"  # the cause of a put-off where the provider's API could not be reached at all
#: How long a call waits where its provider turned it away for pace or for a fault of the account: the delay doubles
#: from the first to the last.
PUT_OFF_FIRST = timedelta(minutes=1)
PUT_OFF_LAST = timedelta(minutes=30)


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
        version=call.version + 1,
        due_at=None,
        deadline_at=deadline_at,
        others_made=others_made,
    )
    return Transition(record, claimed, attempt, Effect.ENRICHED, at=now)


def adopt(
    record: CallRecord,
    *,
    token: str,
    provider_call_id: str,
    now: datetime,
    deadline_at: datetime,
    others_made: tuple[datetime, ...],
) -> Transition:
    """Take over a call that somebody else placed: its first attempt is out already."""
    claimed = claim(record, token=token, now=now, deadline_at=deadline_at, others_made=others_made)
    if claimed.attempt is None:
        raise ValueError(f"{record.call.id} has no attempt to take over")
    placed = replace(claimed.attempt, phase=AttemptPhase.PLACED, provider_call_id=provider_call_id)
    return replace(claimed, attempt=placed)


def having_made(record: CallRecord, others_made: tuple[datetime, ...]) -> CallRecord:
    """The record as it is with what is now known of other calls' attempts to the number."""
    return replace(record, call=replace(record.call, others_made=others_made))


def absorb(record: CallRecord, number: int, event: CallEvent, now: datetime) -> Transition:
    """Take in what a provider says of an attempt, in whatever order it comes and however often.

    The first terminal event of the latest attempt decides, and evidence of a conversation counts more than its word
    (see reached.py). What comes later may enrich an attempt. Three things make Redial decide again: evidence that an
    attempt was answered after all (see _corrected), a machine detected after ``completed`` (see _heard_machine_late),
    and the true end of an attempt that had been given up (see _heard_after_all). After a cancel they lead to no further
    attempt. An erased call takes in nothing that names the person, and is never reopened.
    """
    if record.call.erased_at is not None:
        event = event.anonymous
    if record.call.is_adopted and event.fault is not None:
        # Its numbers came from the user's own code: the fault is the call's, and the account's other calls go on.
        event = replace(event, outcome=Outcome.ERROR, cause=event.cause or event.fault, fault=None)
    attempt = record.attempt(number)
    if attempt is None or _is_other_leg(attempt, event):
        return Transition(record, record.call, None, Effect.NOTHING, at=now)
    if attempt.outcome is not None:
        return _after_the_end(record, attempt, event, now)
    if event.fault is not None and not was_answered(attempt, event):
        return _faulted(record, attempt, event, now)
    if event.outcome is None and event.fault is None:
        return _along_the_way(record, attempt, event, now)
    return _ended(record, attempt, event, now)


def _is_other_leg(attempt: Attempt, event: CallEvent) -> bool:
    """A child leg of our call (a transfer, say) posts to the same URL under an id of its own."""
    return attempt.provider_call_id is not None and event.provider_call_id != attempt.provider_call_id


def _along_the_way(record: CallRecord, attempt: Attempt, event: CallEvent, now: datetime) -> Transition:
    heard = having_heard(attempt, event, _when(event, attempt, now))
    changed = replace(heard, provider_call_id=event.provider_call_id, phase=AttemptPhase.PLACED)
    call = record.call
    answered = changed.answered_at is not None and attempt.answered_at is None
    if answered and call.attempt == attempt.number and call.state is CallState.DIALING:
        call = replace(call, state=CallState.IN_PROGRESS)
    if changed == attempt and call == record.call:
        return Transition(record, call, None, Effect.NOTHING, at=now)
    return enriched(record, call, changed, event, now)


def _ended(record: CallRecord, attempt: Attempt, event: CallEvent, now: datetime) -> Transition:
    return _decided(record, _with_end(attempt, event, now), event, now)


def _with_end(attempt: Attempt, event: CallEvent, now: datetime) -> Attempt:
    amd = attempt.amd or event.amd
    ended_at = _when(event, attempt, now)
    return replace(
        attempt,
        version=attempt.version + 1,
        phase=AttemptPhase.ENDED,
        provider_call_id=event.provider_call_id or attempt.provider_call_id,
        outcome=outcome_of_end(attempt, event),
        ended_at=ended_at,
        duration_sec=event.duration_sec if event.duration_sec is not None else _talked_sec(attempt, event, ended_at),
        amd=amd,
        cause=event.cause or event.fault,
        counts=True,
        evidence={**attempt.evidence, **event.evidence},
    )


def _faulted(record: CallRecord, attempt: Attempt, event: CallEvent, now: datetime) -> Transition:
    """No call came of the attempt, and the callee had no part in that: it counts for nothing, and another is made."""
    ended = replace(
        attempt,
        version=attempt.version + 1,
        phase=AttemptPhase.ENDED,
        provider_call_id=event.provider_call_id or attempt.provider_call_id,
        outcome=Outcome.ERROR,
        ended_at=_when(event, attempt, now),
        cause=event.cause or event.fault,
        counts=False,
        evidence={**attempt.evidence, **event.evidence},
    )
    call = record.call
    if call.attempt != attempt.number or not call.is_live:
        told = replace(call, version=call.version + 1, deadline_at=None)
        return Transition(record, told, ended, Effect.ENRICHED, event=event, at=now)
    decision = _put_off_until(call, f"attempt {attempt.number} came to nothing ({event.fault})", None, now)
    if event.fault == NEVER_PLACED and not decision.is_final:
        decision = replace(decision, reason=Reason.NEVER_PLACED)
    changed = replace(apply(call, decision, now), put_offs=call.put_offs + 1)
    return Transition(record, changed, ended, Effect.DECIDED, decision=decision, event=event, at=now)


def _after_the_end(record: CallRecord, attempt: Attempt, event: CallEvent, now: datetime) -> Transition:
    if event.outcome is not None and attempt.cause in (NEVER_HEARD_OF, NEVER_PLACED):
        return _heard_after_all(record, attempt, event, now)
    if corrected_by(attempt, event):
        return _corrected(record, attempt, event, now)
    if event.amd is not None and attempt.amd is None:
        heard = replace(attempt, amd=event.amd, evidence={**attempt.evidence, **event.evidence})
        if event.amd.is_machine and attempt.outcome is Outcome.COMPLETED:
            return _heard_machine_late(record, heard, event, now)
        return enriched(record, record.call, heard, event, now)
    if event.outcome is not None and attempt.duration_sec is None and event.duration_sec is not None:
        return enriched(record, record.call, replace(attempt, duration_sec=event.duration_sec), event, now)
    return Transition(record, record.call, None, Effect.NOTHING, at=now)


def _heard_after_all(record: CallRecord, attempt: Attempt, event: CallEvent, now: datetime) -> Transition:
    """An attempt that ended for want of news gets its true end, hours late perhaps.

    A call that waits for its next attempt, or that ended unreached, is decided about as if the end had been known:
    nobody is called after having been reached, and no retry is lost that the policy allows.
    """
    ended = _with_end(attempt, event, now)
    return _told_late(record, ended, event, now, f"attempt {ended.number} had been given up ({attempt.cause})")


def _corrected(record: CallRecord, attempt: Attempt, event: CallEvent, now: datetime) -> Transition:
    """The attempt had ended as not answered, and this event proves that it was: ``completed``, or ``voicemail``.

    A retry that waits is called off where a person was reached, for the call then ends as completed. A voicemail is
    decided about as if it had been known. A later attempt that is in flight goes on, and is the call's last.
    """
    heard = having_heard(attempt, event, min(_when(event, attempt, now), attempt.ended_at or now))
    ended = replace(
        heard,
        version=attempt.version + 1,
        outcome=weighed(event.outcome or Outcome.COMPLETED, answered=True, amd=heard.amd),
        duration_sec=event.duration_sec if event.duration_sec is not None else attempt.duration_sec,
        counts=True,
        evidence={**attempt.evidence, **event.evidence},
    )
    return _told_late(
        record, ended, event, now, f"attempt {ended.number} was answered, although it ended {attempt.outcome}"
    )


def _told_late(record: CallRecord, ended: Attempt, event: CallEvent, now: datetime, step: str) -> Transition:
    """Take in how an attempt that had ended really ended, and decide about the call as if it had been known.

    What an earlier attempt came to, short of reaching the person, is no reason to move a retry that is planned.
    """
    call = record.call
    tells = ended.outcome is Outcome.COMPLETED or call.attempt == ended.number
    if (tells and call.state is CallState.SCHEDULED) or ended_unreached(call):
        return _decided_anew(record, ended, event, now, step)
    return enriched(record, call, replace(ended, version=ended.version - 1), event, now)


def _heard_machine_late(record: CallRecord, heard: Attempt, event: CallEvent, now: datetime) -> Transition:
    """The provider said ``completed`` and then that a machine had answered: the attempt was a voicemail.

    The call is decided anew as if it had been known, so that the order of the two callbacks makes no difference.
    A call that has been canceled meanwhile stays so.
    """
    voicemail = replace(heard, outcome=Outcome.VOICEMAIL, version=heard.version + 1)
    if record.call.attempt == heard.number and record.call.summary_status is SummaryStatus.COMPLETED:
        return _decided(record, voicemail, event, now)
    return enriched(record, record.call, replace(heard, outcome=Outcome.VOICEMAIL), event, now)


def _talked_sec(attempt: Attempt, event: CallEvent, ended_at: datetime) -> int | None:
    """How long an answered call lasted, for a provider that does not say so (Telnyx's hangup has no duration).

    None where no callback told of the end.
    """
    if attempt.answered_at is None or event.cause == NEVER_HEARD_OF:
        return None
    return max(0, round((ended_at - attempt.answered_at).total_seconds()))


def _decided(record: CallRecord, ended: Attempt, event: CallEvent, now: datetime) -> Transition:
    """End the attempt and, where it is the latest of a call that still lives, decide about the call."""
    call = record.call
    canceled = call.state is CallState.FINAL and call.summary_status is not SummaryStatus.COMPLETED
    if call.attempt != ended.number or canceled:
        deadline_at = call.deadline_at if call.attempt != ended.number else None
        told = replace(call, version=call.version + 1, deadline_at=deadline_at)
        return Transition(record, told, ended, Effect.ENRICHED, event=event, at=now)
    return _decided_anew(record, ended, event, now)


def _decided_anew(record: CallRecord, ended: Attempt, event: CallEvent, now: datetime, *before: str) -> Transition:
    """Decide about the call as it is with this end. ``before`` are the steps that led here."""
    call = record.call
    attempts = record.replacing(ended)
    decision = decide(call.policy, CallRecord(call, attempts).situation)
    decision = replace(decision, steps=(*before, *decision.steps))
    if decision.retry_at is not None:
        decision = _unless_over(call, decision, now)
    changed = apply(call, decision, now)
    if call.ended_at is not None and decision.is_final:
        changed = replace(changed, ended_at=call.ended_at)  # it ended then; only how, is news
    last = attempts[-1]
    if decision.retry_at is not None and last.outcome is not None:
        changed = replace(changed, next_target_url=call.policy.rule(last.outcome).target_url)
        if last.outcome is Outcome.FAILED and last.cause != NEVER_HEARD_OF:
            changed = failed_over(changed)
    return Transition(record, changed, ended, Effect.DECIDED, decision=decision, event=event, at=now)


def _unless_over(call: Call, decision: Decision, now: datetime) -> Decision:
    """The decision to try again, where the news that it rests on has not come too late for that."""
    if call.canceled_at is not None:
        return _canceled(*decision.steps, f"canceled by request at {call.canceled_at:%Y-%m-%dT%H:%M:%SZ}")
    if now > call.expires_at:
        late = f"heard of at {now:%Y-%m-%dT%H:%M:%SZ}, after the policy ends at {call.expires_at:%Y-%m-%dT%H:%M:%SZ}"
        return Decision(Reason.POLICY_EXPIRED, (*decision.steps, late), summary_status=SummaryStatus.EXPIRED)
    return decision


def decided(record: CallRecord, decision: Decision, now: datetime) -> Transition:
    """What a decision makes of a call that waits: it waits until another time, or it ends."""
    call = record.call
    if call.state is not CallState.SCHEDULED:
        raise ValueError(f"{call.id} is {call.state}, so there is nothing to move")
    put_offs = call.put_offs if decision.retry_at else 0
    changed = replace(apply(call, decision, now), put_offs=put_offs)
    return Transition(record, changed, None, Effect.DECIDED, decision=decision, at=now)


def put_off(
    record: CallRecord, *, cause: str, wait: timedelta | None, evidence: Mapping[str, str], now: datetime
) -> Transition:
    """Take a claimed attempt back: the provider surely did not place it and the callee had no part in that."""
    call = record.call
    attempt = record.attempt(call.attempt)
    if call.state is not CallState.DIALING or attempt is None:
        raise ValueError(f"{call.id} is {call.state}, so nothing can be put off")
    decision = _put_off_until(call, f"the provider turned attempt {attempt.number} away ({cause})", wait, now)
    back = replace(apply(call, decision, now), attempt=attempt.number - 1, put_offs=call.put_offs + 1)
    if cause == NO_CONNECTION:
        back = failed_over(back)
    refused = replace(attempt, cause=cause, evidence=evidence)
    return Transition(record, back, refused, Effect.DECIDED, decision=decision, dropped=True, at=now)


def _put_off_until(call: Call, why: str, wait: timedelta | None, now: datetime) -> Decision:
    wait = wait or min(PUT_OFF_FIRST * 2 ** min(call.put_offs, 10), PUT_OFF_LAST)
    steps = (why, f"+{round(wait.total_seconds() / 60, 1):g} min until the provider is asked again")
    if now + wait > call.expires_at:
        return Decision(Reason.POLICY_EXPIRED, steps, summary_status=SummaryStatus.EXPIRED)
    return Decision(Reason.PUT_OFF_BY_PROVIDER, steps, retry_at=now + wait)


def cancel(record: CallRecord, now: datetime) -> Transition:
    """End a call as canceled. One that has ended stays as it ended, but nothing can reopen it any more."""
    call = record.call
    if call.canceled_at is not None:
        return Transition(record, call, None, Effect.NOTHING, at=now)
    if call.state is not CallState.FINAL:
        return _end(record, _canceled("canceled by request"), replace(call, canceled_at=now), now)
    closed = replace(call, canceled_at=now, version=call.version + 1)
    return Transition(record, closed, None, Effect.ENRICHED, at=now)


def _canceled(*steps: str) -> Decision:
    return Decision(Reason.CANCELED, steps, summary_status=SummaryStatus.CANCELED)


def end(record: CallRecord, *, summary: SummaryStatus, reason: Reason, step: str, now: datetime) -> Transition:
    """End a call whatever it is doing; an attempt that is out goes on to its own end in the history."""
    call = record.call
    if call.state is CallState.FINAL:
        return Transition(record, call, None, Effect.NOTHING, at=now)
    return _end(record, Decision(reason, (step,), summary_status=summary), call, now)


def _end(record: CallRecord, decision: Decision, call: Call, now: datetime) -> Transition:
    # A live attempt keeps its deadline, so that a lost callback of it is still looked for.
    ended = replace(apply(call, decision, now), deadline_at=call.deadline_at)
    return Transition(record, ended, None, Effect.DECIDED, decision=decision, at=now)


def postponed(call: Call, reason: Reason, step: str, until: datetime) -> Decision:
    """The decision to try a call again later that cannot be dialled just now, for no fault of its own."""
    if until > call.expires_at:
        late = f"that is after the policy ends at {call.expires_at:%Y-%m-%dT%H:%M:%SZ}"
        return Decision(Reason.POLICY_EXPIRED, (step, late), summary_status=SummaryStatus.EXPIRED)
    return Decision(reason, (step, f"put off until {until:%Y-%m-%dT%H:%M:%SZ}"), retry_at=until)


def lose_sight(record: CallRecord, until: datetime, now: datetime) -> Transition:
    """Nobody knows whether the claimed attempt was placed: whoever was asking for it died. Wait for news of it."""
    attempt = record.attempt(record.call.attempt)
    if attempt is None:
        raise ValueError(f"{record.call.id} has no attempt to lose sight of")
    call = replace(record.call, deadline_at=until, version=record.call.version + 1)
    unknown = replace(
        attempt,
        phase=AttemptPhase.PLACEMENT_UNKNOWN,
        cause=attempt.cause or DIALER_DIED,
        version=attempt.version + 1,
    )
    return Transition(record, call, unknown, Effect.ENRICHED, at=now)


def extend_deadline(record: CallRecord, until: datetime, now: datetime) -> Transition:
    """Wait longer for the end of an attempt that the provider says is still going on."""
    call = replace(record.call, deadline_at=until, version=record.call.version + 1)
    return Transition(record, call, None, Effect.ENRICHED, at=now)


def _when(event: CallEvent, attempt: Attempt, now: datetime) -> datetime:
    """The provider's time where it can be true, else ours: its clock may be off, and its callbacks hours late."""
    if event.occurred_at is not None and attempt.claimed_at <= event.occurred_at <= now:
        return event.occurred_at
    return now
