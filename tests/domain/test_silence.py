"""The result of a silent attempt: each row of the table in silence.py."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.domain import lifecycle
from chalicelib.domain.call import AttemptPhase, CallRecord, CallState
from chalicelib.domain.events import CallEvent, Progress
from chalicelib.domain.outcome import Outcome, SummaryStatus
from chalicelib.domain.silence import LAST_INTERVAL, Lookup, LookupResult, after_silence, is_silent, too_early
from chalicelib.domain.transition import Effect
from tests.domain.test_lifecycle import SID, claimed, new_call
from tests.support.world import START

LIMIT = timedelta(minutes=63)
POLICY_ENDS = timedelta(hours=72)


def minutes(n: float) -> timedelta:
    return timedelta(minutes=n)


def silent(*, known: bool, after: timedelta, **changes: object) -> CallRecord:
    """Return a call whose attempt was claimed at START and just passed its deadline."""
    record = claimed(new_call(due_at=START))
    if known:
        ringing = CallEvent("ringing", SID, status="ringing", progress=Progress.RINGING)
        record = lifecycle.absorb(record, 1, ringing, START).after
    return replace(record, call=replace(record.call, deadline_at=START + after, **changes))  # type: ignore[arg-type]


def lookup(result: LookupResult, event: CallEvent | None = None) -> Lookup:
    return Lookup(result, 1, event)


LIVE = CallEvent("live", SID, status="ringing", progress=Progress.RINGING)
TALKING = CallEvent("talking", SID, status="in-progress", progress=Progress.IN_PROGRESS)
BUSY = CallEvent("busy", SID, status="busy", outcome=Outcome.BUSY)
FAULT = CallEvent("fault", SID, status="failed", fault="balance-low", cause="balance-low")

#: result, event, id known, minutes since the claim -> minutes until the next look-up
WAITS = [
    (LookupResult.TOO_EARLY, None, True, 1, 62),
    (LookupResult.GOES_ON, LIVE, True, 63, 10),
    (LookupResult.GOES_ON, TALKING, True, 200, 10),
    (LookupResult.GOES_ON, LIVE, False, 1, 62),
    (LookupResult.NONE, None, False, 1, 10),
    (LookupResult.NONE, None, False, 9.5, 10),
    (LookupResult.UNSURE, None, False, 11, 10),
    (LookupResult.UNSURE, None, False, 60, 3),
    (LookupResult.UNANSWERED, None, True, 63, 5),
    (LookupResult.UNANSWERED, None, True, 63 + 40, 20),
    (LookupResult.UNANSWERED, None, True, 63 + 600, 60),
    (LookupResult.UNANSWERED, None, False, 63 + 600, 60),
    (LookupResult.NOT_SET_UP, None, True, 63, 5),
    (LookupResult.NOT_SET_UP, None, False, 63 + 100, 60),
]


@pytest.mark.parametrize(("result", "event", "known", "since", "again"), WAITS)
def test_an_attempt_that_may_still_get_a_callback_is_waited_for(
    result: LookupResult, event: CallEvent | None, known: bool, since: float, again: float
) -> None:
    now = START + minutes(since)
    after = after_silence(silent(known=known, after=minutes(since)), lookup(result, event), now, LIMIT)
    assert (after.effect, after.ended_attempt) == (Effect.ENRICHED, None)
    assert after.call.deadline_at == now + minutes(again)
    assert after.call.version == after.before.call.version + 1


#: result, event, id known, minutes since the claim -> outcome and cause
ENDS = [
    (LookupResult.ENDED, BUSY, True, 63, Outcome.BUSY, None),
    (LookupResult.ENDED, BUSY, False, 1, Outcome.BUSY, None),
    (LookupResult.ENDED, FAULT, True, 63, Outcome.ERROR, "balance-low"),
    (LookupResult.ENDED, FAULT, False, 1, Outcome.ERROR, "balance-low"),
    (LookupResult.GOES_ON, LIVE, True, 63 + 240, Outcome.FAILED, "never-ended"),
    (LookupResult.GOES_ON, TALKING, True, 63 + 240, Outcome.COMPLETED, "never-ended"),
    (LookupResult.NONE, None, True, 63, Outcome.FAILED, "no-callback"),
    (LookupResult.NONE, None, False, 10, Outcome.ERROR, "never-placed"),
    (LookupResult.UNSURE, None, False, 63, Outcome.FAILED, "no-callback"),
    (LookupResult.UNANSWERED, None, True, 72 * 60, Outcome.FAILED, "no-callback"),
    (LookupResult.UNANSWERED, None, False, 72 * 60, Outcome.FAILED, "no-callback"),
    (LookupResult.NOT_SET_UP, None, True, 63 + 240, Outcome.FAILED, "provider-not-set-up"),
    (LookupResult.NOT_SET_UP, None, False, 63 + 240, Outcome.FAILED, "provider-not-set-up"),
]


@pytest.mark.parametrize(("result", "event", "known", "since", "outcome", "cause"), ENDS)
def test_an_attempt_ends_as_the_provider_says_or_when_patience_does(
    result: LookupResult, event: CallEvent | None, known: bool, since: float, outcome: Outcome, cause: str | None
) -> None:
    now = START + minutes(since)
    after = after_silence(silent(known=known, after=minutes(since)), lookup(result, event), now, LIMIT)
    ended = after.ended_attempt
    assert ended is not None
    assert (ended.outcome, ended.cause, ended.phase) == (outcome, cause, AttemptPhase.ENDED)
    assert (after.call.deadline_at, after.call.is_live) == (None, False)


@pytest.mark.parametrize(
    "result",
    [LookupResult.GOES_ON, LookupResult.NONE, LookupResult.UNSURE, LookupResult.UNANSWERED, LookupResult.NOT_SET_UP],
)
@pytest.mark.parametrize("known", [True, False])
def test_every_constant_answer_of_a_provider_leads_to_a_final_call(result: LookupResult, known: bool) -> None:
    record = silent(known=known, after=minutes(1))
    now, asked = START + minutes(1), 0
    while record.call.is_live:
        event = LIVE if result is LookupResult.GOES_ON else None
        record = after_silence(record, lookup(result, event), now, LIMIT).after
        now, asked = max(record.call.deadline_at or now, now), asked + 1
        assert asked < 200
    assert now <= START + POLICY_ENDS + LAST_INTERVAL
    assert record.attempts[0].outcome is not None


@pytest.mark.parametrize("state", [CallState.FINAL, CallState.SCHEDULED])
@pytest.mark.parametrize("known", [True, False])
def test_a_fault_clears_the_deadline_of_a_call_that_is_not_live(state: CallState, known: bool) -> None:
    record = silent(known=known, after=minutes(63), state=state, summary_status=SummaryStatus.CANCELED)
    after = after_silence(record, lookup(LookupResult.ENDED, FAULT), START + minutes(63), LIMIT)
    assert (after.call.deadline_at, after.call.state) == (None, state)


def test_a_fault_of_an_earlier_attempt_keeps_the_later_deadline() -> None:
    record = lifecycle.absorb(claimed(new_call(due_at=START)), 1, BUSY, START).after
    live = replace(record.attempts[0], outcome=None, phase=AttemptPhase.PLACED)
    record = claimed(replace(record, attempts=(live,)))
    after = lifecycle.absorb(record, 1, FAULT, START)
    assert after.call.deadline_at == record.call.deadline_at is not None


def test_an_answer_about_another_attempt_or_too_early_changes_nothing() -> None:
    record, now = silent(known=True, after=minutes(63)), START + minutes(63)
    assert after_silence(record, Lookup(LookupResult.NONE, 2), now, LIMIT).effect is Effect.NOTHING
    assert after_silence(record, lookup(LookupResult.NONE), now - minutes(1), LIMIT).effect is Effect.NOTHING
    assert not is_silent(record, now - minutes(1))


def test_a_canceled_call_that_goes_on_is_asked_about_again_soon() -> None:
    record = silent(known=False, after=minutes(1), canceled_at=START)
    after = after_silence(record, lookup(LookupResult.GOES_ON, LIVE), START + minutes(1), LIMIT)
    assert after.call.deadline_at == START + minutes(11)


def test_no_look_up_of_a_known_call_before_the_limit_except_a_hang_up() -> None:
    record = silent(known=True, after=minutes(1))
    assert too_early(record, START + minutes(62), LIMIT)
    assert not too_early(record, START + minutes(63), LIMIT)
    assert not too_early(silent(known=False, after=minutes(1)), START + minutes(1), LIMIT)
    assert not too_early(lifecycle.cancel(record, START).after, START + minutes(1), LIMIT)
