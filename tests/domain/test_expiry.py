"""An expiry never falls before the next opening."""

from datetime import UTC, date, datetime, timedelta

import pytest

from chalicelib.domain.expiry import expiry
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.policy import Fixed, OutcomeRule, Policy
from chalicelib.domain.presets import preset
from chalicelib.domain.preview import preview
from chalicelib.domain.public_holidays import is_holiday
from chalicelib.domain.window import WEEK, Interval, Window, interval, is_open, next_closing, next_opening
from chalicelib.domain.zones import zone

PLACES = {"fr": "Europe/Paris", "uk-guidance": "Europe/London", "au": "Australia/Sydney"}
BUSY = {Outcome.BUSY: OutcomeRule(True)}


def of_preset(name: str) -> Policy:
    return Policy(3, Fixed(60), BUSY, window_of(name))


def window_of(name: str) -> Window:
    return preset("uk-england-wales" if name == "uk-guidance" else name).window()


def last_hours(name: str) -> list[datetime]:
    """Return times ten minutes before a closing of more than 72 hours, 2026 to 2030."""
    found, place = [], zone(PLACES[name])
    day, window = date(2026, 1, 1), window_of(name)
    while day < date(2031, 1, 1):
        last = max((i.end_minute for i in (window.open or {}).get(WEEK[day.weekday()], ())), default=None)
        if last is not None and not is_holiday(window.holidays[0], day):
            midnight = datetime(day.year, day.month, day.day, tzinfo=place)
            at = (midnight + timedelta(minutes=last - 10)).astimezone(UTC)
            opening = next_opening(window, at + timedelta(minutes=60), (PLACES[name],))
            assert opening is not None
            if opening.at > at + timedelta(hours=72):
                found.append(at)
        day += timedelta(days=1)
    return found


@pytest.mark.parametrize("name", PLACES)
def test_a_call_before_a_long_weekend_is_retried_after_it(name: str) -> None:
    starts = last_hours(name)
    assert len(starts) >= 2
    for start_at in starts:
        shown = preview(of_preset(name), (PLACES[name],), start_at, [Outcome.BUSY] * 2)
        assert len(shown.attempts) == 3, start_at
        assert shown.attempts[1].at > start_at + timedelta(hours=72)
        assert "while the window is closed" in " ".join(shown.attempts[1].steps)


def test_every_long_weekend_of_france_is_among_them() -> None:
    starts = last_hours("fr")
    assert (
        datetime(2026, 4, 3, 17, 50, tzinfo=UTC) in starts
    )  # Good Friday is a working day there, Easter Monday is not
    assert len(starts) >= 22


def test_an_expiry_lies_behind_the_whole_first_stretch_of_open_hours() -> None:
    window = window_of("fr")
    ends = expiry(of_preset("fr"), ("Europe/Paris",), datetime(2026, 4, 3, 17, 50, tzinfo=UTC))
    assert ends.policy_ends_at == datetime(2026, 4, 6, 17, 50, tzinfo=UTC)
    assert ends.at == datetime(2026, 4, 7, 11, 0, tzinfo=UTC)  # from 10 to 13 in Paris, on the Tuesday
    assert is_open(window, ends.at - timedelta(minutes=1), ("Europe/Paris",))


def test_an_expiry_within_the_hours_stays_where_it_is() -> None:
    start_at = datetime(2026, 4, 13, 10, 0, tzinfo=UTC)
    assert expiry(of_preset("fr"), ("Europe/Paris",), start_at) == (start_at + timedelta(hours=72), None)


@pytest.mark.parametrize(
    ("policy", "zones"),
    [
        (Policy(1, Fixed(30)), ("Europe/Paris",)),
        (Policy(1, Fixed(30), window=window_of("fr")), ()),
        (Policy(1, Fixed(30), window=window_of("fr"), ends_sharp=True), ("Europe/Paris",)),
    ],
    ids=["no window", "no zone", "ends sharp"],
)
def test_an_expiry_without_later_open_hours_stays(policy: Policy, zones: tuple[str, ...]) -> None:
    start_at = datetime(2026, 4, 3, 17, 50, tzinfo=UTC)
    assert expiry(policy, zones, start_at) == (start_at + timedelta(hours=72), None)


def test_a_stretch_of_open_hours_ends_in_the_first_zone_that_closes() -> None:
    window = Window(open=dict.fromkeys(WEEK, (interval("09:00", "21:00"),)))
    zones = ("America/New_York", "America/Los_Angeles")
    opening = next_opening(window, datetime(2026, 1, 26, 10, 0, tzinfo=UTC), zones)
    assert opening is not None
    assert next_closing(window, opening.at, zones) == datetime(2026, 1, 27, 2, 0, tzinfo=UTC)


def test_a_stretch_goes_on_past_midnight_and_past_a_change_of_clocks() -> None:
    window = Window(open=dict.fromkeys(WEEK, (Interval(1380, 1440 + 300),)))
    at = datetime(2026, 3, 28, 22, 30, tzinfo=UTC)  # 23:30 in Paris, on the evening before the clock change
    assert next_closing(window, at, ("Europe/Paris",)) == datetime(2026, 3, 29, 3, 0, tzinfo=UTC)


def test_a_window_open_all_week_but_one_day_counts_for_a_day() -> None:
    window = Window(open=dict.fromkeys(WEEK[1:], (Interval(0, 1440),)))
    policy = Policy(1, Fixed(30), BUSY, window, expires_after_hours=1)
    ends = expiry(policy, ("UTC",), datetime(2026, 1, 26, 10, 0, tzinfo=UTC))
    assert ends.at == datetime(2026, 1, 28, 0, 0, tzinfo=UTC)
