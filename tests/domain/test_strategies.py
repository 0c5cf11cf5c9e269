"""Times of the day in several zones, waits of zero minutes, and ``vary``."""

from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.domain.number_zones import zones_of
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.past_attempt import PastAttempt
from chalicelib.domain.policy import Exponential, Fixed, Intervals, OutcomeRule, Policy, Strategy, TimeOfDay
from chalicelib.domain.preview import preview
from chalicelib.domain.strategies import propose
from chalicelib.domain.window import WEEK, Window, interval
from chalicelib.domain.zones import next_shared_time, zone

START = datetime(2026, 1, 26, 10, 0, tzinfo=UTC)
ALL = {outcome: OutcomeRule(retry=True) for outcome in Outcome}
BUSY = [Outcome.BUSY] * 8
AUSTRALIA = zones_of("+61412345678")


def made(strategy: Strategy, window: Window | None = None) -> Policy:
    return Policy(9, strategy, ALL, window, expires_after_hours=1440)


def starts(policy: Policy, zones: tuple[str, ...], start_at: datetime = START) -> list[datetime]:
    return [attempt.at for attempt in preview(policy, zones, start_at, BUSY).attempts]


@pytest.mark.parametrize("gap", [0, 60])
@pytest.mark.parametrize("number", ["+61412345678", "+5511987654321", "+18005550199", "+79161234567"])
def test_each_time_is_used_once_a_day_over_all_zones(number: str, gap: float) -> None:
    zones = zones_of(number)
    retries = starts(made(TimeOfDay((600, 840), gap)), zones)[1:]
    # Two on each day, although the number may be in many zones: the third comes 24 hours after the first.
    assert [b - a for a, b in zip(retries, retries[2:], strict=False)] == [timedelta(days=1)] * 6


def test_an_attempt_at_a_time_in_the_first_zone_has_used_it_in_all() -> None:
    in_sydney = datetime(2026, 1, 26, 10, 0, tzinfo=zone("Australia/Sydney")).astimezone(UTC)
    following = starts(made(TimeOfDay((600,), 0)), ("Australia/Perth", "Australia/Sydney"), in_sydney)
    assert following[1] - following[0] == timedelta(days=1)


def test_the_zone_of_the_window_counts_for_times_of_day() -> None:
    window = Window("Asia/Kolkata", dict.fromkeys(WEEK, (interval("09:00", "21:00"),)))
    for zones in ((), AUSTRALIA):
        second = starts(made(TimeOfDay((600,)), window), zones)[1]
        assert f"{second.astimezone(zone('Asia/Kolkata')):%H:%M}" == "10:00"


def test_a_time_outside_the_window_is_deferred_to_its_opening() -> None:
    window = Window(open=dict.fromkeys(WEEK, (interval("09:00", "21:00"),)))
    shown = starts(made(TimeOfDay((420, 600, 1320)), window), ("UTC",))
    assert [f"{at:%d %H:%M}" for at in shown[1:5]] == ["27 09:00", "27 10:00", "28 09:00", "28 10:00"]


def test_the_first_of_two_zones_gives_the_time_across_the_date_line() -> None:
    at = datetime(2026, 1, 26, 10, 0, tzinfo=UTC)
    found = next_shared_time(at, (600,), ("Pacific/Honolulu", "Pacific/Kiritimati"))
    assert found == datetime(2026, 1, 26, 20, 0, tzinfo=UTC)
    assert next_shared_time(found + timedelta(minutes=1), (600,), ("Pacific/Honolulu",)) == found + timedelta(days=1)


@pytest.mark.parametrize(
    "strategy", [Fixed(0), Intervals((0,)), TimeOfDay(tuple(range(1440)), 0)], ids=lambda s: s.type
)
@pytest.mark.parametrize(("began", "ended"), [(0, 0), (10, 40), (59, 59), (40, 65)])
def test_no_wait_repeats_within_the_minute_of_the_attempt(strategy: Strategy, began: int, ended: int) -> None:
    tried = PastAttempt(1, Outcome.BUSY, START + timedelta(seconds=began), START + timedelta(seconds=ended))
    proposal = propose(strategy, (tried,), ("UTC",))
    assert proposal is not None
    assert proposal.at >= max(tried.ended_at, START + timedelta(minutes=1))


def test_a_rule_without_a_wait_does_not_repeat_within_a_minute() -> None:
    policy = Policy(3, Fixed(30), {Outcome.BUSY: OutcomeRule(True, wait_minutes=0)})
    assert starts(policy, ()) == [START + timedelta(minutes=minute) for minute in range(4)]


@pytest.mark.parametrize(
    "strategy", [Fixed(60, vary=True), Intervals((60, 120), vary=True), Exponential(60, 1, vary=True)]
)
def test_a_retry_that_varies_falls_in_the_other_half_of_the_day(strategy: Strategy) -> None:
    window = Window(open=dict.fromkeys(WEEK, (interval("10:00", "18:00"),)))
    shown = starts(made(strategy, window), ("UTC",))[:5]
    assert [f"{at:%d %H:%M}" for at in shown] == ["26 10:00", "26 12:00", "27 10:00", "27 12:00", "28 10:00"]


def test_a_retry_in_the_other_half_anyway_is_left_as_it_is() -> None:
    shown = starts(made(Fixed(200, vary=True)), ("UTC",))[:3]
    assert [f"{at:%d %H:%M}" for at in shown] == ["26 10:00", "26 13:20", "27 09:00"]


def test_a_retry_varies_by_the_zone_of_the_window() -> None:
    window = Window("Asia/Kolkata", dict.fromkeys(WEEK, (interval("09:00", "21:00"),)))
    second = starts(made(Fixed(30, vary=True), window), ())[1]  # 15:30 in Kolkata to begin with
    assert f"{second.astimezone(zone('Asia/Kolkata')):%d %H:%M}" == "27 09:00"


def test_a_policy_that_varies_needs_the_zone_of_the_number() -> None:
    shown = preview(made(Fixed(30, vary=True)), (), START, BUSY)
    assert (shown.attempts, shown.reason) == ((), "zone-unknown")
