"""Evidence of a conversation against the reported end, in every order."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest

from chalicelib.domain import lifecycle
from chalicelib.domain.call import NO_CALLBACK, CallRecord, CallState
from chalicelib.domain.decide import Reason
from chalicelib.domain.events import CallEvent, Progress
from chalicelib.domain.outcome import Amd, Outcome, SummaryStatus
from chalicelib.domain.policy import Failover, Fixed, OutcomeRule, Policy
from chalicelib.domain.transition import Effect
from tests.domain.test_lifecycle import SID, claimed, ended, heard, new_call, progressed
from tests.support.world import START

RETRY_ALL = Policy(
    max_retries=2,
    strategy=Fixed(30),
    on={outcome: OutcomeRule(True) for outcome in Outcome},
    failover=Failover(provider="plivo"),
)
#: every outcome that an end can report, except those that are evidence themselves
UNREACHED = [outcome for outcome in Outcome if outcome not in (Outcome.COMPLETED, Outcome.VOICEMAIL)]
ANSWERED = progressed(Progress.IN_PROGRESS)
HUMAN, MACHINE, FAX, UNKNOWN = (heard(amd) for amd in (Amd.HUMAN, Amd.MACHINE, Amd.FAX, Amd.UNKNOWN))
FAULT = CallEvent(event_id="fault", provider_call_id=SID, status="failed", fault="telnyx:D5", cause="telnyx:D5")
#: events that are evidence -> the outcome of the attempt after any reported end
EVIDENCE: tuple[tuple[tuple[CallEvent, ...], Outcome], ...] = (
    ((ANSWERED,), Outcome.COMPLETED),
    ((HUMAN,), Outcome.COMPLETED),
    ((UNKNOWN,), Outcome.COMPLETED),
    ((ANSWERED, HUMAN), Outcome.COMPLETED),
    ((ended(Outcome.COMPLETED, duration_sec=9),), Outcome.COMPLETED),
    ((MACHINE,), Outcome.VOICEMAIL),
    ((FAX,), Outcome.VOICEMAIL),
    ((ANSWERED, MACHINE), Outcome.VOICEMAIL),
    ((ended(Outcome.VOICEMAIL),), Outcome.VOICEMAIL),
)


def a_call() -> CallRecord:
    return claimed(new_call(policy=RETRY_ALL, failover_account="plivo:MA"))


def after(events: Sequence[CallEvent], record: CallRecord | None = None) -> CallRecord:
    """Return the call after the events, which are two seconds apart."""
    record = record or a_call()
    for number, event in enumerate(events):
        record = lifecycle.absorb(record, 1, event, START + timedelta(seconds=10 + 2 * number)).after
    return record


@pytest.mark.parametrize("word", UNREACHED)
@pytest.mark.parametrize(("evidence", "outcome"), EVIDENCE)
def test_evidence_counts_more_than_the_end_in_every_order(
    word: Outcome, evidence: tuple[CallEvent, ...], outcome: Outcome
) -> None:
    for order in permutations((*evidence, ended(word))):
        record = after(order)
        assert record.attempts[0].outcome is outcome, [event.event_id for event in order]
        if outcome is Outcome.COMPLETED:
            assert (record.call.state, record.call.summary_status) == (CallState.FINAL, SummaryStatus.COMPLETED)
            assert (record.call.due_at, record.call.deadline_at) == (None, None)
        else:
            assert record.call.state is CallState.SCHEDULED


@pytest.mark.parametrize(("evidence", "outcome"), EVIDENCE)
def test_a_fault_of_the_account_after_an_answer_is_no_fault(evidence: tuple[CallEvent, ...], outcome: Outcome) -> None:
    for order in permutations((*evidence, FAULT)):
        (attempt,) = after(order).attempts
        assert (attempt.outcome, attempt.counts) == (outcome, True), [event.event_id for event in order]


@pytest.mark.parametrize("word", UNREACHED)
@pytest.mark.parametrize("before", [(), (progressed(Progress.RINGING),)])
def test_what_an_unanswered_end_says_of_detection_is_no_evidence(word: Outcome, before: tuple[CallEvent, ...]) -> None:
    assert after((*before, ended(word, amd=Amd.UNKNOWN))).attempts[0].outcome is word


@pytest.mark.parametrize("word", UNREACHED)
@pytest.mark.parametrize("before", [progressed(p) for p in (Progress.QUEUED, Progress.INITIATED, Progress.RINGING)])
def test_ringing_is_no_evidence(word: Outcome, before: CallEvent) -> None:
    for order in permutations((before, ended(word))):
        assert after(order).attempts[0].outcome is word


@pytest.mark.parametrize("word", UNREACHED)
def test_a_failed_end_after_an_answer_does_not_fail_over(word: Outcome) -> None:
    record = after((ANSWERED, ended(word)))
    assert (record.call.provider, record.call.due_at) == ("twilio", None)
    assert after((ended(word), ANSWERED)).call.due_at is None
    voicemail = after((MACHINE, ended(word)))
    assert (voicemail.call.provider, voicemail.call.state) == ("twilio", CallState.SCHEDULED)


def test_a_late_answer_says_why_the_call_is_completed() -> None:
    record = after((ended(Outcome.NO_ANSWER),))
    assert record.call.due_at is not None
    told = lifecycle.absorb(record, 1, ANSWERED, START + timedelta(minutes=5))
    assert told.decision is not None
    assert told.decision.reason is Reason.REACHED
    assert told.decision.steps == ("attempt 1 was answered, although it ended no-answer", "attempt 1 ended completed")
    (attempt,) = told.after.attempts
    assert attempt.ended_at == START + timedelta(seconds=10)
    assert attempt.answered_at == attempt.ended_at  # the answer cannot have come after the end


def test_a_late_answer_ends_the_call_with_the_attempt_in_flight() -> None:
    record = claimed(after((ended(Outcome.BUSY),)), START + timedelta(minutes=30))
    told = lifecycle.absorb(record, 1, HUMAN, START + timedelta(minutes=31))
    assert (told.effect, told.call.state, told.decision) == (Effect.ENRICHED, CallState.DIALING, None)
    assert told.after.attempts[0].outcome is Outcome.COMPLETED
    busy = replace(ended(Outcome.BUSY), provider_call_id="CA2")
    end = lifecycle.absorb(told.after, 2, busy, START + timedelta(minutes=32))
    assert (end.call.state, end.call.summary_status) == (CallState.FINAL, SummaryStatus.COMPLETED)


@pytest.mark.parametrize("evidence", [ANSWERED, HUMAN, ended(Outcome.COMPLETED)])
@pytest.mark.parametrize("back", ["deferred", "fault"])
def test_an_attempt_taken_back_after_a_late_answer_is_not_made_again(evidence: CallEvent, back: str) -> None:
    record = claimed(after((ended(Outcome.FAILED),)), START + timedelta(minutes=30))
    assert (record.call.provider, record.call.attempt) == ("plivo", 2)
    record = lifecycle.absorb(record, 1, evidence, START + timedelta(minutes=31)).after
    now = START + timedelta(minutes=32)
    if back == "deferred":
        told = lifecycle.defer(record, cause="http:429", wait=None, evidence={}, now=now)
    else:
        told = lifecycle.absorb(record, 2, replace(FAULT, provider_call_id="CA2"), now)
    assert (told.call.state, told.call.summary_status) == (CallState.FINAL, SummaryStatus.COMPLETED)
    assert told.decision is not None
    assert told.decision.reason is Reason.REACHED
    assert told.decision.steps[-1] == "earlier attempt 1 ended completed"


def test_late_amd_after_a_failover_ends_a_call_if_its_policy_says_so() -> None:
    policy = replace(RETRY_ALL, on={**RETRY_ALL.on, Outcome.VOICEMAIL: OutcomeRule(False)})
    record = claimed(new_call(policy=policy, failover_account="plivo:MA"))
    record = after((ended(Outcome.FAILED), MACHINE), record)
    assert (record.call.summary_status, record.call.due_at) == (SummaryStatus.VOICEMAIL_FINAL, None)


def test_late_amd_of_an_earlier_attempt_does_not_reschedule_the_retry() -> None:
    record = claimed(after((ended(Outcome.BUSY),)), START + timedelta(minutes=30))
    busy = replace(ended(Outcome.BUSY), provider_call_id="CA2")
    record = lifecycle.absorb(record, 2, busy, START + timedelta(minutes=31)).after
    told = lifecycle.absorb(record, 1, MACHINE, START + timedelta(minutes=35))
    assert (told.after.attempts[0].outcome, told.call.due_at) == (Outcome.VOICEMAIL, record.call.due_at)


@pytest.mark.parametrize("back", ["busy", "fault", "deferred"])
def test_late_amd_of_the_attempt_that_completed_a_call_reopens_it(back: str) -> None:
    record = claimed(after((ended(Outcome.BUSY),)), START + timedelta(minutes=30))
    record = lifecycle.absorb(record, 1, ANSWERED, START + timedelta(minutes=31)).after
    now = START + timedelta(minutes=32)
    if back == "deferred":
        told = lifecycle.defer(record, cause="http:429", wait=None, evidence={}, now=now)
    else:
        end = ended(Outcome.BUSY) if back == "busy" else FAULT
        told = lifecycle.absorb(record, 2, replace(end, provider_call_id="CA2"), now)
    assert told.call.summary_status is SummaryStatus.COMPLETED
    told = lifecycle.absorb(told.after, 1, MACHINE, START + timedelta(minutes=33))
    assert told.after.attempts[0].outcome is Outcome.VOICEMAIL
    assert (told.effect, told.call.state, told.call.summary_status) == (Effect.DECIDED, CallState.SCHEDULED, None)


def test_a_reopened_call_uses_the_answer_url_for_its_last_attempt_that_counts() -> None:
    machines = OutcomeRule(True, target_url="https://app.example/machine")
    policy = replace(RETRY_ALL, on={**RETRY_ALL.on, Outcome.VOICEMAIL: machines})
    record = after((ended(Outcome.BUSY),), claimed(new_call(policy=policy)))
    record = claimed(record, START + timedelta(minutes=30))
    record = lifecycle.absorb(record, 1, ANSWERED, START + timedelta(minutes=31)).after
    fault = replace(FAULT, provider_call_id="CA2")
    record = lifecycle.absorb(record, 2, fault, START + timedelta(minutes=32)).after
    told = lifecycle.absorb(record, 1, MACHINE, START + timedelta(minutes=33))
    assert (told.call.state, told.call.next_target_url) == (CallState.SCHEDULED, "https://app.example/machine")


def test_late_amd_of_an_earlier_attempt_keeps_a_call_that_another_completed() -> None:
    record = claimed(after((ended(Outcome.BUSY),)), START + timedelta(minutes=30))
    record = lifecycle.absorb(record, 1, ANSWERED, START + timedelta(minutes=31)).after
    completed = replace(ended(Outcome.COMPLETED), provider_call_id="CA2")
    record = lifecycle.absorb(record, 2, completed, START + timedelta(minutes=32)).after
    told = lifecycle.absorb(record, 1, MACHINE, START + timedelta(minutes=33))
    assert [attempt.outcome for attempt in told.after.attempts] == [Outcome.VOICEMAIL, Outcome.COMPLETED]
    assert (told.effect, told.call.summary_status) == (Effect.ENRICHED, SummaryStatus.COMPLETED)


def test_a_late_answer_leaves_a_canceled_or_opted_out_call_as_it_is() -> None:
    busy = after((ended(Outcome.BUSY),))
    canceled = lifecycle.cancel(busy, START).after
    out = lifecycle.end(busy, summary=SummaryStatus.BLOCKED, reason=Reason.OPTED_OUT, step="", now=START).after
    for record in (canceled, out):
        told = lifecycle.absorb(record, 1, ANSWERED, START + timedelta(minutes=1))
        assert told.call.summary_status is record.call.summary_status
        assert told.after.attempts[0].outcome is Outcome.COMPLETED


def test_late_amd_after_a_cancel_leads_to_no_retry() -> None:
    record = lifecycle.cancel(after((ended(Outcome.BUSY),)), START).after
    told = lifecycle.absorb(record, 1, MACHINE, START + timedelta(minutes=1))
    assert (told.call.state, told.call.summary_status, told.call.due_at) == (
        CallState.FINAL,
        SummaryStatus.CANCELED,
        None,
    )


def test_an_answered_attempt_without_an_end_callback_is_completed() -> None:
    given_up = CallEvent(event_id="g", provider_call_id=SID, outcome=Outcome.FAILED, cause=NO_CALLBACK)
    record = after((ANSWERED, given_up))
    (attempt,) = record.attempts
    assert (attempt.outcome, attempt.cause, attempt.duration_sec) == (Outcome.COMPLETED, NO_CALLBACK, None)
    assert record.call.summary_status is SummaryStatus.COMPLETED
    late = after((ended(Outcome.FAILED, duration_sec=42),), record)
    assert (late.attempts[0].outcome, late.attempts[0].duration_sec) == (Outcome.COMPLETED, 42)
    assert late.call.summary_status is SummaryStatus.COMPLETED


@pytest.mark.parametrize("evidence", [MACHINE, ended(Outcome.VOICEMAIL), ended(Outcome.COMPLETED, amd=Amd.MACHINE)])
def test_a_late_machine_reopens_a_call_that_timed_out_after_an_answer(evidence: CallEvent) -> None:
    given_up = CallEvent(event_id="g", provider_call_id=SID, outcome=Outcome.FAILED, cause=NO_CALLBACK)
    record = after((ANSWERED, given_up))
    assert record.call.summary_status is SummaryStatus.COMPLETED
    told = lifecycle.absorb(record, 1, evidence, START + timedelta(hours=1))
    assert told.after.attempts[0].outcome is Outcome.VOICEMAIL
    assert (told.call.state, told.call.summary_status) == (CallState.SCHEDULED, None)


def test_a_late_callback_about_an_answer_ends_a_timed_out_call() -> None:
    given_up = CallEvent(event_id="g", provider_call_id=SID, outcome=Outcome.FAILED, cause=NO_CALLBACK)
    record = after((given_up, ANSWERED))
    assert (record.attempts[0].outcome, record.call.summary_status) == (Outcome.COMPLETED, SummaryStatus.COMPLETED)


def test_a_late_answer_counts_an_attempt_that_a_fault_had_taken_back() -> None:
    record = after((FAULT,))
    assert (record.attempts[0].counts, record.call.state) == (False, CallState.SCHEDULED)
    told = after((HUMAN,), record)
    assert (told.attempts[0].outcome, told.attempts[0].counts) == (Outcome.COMPLETED, True)
    assert told.call.summary_status is SummaryStatus.COMPLETED


@pytest.mark.parametrize("evidence", [ANSWERED, HUMAN, MACHINE, ended(Outcome.COMPLETED)])
def test_evidence_that_is_repeated_changes_nothing(evidence: CallEvent) -> None:
    record = after((ended(Outcome.BUSY), evidence))
    assert lifecycle.absorb(record, 1, evidence, START + timedelta(hours=1)).effect is Effect.NOTHING


def test_the_answer_of_another_leg_is_no_evidence() -> None:
    record = after((progressed(Progress.RINGING),))
    record = after((replace(ANSWERED, provider_call_id="CA-child"), ended(Outcome.BUSY)), record)
    assert record.attempts[0].outcome is Outcome.BUSY
    late = after((replace(ANSWERED, provider_call_id="CA-child"),), record)
    assert late.attempts[0].outcome is Outcome.BUSY
