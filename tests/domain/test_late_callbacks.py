"""The effect of a callback after the end of its attempt, row by row of the table."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from chalicelib.domain import lifecycle
from chalicelib.domain.call import GUESSED, NEVER_PLACED, TIMED_OUT, CallRecord, CallState
from chalicelib.domain.decide import Reason
from chalicelib.domain.deciding import MAX_NAMED_WAIT
from chalicelib.domain.events import CallEvent, Progress
from chalicelib.domain.outcome import Amd, Outcome, SummaryStatus
from chalicelib.domain.policy import Cap, Fixed, OutcomeRule, Policy
from chalicelib.domain.transition import Effect
from tests.domain.test_lifecycle import SID, claimed, ended, heard, new_call, progressed
from tests.support.world import START

TOMORROW = START + timedelta(days=1)
LATE = START + timedelta(hours=2)


def after(outcome: Outcome, cause: str | None = None) -> CallRecord:
    """Return a call whose first attempt ended in this way."""
    event = ended(outcome, cause=cause)
    if cause == NEVER_PLACED:
        event = replace(event, provider_call_id="", outcome=None, fault=NEVER_PLACED)
    return lifecycle.absorb(claimed(new_call(due_at=START)), 1, event, START).after


@pytest.mark.parametrize("cause", GUESSED)
@pytest.mark.parametrize(
    ("outcome", "state"), [(Outcome.COMPLETED, CallState.FINAL), (Outcome.BUSY, CallState.SCHEDULED)]
)
def test_the_true_end_replaces_every_guess(cause: str, outcome: Outcome, state: CallState) -> None:
    told = lifecycle.absorb(after(Outcome.FAILED, cause), 1, ended(outcome), LATE)
    assert (told.after.attempts[0].outcome, told.call.state) == (outcome, state)
    assert told.decision is not None
    assert told.decision.steps[0] == f"attempt 1 had timed out ({cause})"


ROWS = [
    (Outcome.BUSY, ended(Outcome.COMPLETED), Outcome.COMPLETED, Effect.DECIDED),
    (Outcome.COMPLETED, heard(Amd.MACHINE), Outcome.VOICEMAIL, Effect.DECIDED),
    (Outcome.COMPLETED, heard(Amd.HUMAN), Outcome.COMPLETED, Effect.ENRICHED),
    (Outcome.BUSY, ended(Outcome.BUSY, duration_sec=3), Outcome.BUSY, Effect.ENRICHED),
    (Outcome.BUSY, ended(Outcome.FAILED), Outcome.BUSY, Effect.NOTHING),
    (Outcome.COMPLETED, ended(Outcome.BUSY), Outcome.COMPLETED, Effect.NOTHING),
]


@pytest.mark.parametrize(("was", "event", "outcome", "effect"), ROWS)
def test_a_late_callback_changes_what_the_table_says(
    was: Outcome, event: CallEvent, outcome: Outcome, effect: Effect
) -> None:
    told = lifecycle.absorb(after(was), 1, event, LATE)
    assert (told.after.attempts[0].outcome, told.effect) == (outcome, effect)
    raised = effect is not Effect.NOTHING
    assert told.call.version == told.before.call.version + raised
    assert told.after.attempts[0].version == told.before.attempts[0].version + raised


@pytest.mark.parametrize("event", [ended(Outcome.BUSY), progressed(Progress.IN_PROGRESS), heard(Amd.HUMAN)])
def test_an_attempt_never_placed_that_rang_after_all_is_known_as_made(event: CallEvent) -> None:
    told = lifecycle.absorb(after(Outcome.ERROR, NEVER_PLACED), 1, event, LATE)
    made = told.made_after_all
    assert (made.id if made else None, told.after.attempts[0].counts) == ("call_1-1", True)


@pytest.mark.parametrize("progress", [Progress.QUEUED, Progress.INITIATED, Progress.RINGING])
def test_an_attempt_never_placed_counts_for_caps_once_it_has_rung(progress: Progress) -> None:
    told = lifecycle.absorb(after(Outcome.ERROR, NEVER_PLACED), 1, progressed(progress), LATE)
    attempt = told.after.attempts[0]
    assert (told.effect, told.made_after_all) == (Effect.ENRICHED, attempt)
    assert (attempt.provider_call_id, attempt.progress) == (SID, progress)
    # The end is still unknown. So Redial keeps its guess, and the attempt uses up none of the policy's attempts.
    assert (attempt.outcome, attempt.cause, attempt.counts) == (Outcome.ERROR, NEVER_PLACED, False)
    assert told.call.due_at == told.before.call.due_at
    busy = lifecycle.absorb(told.after, 1, ended(Outcome.BUSY), LATE)
    assert (busy.made_after_all, busy.after.attempts[0].outcome) == (None, Outcome.BUSY)


#: the ends of an attempt whose provider's id Redial does not know
ENDS_WITHOUT_ID = [
    *(replace(ended(Outcome.FAILED), cause=cause, provider_call_id="") for cause in TIMED_OUT),
    replace(ended(Outcome.FAILED), outcome=None, fault=NEVER_PLACED, cause=NEVER_PLACED, provider_call_id=""),
    replace(ended(Outcome.FAILED), cause="http:400", provider_call_id=""),
    replace(ended(Outcome.CANCELED), cause="http:429", provider_call_id=""),
]
LATE_EVENTS = [
    *(progressed(progress) for progress in Progress),
    heard(Amd.HUMAN),
    heard(Amd.MACHINE),
    *(ended(outcome) for outcome in (Outcome.BUSY, Outcome.COMPLETED, Outcome.VOICEMAIL, Outcome.FAILED)),
    replace(ended(Outcome.FAILED), outcome=None, fault="balance-low"),
]


@pytest.mark.parametrize("event", LATE_EVENTS, ids=lambda event: event.event_id)
@pytest.mark.parametrize("end", ENDS_WITHOUT_ID, ids=lambda end: end.cause)
def test_every_late_callback_adds_a_missing_id_of_the_provider(end: CallEvent, event: CallEvent) -> None:
    record = lifecycle.absorb(claimed(new_call(due_at=START)), 1, end, START).after
    assert record.attempts[0].provider_call_id is None
    attempt = lifecycle.absorb(record, 1, event, LATE).after.attempts[0]
    assert (attempt.provider_call_id, attempt.was_made) == (SID, True)


#: the history of a call before the contact, and the event that then leads to a retry
HISTORIES = [
    (claimed(new_call(due_at=START)), ended(Outcome.BUSY)),
    (claimed(new_call(due_at=START)), replace(ended(Outcome.BUSY), outcome=None, fault="balance-low")),
    (after(Outcome.FAILED, "no-callback"), ended(Outcome.BUSY)),
    (after(Outcome.COMPLETED), heard(Amd.MACHINE)),
]


@pytest.mark.parametrize(("record", "event"), HISTORIES)
def test_a_contact_is_remembered_by_every_later_decision(record: CallRecord, event: CallEvent) -> None:
    told = lifecycle.absorb(lifecycle.contacted(record, None, START).after, 1, event, LATE)
    assert (told.call.state, told.call.reason) == (CallState.FINAL, Reason.CONTACTED)
    assert told.call.summary_status is SummaryStatus.CANCELED
    told = lifecycle.absorb(lifecycle.contacted(record, TOMORROW, START).after, 1, event, LATE)
    assert (told.call.state, told.call.due_at) == (CallState.SCHEDULED, TOMORROW)


def test_a_provider_that_rejects_an_attempt_does_not_overrule_a_contact() -> None:
    record = claimed(new_call(due_at=START))
    for not_before, state, due_at in ((None, CallState.FINAL, None), (TOMORROW, CallState.SCHEDULED, TOMORROW)):
        told = lifecycle.contacted(record, not_before, START).after
        back = lifecycle.defer(told, cause="http:429", wait=None, evidence={}, now=LATE)
        assert (back.call.state, back.call.due_at) == (state, due_at)


@pytest.mark.parametrize("second", [None, TOMORROW, START + timedelta(hours=3)])
def test_of_several_contacts_the_one_that_forbids_most_holds(second: datetime | None) -> None:
    record = claimed(new_call(due_at=START))
    for first in (None, TOMORROW):
        twice = lifecycle.contacted(lifecycle.contacted(record, first, START).after, second, START).after
        assert twice.call.not_before == (None if None in (first, second) else TOMORROW)


def test_a_contact_does_not_touch_what_can_come_to_no_dial() -> None:
    canceled = lifecycle.cancel(new_call(due_at=START), START).after
    assert lifecycle.contacted(canceled, None, START).effect is Effect.NOTHING
    told = lifecycle.contacted(after(Outcome.COMPLETED), None, START)
    assert (told.call.state, told.call.summary_status) == (CallState.FINAL, SummaryStatus.COMPLETED)


@pytest.mark.parametrize("named", [timedelta(hours=24), timedelta(days=400), timedelta(hours=1)])
def test_a_provider_that_names_a_long_wait_is_believed_for_an_hour(named: timedelta) -> None:
    record = claimed(new_call(due_at=START))
    back = lifecycle.defer(record, cause="http:429", wait=named, evidence={}, now=START)
    assert back.call.due_at == START + MAX_NAMED_WAIT


def test_a_retry_in_a_minute_after_the_policy_ends_is_decided_as_the_end() -> None:
    policy = Policy(max_retries=1, strategy=Fixed(30), on={Outcome.BUSY: OutcomeRule(True)})
    record = claimed(new_call(due_at=START, policy=policy, expires_at=START + timedelta(minutes=30, seconds=20)))
    retry = lifecycle.absorb(record, 1, ended(Outcome.BUSY), START + timedelta(seconds=10))
    assert retry.call.due_at == START + timedelta(minutes=30, seconds=10)
    assert lifecycle.in_minute(retry, START + timedelta(minutes=30)) is retry
    over = lifecycle.in_minute(retry, START + timedelta(minutes=31))
    assert (over.call.state, over.call.summary_status) == (CallState.FINAL, SummaryStatus.EXPIRED)
    assert (over.call.due_at, over.call.version) == (None, retry.call.version)
    assert over.decision is not None
    assert over.decision.reason is Reason.POLICY_EXPIRED


def test_a_minute_that_a_cap_forbids_leads_to_the_next_one() -> None:
    policy = Policy(max_retries=3, on={Outcome.BUSY: OutcomeRule(True, wait_minutes=30)}, caps=(Cap(1, 1),))
    record = claimed(new_call(due_at=START, policy=policy))
    retry = lifecycle.absorb(record, 1, ended(Outcome.BUSY), START)
    assert retry.call.due_at is not None
    earlier = lifecycle.in_minute(retry, START + timedelta(minutes=45))
    assert (earlier.call.due_at, earlier.call.state) == (retry.call.due_at, CallState.SCHEDULED)
