"""The function decide(): the vendors' examples, every limit, general properties."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.caps import Cap
from chalicelib.domain.decide import Decision, Reason, Situation, decide, first, may_dial
from chalicelib.domain.outcome import Outcome, SummaryStatus
from chalicelib.domain.past_attempt import PastAttempt
from chalicelib.domain.policy import (
    Exponential,
    Fixed,
    Intervals,
    NoRetry,
    OutcomeRule,
    Policy,
    Scheduled,
    Strategy,
    TimeOfDay,
)
from chalicelib.domain.preview import Preview, preview
from chalicelib.domain.window import WEEK, Interval, Window, interval, is_open
from chalicelib.domain.zones import zone as zone_of

UTC_ZONE = ("Etc/UTC",)
START = datetime(2026, 1, 26, 10, 0, tzinfo=UTC)  # a Monday
ALL = {outcome: OutcomeRule(retry=True) for outcome in Outcome}
B, N, C = Outcome.BUSY, Outcome.NO_ANSWER, Outcome.COMPLETED


def daily(*hours: tuple[str, str]) -> dict:  # type: ignore[type-arg]
    return {day: tuple(interval(*h) for h in hours) for day in WEEK}


def policy(strategy: Strategy, **changes: object) -> Policy:
    return Policy(**{"max_retries": 9, "strategy": strategy, "on": ALL, **changes})  # type: ignore[arg-type]


def times(shown: Preview) -> list[str]:
    return [f"{attempt.at:%d %H:%M}" for attempt in shown.attempts]


def run(
    made: Policy, outcomes: Sequence[Outcome], start: datetime = START, zones: tuple[str, ...] = UTC_ZONE
) -> Preview:
    return preview(made, zones, start, outcomes)


class TestTheVendorsExamples:
    """The timelines in the vendors' documents."""

    def test_exotel_fixed_interval(self) -> None:
        assert times(run(policy(Fixed(60)), [N, B, C])) == ["26 10:00", "26 11:00", "26 12:00"]

    def test_exotel_increasing_interval(self) -> None:
        wanted = ["26 10:00", "26 10:30", "26 11:30", "26 13:30"]
        assert times(run(policy(Intervals((30, 60, 120))), [N, N, N, C])) == wanted
        assert times(run(policy(Exponential(30, 2)), [N, N, N, C])) == wanted

    def test_a_time_of_day_is_used_once_though_no_gap_is_asked_for(self) -> None:
        made = policy(TimeOfDay((600,), min_gap_minutes=0), max_retries=2)
        start = datetime(2026, 1, 26, 10, 0, tzinfo=UTC)
        shown = preview(made, ("UTC",), start, [Outcome.BUSY, Outcome.BUSY])
        assert [a.at for a in shown.attempts] == [start + timedelta(days=day) for day in range(3)]

    def test_exotel_time_of_day(self) -> None:
        made = policy(TimeOfDay((600, 840, 1020)))
        assert times(run(made, [N, B, C])) == ["26 10:00", "26 14:00", "26 17:00"]

    def test_gomobile_scheduled_dates(self) -> None:
        dates = (
            datetime(2025, 1, 20, 10, tzinfo=UTC),
            datetime(2025, 1, 20, 15, tzinfo=UTC),
            datetime(2025, 1, 21, 10, tzinfo=UTC),
        )
        shown = run(policy(Scheduled(dates)), [N, N, N, N], start=datetime(2025, 1, 20, 9, tzinfo=UTC))
        assert times(shown) == ["20 09:00", "20 10:00", "20 15:00", "21 10:00"]
        assert (shown.summary_status, shown.reason) == (SummaryStatus.ALL_RETRIES_EXHAUSTED, Reason.NO_DATES_LEFT)

    def test_gomobile_progressive_spacing(self) -> None:
        """Follow the dates and not the prose.

        Gomobile's prose says +30, +90, +180. Its dates are +30, +120, +300.
        """
        dates = tuple(START + timedelta(minutes=m) for m in (30, 120, 300))
        assert times(run(policy(Scheduled(dates)), [B, B, B, C])) == ["26 10:00", "26 10:30", "26 12:00", "26 15:00"]

    def test_a_date_that_is_past_is_skipped(self) -> None:
        dates = tuple(START + timedelta(minutes=m) for m in (-60, 0, 30))
        assert times(run(policy(Scheduled(dates)), [B, C])) == ["26 10:00", "26 10:30"]

    def test_a_pause_over_lunch(self) -> None:
        window = Window(pause=daily(("12:00", "14:00"), ("18:00", "24:00")))
        shown = run(policy(Fixed(30), window=window), [B, C], start=START + timedelta(minutes=100))
        assert times(shown) == ["26 11:40", "26 14:00"]
        assert shown.attempts[1].steps == ("+30 min after busy", "12:10 local, inside pause 12:00-14:00 → 14:00")

    def test_the_trai_night(self) -> None:
        window = Window(open=daily(("09:00", "21:00")))
        start = datetime(2026, 1, 26, 20, 50, tzinfo=zone_of("Asia/Kolkata")).astimezone(UTC)
        shown = run(policy(Fixed(60), window=window), [N, C], start=start, zones=("Asia/Kolkata",))
        assert [f"{a.at.astimezone(zone_of('Asia/Kolkata')):%d %H:%M}" for a in shown.attempts] == [
            "26 20:50",
            "27 09:00",
        ]

    def test_bolnas_intervals_end_after_three_retries(self) -> None:
        shown = run(policy(Intervals((30, 60, 120)), max_retries=3), [N, N, N, N])
        assert times(shown) == ["26 10:00", "26 10:30", "26 11:30", "26 13:30"]
        assert shown.summary_status is SummaryStatus.ALL_RETRIES_EXHAUSTED


class TestBudgets:
    """One total that always wins, and a limit for each outcome."""

    def test_no_rule_adds_to_the_total(self) -> None:
        rules = {B: OutcomeRule(True, max_retries=5), N: OutcomeRule(True, max_retries=5)}
        shown = run(policy(Fixed(1), max_retries=2, on=rules), [B, N, B, N])
        assert len(shown.attempts) == 3
        assert shown.reason is Reason.RETRIES_EXHAUSTED

    def test_an_outcome_may_have_its_own_wait_and_its_own_cap(self) -> None:
        rules = {B: OutcomeRule(True, wait_minutes=5), Outcome.FAILED: OutcomeRule(True, max_retries=1)}
        made = policy(Fixed(30), on=rules)
        shown = run(made, [B, Outcome.FAILED, B, Outcome.FAILED])
        assert times(shown) == ["26 10:00", "26 10:05", "26 10:35", "26 10:40"]
        assert shown.reason is Reason.OUTCOME_RETRIES_EXHAUSTED

    @pytest.mark.parametrize(
        ("outcome", "summary"),
        [
            (Outcome.COMPLETED, SummaryStatus.COMPLETED),
            (Outcome.CANCELED, SummaryStatus.CANCELED),
            (Outcome.DND, SummaryStatus.BLOCKED),
            (Outcome.INVALID_NUMBER, SummaryStatus.NOT_RETRYABLE),
        ],
    )
    def test_some_outcomes_are_never_retried_by_any_policy(self, outcome: Outcome, summary: SummaryStatus) -> None:
        assert run(policy(Fixed(1)), [outcome]).summary_status is summary

    @pytest.mark.parametrize("outcome", [o for o in Outcome if o not in (C, Outcome.CANCELED, Outcome.DND)])
    def test_an_outcome_without_a_rule_is_not_retried(self, outcome: Outcome) -> None:
        shown = run(policy(Fixed(1), on={}), [outcome])
        ends = SummaryStatus.VOICEMAIL_FINAL if outcome is Outcome.VOICEMAIL else SummaryStatus.NOT_RETRYABLE
        assert (len(shown.attempts), shown.summary_status) == (1, ends)

    def test_the_policys_end_ends_the_call(self) -> None:
        shown = run(policy(Fixed(90), expires_after_hours=2), [B, B])
        assert times(shown) == ["26 10:00", "26 11:30"]
        assert (shown.summary_status, shown.reason) == (SummaryStatus.EXPIRED, Reason.POLICY_EXPIRED)

    def test_a_huge_factor_stops_at_its_maximum(self) -> None:
        made = policy(Exponential(1, 100, 120), max_retries=90, expires_after_hours=24 * 60)
        shown = run(made, [B] * 80)
        assert shown.attempts[-1].at - shown.attempts[-2].at == timedelta(minutes=120)


class TestWindows:
    """A dial outside the hours is deferred to the next opening, never dropped."""

    def test_the_first_attempt_is_rescheduled_too(self) -> None:
        window = Window(open=daily(("11:00", "12:00")))
        shown = run(policy(Fixed(30), window=window), [B, B, C])
        assert times(shown) == ["26 11:00", "26 11:30", "27 11:00"]
        assert shown.attempts[0].reason is Reason.STARTED

    def test_every_zone_that_a_number_may_be_in_must_be_open(self) -> None:
        window = Window(open=daily(("09:00", "21:00")))
        shown = run(policy(Fixed(30), window=window), [C], zones=("America/New_York", "America/Los_Angeles"))
        assert times(shown) == ["26 17:00"]  # nine in Los Angeles

    def test_an_unknown_zone_is_closed_with_a_reason(self) -> None:
        window = Window(open=daily(("09:00", "21:00")))
        for made in (
            policy(Fixed(30), window=window),
            policy(TimeOfDay((600,))),
            policy(Fixed(1), caps=(Cap(1, per="day"),)),
        ):
            shown = run(made, [B], zones=())
            assert (shown.attempts, shown.summary_status) == ((), SummaryStatus.BLOCKED)
            assert shown.reason is Reason.ZONE_UNKNOWN

    def test_a_window_of_a_named_zone_needs_no_other(self) -> None:
        window = Window(timezone="Asia/Kolkata", open=daily(("15:30", "16:00")))
        assert times(run(policy(Fixed(30), window=window), [B, C], zones=())) == ["26 10:00", "27 10:00"]

    def test_a_window_that_does_not_open_in_time_ends_the_call(self) -> None:
        window = Window(open={WEEK[6]: (interval("09:00", "10:00"),)})
        shown = run(policy(Fixed(30), window=window, ends_sharp=True), [B])
        assert (shown.summary_status, shown.reason) == (SummaryStatus.EXPIRED, Reason.POLICY_EXPIRED)


class TestCaps:
    """A cap that clears defers the retry; one that cannot clear in time ends the call."""

    def test_a_rolling_cap_defers_the_retry_until_it_clears(self) -> None:
        shown = run(policy(Fixed(60), caps=(Cap(2, 24),)), [B, B, B, C])
        assert times(shown) == ["26 10:00", "26 11:00", "27 10:00", "27 11:00"]
        assert shown.attempts[2].steps == (
            "+60 min after busy",
            "cap 2 of 2 in 24 h used → 2026-01-27T10:00Z",
            "cap 2 of 2 in 24 h",
        )

    def test_a_cap_per_local_day_clears_at_the_local_midnight(self) -> None:
        made = policy(Fixed(60), caps=(Cap(1, per="day"),))
        assert times(run(made, [B, C], zones=("Asia/Kolkata",))) == ["26 10:00", "26 18:30"]

    def test_window_and_cap_defer_a_dial_until_both_allow_it(self) -> None:
        window = Window(open=daily(("09:00", "10:30")))
        shown = run(policy(Fixed(30), window=window, caps=(Cap(1, 24),)), [B, C], start=START + timedelta(minutes=15))
        assert times(shown) == ["26 10:15", "27 10:15"]

    def test_a_cap_that_cannot_clear_in_time_blocks_the_call(self) -> None:
        shown = run(policy(Fixed(60), caps=(Cap(1, 24 * 30),)), [B])
        assert (shown.summary_status, shown.reason) == (SummaryStatus.BLOCKED, Reason.CAPPED)

    def test_attempts_of_other_calls_count(self) -> None:
        made = policy(Fixed(1), caps=(Cap(2, 24),))
        others = (START - timedelta(hours=23), START - timedelta(hours=1))
        situation = Situation(START + timedelta(days=3), UTC_ZONE, dialed_at=others)
        assert first(made, situation, START).retry_at == START + timedelta(hours=1)

    def test_caps_and_expiry_are_checked_again_at_the_moment_of_dialling(self) -> None:
        made = policy(Fixed(1), caps=(Cap(1, 24),))
        free = Situation(START + timedelta(days=3), UTC_ZONE)
        taken = Situation(START + timedelta(days=3), UTC_ZONE, dialed_at=(START - timedelta(hours=1),))
        assert may_dial(made, free, START).reason is Reason.DUE
        moved = may_dial(made, taken, START)
        assert (moved.reason, moved.retry_at) == (Reason.RESCHEDULED, START + timedelta(hours=23))
        late = may_dial(made, free, START + timedelta(days=3, seconds=1))
        assert late.summary_status is SummaryStatus.EXPIRED


ZONES = ["America/New_York", "Europe/Paris", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia", "America/Sao_Paulo"]
minutes = st.floats(0, 3000, allow_nan=False)
at = st.datetimes(datetime(2025, 1, 1), datetime(2034, 12, 1)).map(lambda d: d.replace(tzinfo=UTC, microsecond=0))
hours = st.builds(
    lambda start, length: Interval(start, min(start + length, 2 * 1440)), st.integers(0, 1439), st.integers(30, 1440)
)
weeks = st.dictionaries(st.sampled_from(WEEK), st.lists(hours, min_size=1, max_size=2).map(tuple), min_size=1)
strategies = st.one_of(
    st.just(NoRetry()),
    st.builds(Fixed, minutes),
    st.builds(Intervals, st.lists(minutes, min_size=1, max_size=4).map(tuple)),
    st.builds(Exponential, st.floats(1, 600), st.floats(1, 100), st.floats(600, 5000)),
    st.builds(Scheduled, st.lists(at, min_size=1, max_size=5).map(lambda d: tuple(sorted(set(d))))),
    st.builds(
        TimeOfDay, st.lists(st.integers(0, 1439), min_size=1, max_size=4).map(lambda t: tuple(sorted(set(t)))), minutes
    ),
)
caps = st.one_of(
    st.builds(Cap, st.integers(1, 5), st.floats(1, 720)), st.builds(Cap, st.integers(1, 5), per=st.just("day"))
)
policies = st.builds(
    Policy,
    max_retries=st.integers(0, 8),
    strategy=strategies,
    on=st.dictionaries(
        st.sampled_from(Outcome),
        st.builds(OutcomeRule, st.booleans(), st.none() | minutes, st.none() | st.integers(0, 3)),
    ),
    window=st.none() | st.builds(Window, open=st.none() | weeks, holidays=st.just(()) | st.just(("US",))),
    caps=st.lists(caps, max_size=2).map(tuple),
    expires_after_hours=st.floats(1, 1440),
)
zones = st.lists(st.sampled_from(ZONES), min_size=1, max_size=3, unique=True).map(tuple)


def allowed(made: Policy, situation: Situation, decision: Decision) -> None:
    """Assert that the decision plans no dial that its own policy forbids."""
    assert (decision.retry_at is None) != (decision.summary_status is None)
    assert decision.steps
    when = decision.retry_at
    if when is None:
        return
    assert when <= situation.expires_at
    assert made.window is None or is_open(made.window, when, situation.zones)
    for cap in made.caps:
        assert _dials_before(cap, when, situation) < cap.max_attempts


def _dials_before(cap: Cap, when: datetime, situation: Situation) -> int:
    """Count the dials as the rule reads, not as caps.py does."""
    if cap.per == "hours":
        return sum(1 for t in situation.dialed_at if when - timedelta(hours=cap.per_hours) < t <= when)
    most = 0
    for name in situation.zones:
        day = when.astimezone(zone_of(name)).date()
        most = max(most, sum(1 for t in situation.dialed_at if t <= when and t.astimezone(zone_of(name)).date() == day))
    return most


@given(
    policies,
    zones,
    at,
    st.lists(st.tuples(st.sampled_from(Outcome), st.integers(0, 600)), max_size=8),
    st.lists(at, max_size=3),
)
def test_no_decision_falls_outside_what_its_policy_allows(
    made: Policy, where: tuple[str, ...], start: datetime, story: list[tuple[Outcome, int]], others: list[datetime]
) -> None:
    expires_at = start + timedelta(hours=made.expires_after_hours)
    situation = Situation(expires_at, where, dialed_at=tuple(sorted(o for o in others if o <= start)))
    decision = first(made, situation, start)
    allowed(made, situation, decision)
    assert decision.retry_at is None or decision.retry_at >= start
    for number, (outcome, seconds) in enumerate(story, 1):
        if decision.retry_at is None:
            break
        started = decision.retry_at
        attempt = PastAttempt(number, outcome, started, started + timedelta(seconds=seconds))
        situation = situation.with_attempt(attempt)
        decision = decide(made, situation)
        assert decide(made, situation) == decision
        allowed(made, situation, decision)
        if decision.retry_at is not None:
            assert decision.retry_at >= started + _least_wait(made, attempt, number - 1)
            assert number <= made.max_retries
            assert made.rule(outcome).retry


def _least_wait(made: Policy, attempt: PastAttempt, retry: int) -> timedelta:
    own = made.rule(attempt.outcome).wait_minutes
    ring = attempt.ended_at - attempt.started_at
    if own is not None:
        return ring + timedelta(minutes=own)
    match made.strategy:
        case Fixed(wait):
            return ring + timedelta(minutes=wait)
        case Intervals(waits):
            return ring + timedelta(minutes=waits[min(retry, len(waits) - 1)])
        case TimeOfDay(_, gap):
            return ring + timedelta(minutes=gap)
        case _:
            return ring
