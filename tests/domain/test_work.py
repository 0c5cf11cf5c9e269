"""The bound on the work of one decision."""

from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.domain.decide import Reason, Situation, decide, first, may_dial
from chalicelib.domain.number_zones import contact_zones
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.past_attempt import PastAttempt
from chalicelib.domain.policy import OutcomeRule, Policy
from chalicelib.domain.strategies import Fixed
from chalicelib.domain.window import Interval, Weekday, Window
from chalicelib.domain.work import MAX_WORK, TooComplex, Work

RETRIES = {outcome: OutcomeRule(retry=True) for outcome in Outcome}
START = datetime(2026, 1, 26, 10, 0, tzinfo=UTC)
TOLL_FREE = contact_zones(None, "+18005550199")


def window(pieces: int) -> Window:
    """Return a window that opens for a minute, ``pieces`` times a day."""
    step = 24 * 60 // pieces
    return Window(open=dict.fromkeys(Weekday, tuple(Interval(i * step, i * step + 1) for i in range(pieces))))


def policy(pieces: int) -> Policy:
    return Policy(max_retries=3, strategy=Fixed(30), on=RETRIES, window=window(pieces), expires_after_hours=1440)


def test_a_decision_that_takes_too_much_work_ends_the_call_with_a_reason() -> None:
    assert len(TOLL_FREE) > 30
    situation = Situation(START + timedelta(days=60), TOLL_FREE)
    # Zones that differ by half an hour never share these minutes.
    hostile = policy(24)
    tried = situation.with_attempt(PastAttempt(1, Outcome.BUSY, START, START))
    for decision in (first(hostile, situation, START), may_dial(hostile, situation, START), decide(hostile, tried)):
        assert (decision.reason, decision.summary_status) == (Reason.TOO_COMPLEX, "blocked")
        assert "too much work" in decision.steps[-1]


def test_a_real_policy_takes_a_fraction_of_the_work() -> None:
    hours = Policy(
        max_retries=3,
        strategy=Fixed(30),
        on=RETRIES,
        window=Window(
            open=dict.fromkeys(Weekday, (Interval(540, 1260),)), pause=dict.fromkeys(Weekday, (Interval(720, 840),))
        ),
        expires_after_hours=1440,
    )
    found = first(hours, Situation(START + timedelta(days=60), TOLL_FREE), START, Work(MAX_WORK // 5))
    # The hours of ten offsets from Guam to Puerto Rico never overlap. A search of sixty days shows that.
    assert found.reason is Reason.WINDOW_NEVER_OPENS


def test_work_ends_when_its_budget_is_used_up() -> None:
    work = Work(2)
    work.spend(2)
    with pytest.raises(TooComplex):
        work.spend(1)


def test_a_decision_keeps_its_first_and_last_steps() -> None:
    narrow = Policy(
        max_retries=3,
        strategy=Fixed(30),
        on=RETRIES,
        window=Window(open={day: tuple(Interval(i * 60, i * 60 + 1) for i in range(24)) for day in Weekday}),
        expires_after_hours=1440,
    )
    # The minutes are half an hour apart until Lord Howe's clocks go back by half an hour, on 5 April.
    zones = ("Australia/Lord_Howe", "Asia/Kolkata")
    start = datetime(2026, 4, 1, tzinfo=UTC)
    decision = first(narrow, Situation(start + timedelta(days=60), zones), start)
    assert decision.retry_at is not None
    assert len(decision.steps) == 41
    assert decision.steps[30].endswith("more steps …")
