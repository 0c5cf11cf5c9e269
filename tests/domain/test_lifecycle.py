"""The state machine, event by event, without AWS."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain import lifecycle
from chalicelib.domain.call import AttemptPhase, Call, CallRecord, CallState
from chalicelib.domain.decide import Decision, Reason
from chalicelib.domain.events import CallEvent, Progress
from chalicelib.domain.outcome import Amd, Outcome, SummaryStatus
from chalicelib.domain.policy import Fixed, OutcomeRule, Policy
from chalicelib.domain.transition import Effect, Transition
from tests.support.world import START

SID = "CA1"
DEADLINE = START + timedelta(hours=1)


def new_call(**changes: object) -> CallRecord:
    policy = Policy(
        max_retries=2,
        strategy=Fixed(30),
        on={Outcome.BUSY: OutcomeRule(True), Outcome.VOICEMAIL: OutcomeRule(True)},
    )
    call = Call(
        id="call_1",
        workspace="acme",
        to_number="+16505550199",
        from_number="+14155550100",
        provider="twilio",
        account="twilio:AC",
        policy=policy,
        created_at=START,
        expires_at=START + timedelta(hours=72),
    )
    return CallRecord(replace(call, **changes))  # type: ignore[arg-type]


def claimed(record: CallRecord, now: datetime = START) -> CallRecord:
    return lifecycle.claim(record, token="t", now=now, deadline_at=DEADLINE).after


def ended(outcome: Outcome, **fields: object) -> CallEvent:
    return CallEvent(event_id=f"end-{outcome}", provider_call_id=SID, status=outcome, outcome=outcome, **fields)  # type: ignore[arg-type]


def progressed(progress: Progress) -> CallEvent:
    return CallEvent(event_id=progress, provider_call_id=SID, status=progress, progress=progress)


def heard(amd: Amd) -> CallEvent:
    return CallEvent(event_id=f"amd-{amd}", provider_call_id=SID, amd=amd)


def test_a_claim_takes_the_next_attempt_and_leaves_nothing_due() -> None:
    record = claimed(new_call(due_at=START))
    assert (record.call.state, record.call.attempt, record.call.due_at) == (CallState.DIALING, 1, None)
    assert record.call.deadline_at == DEADLINE
    assert [(a.number, a.phase) for a in record.attempts] == [(1, AttemptPhase.DIALING)]


@pytest.mark.parametrize("state", [CallState.DIALING, CallState.IN_PROGRESS, CallState.FINAL])
def test_only_a_scheduled_call_can_be_claimed(state: CallState) -> None:
    with pytest.raises(ValueError, match="only a scheduled call can be claimed"):
        claimed(new_call(state=state))


def test_a_terminal_event_decides_and_says_why() -> None:
    transition = lifecycle.absorb(claimed(new_call()), 1, ended(Outcome.BUSY), START + timedelta(seconds=20))
    assert transition.effect is Effect.DECIDED
    assert transition.decision is not None
    assert (transition.decision.reason, transition.decision.steps) == (Reason.RETRY, ("+30 min after busy",))
    assert transition.call.due_at == START + timedelta(minutes=30, seconds=20)
    assert (transition.call.state, transition.call.deadline_at) == (CallState.SCHEDULED, None)


def test_the_wait_counts_from_the_providers_time_if_plausible() -> None:
    now = START + timedelta(hours=2)
    said = START + timedelta(seconds=30)
    transition = lifecycle.absorb(claimed(new_call()), 1, ended(Outcome.BUSY, occurred_at=said), now)
    assert transition.after.attempts[0].ended_at == said
    assert transition.call.due_at == now  # the half hour is long over


@pytest.mark.parametrize("said", [START - timedelta(days=400), START + timedelta(days=1)])
def test_a_time_that_cannot_be_true_is_not_believed(said: datetime) -> None:
    now = START + timedelta(minutes=1)
    transition = lifecycle.absorb(claimed(new_call()), 1, ended(Outcome.BUSY, occurred_at=said), now)
    assert transition.after.attempts[0].ended_at == now


EVENTS = (
    progressed(Progress.INITIATED),
    progressed(Progress.RINGING),
    progressed(Progress.IN_PROGRESS),
    ended(Outcome.COMPLETED, duration_sec=9),
    heard(Amd.MACHINE),
)


@pytest.mark.parametrize("order", list(permutations(EVENTS)))
def test_the_order_of_events_makes_no_difference_to_how_the_call_stands(order: tuple[CallEvent, ...]) -> None:
    record = claimed(new_call())
    for event in (*order, *reversed(order)):
        record = lifecycle.absorb(record, 1, event, START).after
    (attempt,) = record.attempts
    assert (attempt.outcome, attempt.amd, attempt.duration_sec) == (Outcome.VOICEMAIL, Amd.MACHINE, 9)
    assert (record.call.state, record.call.due_at) == (CallState.SCHEDULED, START + timedelta(minutes=30))


@given(st.lists(st.sampled_from([*EVENTS, ended(Outcome.BUSY), ended(Outcome.FAILED), heard(Amd.HUMAN)]), max_size=12))
def test_an_attempt_decides_once_and_is_corrected_only_by_evidence(events: list[CallEvent]) -> None:
    record = claimed(new_call())
    decisions = []
    for event in events:
        transition = lifecycle.absorb(record, 1, event, START)
        decisions += [transition.decision] if transition.decision else []
        assert transition.effect is not Effect.NOTHING or transition.after == record
        assert transition.call.version >= record.call.version
        record = transition.after
    assert len(record.attempts) == 1
    # busy or failed -> completed -> voicemail, each at most once
    assert len(decisions) <= 3
    if len(decisions) > 1:
        assert record.attempts[0].outcome in (Outcome.COMPLETED, Outcome.VOICEMAIL)
    if len(decisions) == 3:
        assert (decisions[1].reason, record.attempts[0].outcome) == (Reason.REACHED, Outcome.VOICEMAIL)


def test_late_amd_does_not_reopen_a_canceled_call() -> None:
    record = claimed(new_call())
    record = lifecycle.cancel(record, START).after
    for event in (ended(Outcome.COMPLETED), heard(Amd.MACHINE)):
        record = lifecycle.absorb(record, 1, event, START).after
    assert record.call.summary_status is SummaryStatus.CANCELED
    assert record.attempts[0].outcome is Outcome.VOICEMAIL


def test_late_amd_leads_to_no_retry_of_a_call_canceled_after_its_end() -> None:
    record = claimed(new_call())
    record = lifecycle.absorb(record, 1, ended(Outcome.COMPLETED), START).after
    record = lifecycle.cancel(record, START).after
    assert (record.call.state, record.call.summary_status) == (CallState.FINAL, SummaryStatus.COMPLETED)
    told = lifecycle.absorb(record, 1, heard(Amd.MACHINE), START)
    assert (told.call.state, told.call.summary_status, told.call.due_at) == (
        CallState.FINAL,
        SummaryStatus.CANCELED,
        None,
    )
    assert told.decision is not None
    assert told.decision.steps == ("+30 min after voicemail", "canceled by request at 2026-01-26T10:00:00Z")


def test_late_amd_after_the_expiry_leads_to_no_retry() -> None:
    record = lifecycle.absorb(claimed(new_call()), 1, ended(Outcome.COMPLETED), START).after
    late = START + timedelta(hours=73)
    told = lifecycle.absorb(record, 1, heard(Amd.MACHINE), late)
    assert (told.call.state, told.call.summary_status, told.call.ended_at) == (
        CallState.FINAL,
        SummaryStatus.EXPIRED,
        START,
    )
    assert told.decision is not None
    assert told.decision.steps == (
        "+30 min after voicemail",
        "the attempt's end became known at 2026-01-29T11:00:00Z, after the policy ended at 2026-01-29T10:00:00Z",
    )


def test_a_cancel_that_is_repeated_changes_nothing() -> None:
    first = lifecycle.cancel(claimed(new_call()), START).after
    assert lifecycle.cancel(first, START + timedelta(hours=1)).effect is Effect.NOTHING


def test_late_amd_of_an_earlier_attempt_changes_only_that_attempt() -> None:
    record = claimed(new_call())
    record = lifecycle.absorb(record, 1, ended(Outcome.BUSY), START).after
    record = claimed(record)
    after = lifecycle.absorb(record, 1, heard(Amd.MACHINE), START)
    assert (after.effect, after.call.state, after.decision) == (Effect.ENRICHED, CallState.DIALING, None)


def test_a_provider_that_gives_no_duration_is_measured_by_its_events() -> None:
    record = claimed(new_call())
    record = lifecycle.absorb(record, 1, progressed(Progress.IN_PROGRESS), START + timedelta(seconds=10)).after
    record = lifecycle.absorb(record, 1, ended(Outcome.COMPLETED), START + timedelta(seconds=52)).after
    assert record.attempts[0].duration_sec == 42


@pytest.mark.parametrize("attempt", [0, 2, 99])
def test_an_event_for_an_attempt_that_was_never_made_does_nothing(attempt: int) -> None:
    record = claimed(new_call())
    assert lifecycle.absorb(record, attempt, ended(Outcome.BUSY), START).effect is Effect.NOTHING


def test_being_deferred_takes_the_attempt_back() -> None:
    record = claimed(new_call())
    transition = lifecycle.defer(record, cause="http:429", wait=None, evidence={}, now=START)
    assert transition.after.attempts == ()
    assert (transition.call.attempt, transition.call.due_at) == (0, START + timedelta(minutes=1))


def test_a_call_that_has_ended_cannot_be_ended_again() -> None:
    first = lifecycle.absorb(claimed(new_call()), 1, ended(Outcome.COMPLETED), START).after
    again = lifecycle.end(first, summary=SummaryStatus.CANCELED, reason=Reason.CANCELED, step="", now=START)
    assert (again.effect, again.call) == (Effect.NOTHING, first.call)


#: the changes to a call, by the names in the table at the top of lifecycle.py
CHANGES: dict[str, Callable[[CallRecord], Transition]] = {
    "claim": lambda record: lifecycle.claim(record, token="t", now=START, deadline_at=DEADLINE),
    "decided": lambda record: lifecycle.decided(record, Decision(Reason.RESCHEDULED, retry_at=DEADLINE), START),
    "decided: final": lambda record: lifecycle.decided(
        record, Decision(Reason.CAPPED, summary_status=SummaryStatus.BLOCKED), START
    ),
    "contacted": lambda record: lifecycle.contacted(record, DEADLINE, START),
    "contacted: for good": lambda record: lifecycle.contacted(record, None, START),
    "wake": lambda record: lifecycle.wake(record, START),
    "absorb: answered": lambda record: lifecycle.absorb(record, 1, progressed(Progress.IN_PROGRESS), START),
    "absorb: ended": lambda record: lifecycle.absorb(record, 1, ended(Outcome.BUSY), START),
    "absorb: failed": lambda record: lifecycle.absorb(record, 1, ended(Outcome.FAILED), START),
    "defer": lambda record: lifecycle.defer(record, cause="pace", wait=None, evidence={}, now=START),
    "cancel": lambda record: lifecycle.cancel(record, START),
    "end": lambda record: lifecycle.end(
        record, summary=SummaryStatus.BLOCKED, reason=Reason.OPTED_OUT, step="opted out", now=START
    ),
    "disown": lambda record: lifecycle.disown(record, 1, START),
}


def test_calls_change_their_state_as_the_table_says_and_in_no_other_way() -> None:
    waiting = new_call(due_at=START)
    dialing = claimed(waiting)
    answered = lifecycle.absorb(dialing, 1, progressed(Progress.IN_PROGRESS), START).after
    timed_out = lifecycle.absorb(dialing, 1, ended(Outcome.FAILED, cause="no-callback"), START).after
    moves: dict[str, set[tuple[str, str]]] = {}
    for name, change in CHANGES.items():
        for record in (waiting, dialing, answered, timed_out):
            with suppress(ValueError):
                state = change(record).call.state
                moves.setdefault(name, set()).add((record.call.state, state))
    live = {("dialing", "dialing"), ("in-progress", "in-progress")}
    stays = {("final", "final")}
    over = {("scheduled", "final"), ("dialing", "final"), ("in-progress", "final"), *stays}
    ends = {("scheduled", "scheduled"), ("dialing", "scheduled")}
    assert moves == {
        "claim": {("scheduled", "dialing")},
        "decided": {("scheduled", "scheduled")},
        "decided: final": {("scheduled", "final")},
        "contacted": {("scheduled", "scheduled"), *live, *stays},
        "contacted: for good": {("scheduled", "final"), *live, *stays},
        "wake": {("scheduled", "scheduled"), *live, *stays},
        "absorb: answered": {
            ("scheduled", "scheduled"),
            ("dialing", "in-progress"),
            ("in-progress", "in-progress"),
            *stays,
        },
        "absorb: ended": {*ends, ("in-progress", "final"), ("final", "scheduled")},
        "absorb: failed": {("scheduled", "scheduled"), ("dialing", "final"), ("in-progress", "final"), *stays},
        "defer": {("dialing", "scheduled")},
        "cancel": over,
        "end": over,
        "disown": over,
    }
