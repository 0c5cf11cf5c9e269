"""A preview shows the same minutes as a live call, through the public API alone."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.domain.window import WEEK
from tests.support.world import World

STATUSES = ("busy", "no-answer")
waits = st.sampled_from((0, 0.5, 1, 1.5, 2, 7.25, 45, 600))
strategies = st.one_of(
    st.builds(lambda w, v: {"type": "fixed", "wait_minutes": w, "vary": v}, waits, st.booleans()),
    st.builds(lambda w: {"type": "intervals", "minutes": w}, st.lists(waits, min_size=1, max_size=3)),
    st.builds(lambda f: {"type": "exponential", "first_minutes": 1.5, "factor": f}, st.sampled_from((1.5, 2.0, 7.0))),
    st.builds(
        lambda t, g: {"type": "time_of_day", "times": t, "min_gap_minutes": g},
        st.lists(st.sampled_from(("00:00", "09:00", "10:01", "17:30")), min_size=1, max_size=3),
        waits,
    ),
)
windows = st.one_of(
    st.none(),
    st.builds(
        lambda hours, days: {"open": {day: [hours] for day in days}},
        st.sampled_from((["09:00", "17:00"], ["10:30", "10:40"], ["22:00", "02:00"])),
        st.lists(st.sampled_from(WEEK), min_size=1, max_size=7, unique=True),
    ),
    st.just({"preset": "fr"}),
    st.just({"preset": ["us", "es"], "holidays": ["DE", "US-CA"], "closed": ["2026-01-27", "2026-01-29"]}),
    st.just({"preset": "it", "open": {day: [["08:00", "22:00"]] for day in WEEK[:6]}}),
)
retries = st.builds(
    lambda strategy, window, caps, hours, quiet: {
        "max_retries": 3,
        "strategy": strategy,
        "caps": caps,
        "expires_after_hours": hours,
        "quiet_after": quiet,
        **({"window": window} if window else {}),
    },
    strategies,
    windows,
    st.lists(st.sampled_from(({"max_attempts": 2, "per_hours": 24}, {"max_attempts": 1, "per": "day"})), max_size=1),
    st.sampled_from((1, 24, 72)),
    st.sampled_from(({}, {}, {"busy": 2.5}, {"no-answer": 30})),
)
zones = st.sampled_from(("Europe/Paris", "Asia/Kolkata", "America/Los_Angeles"))
endings = st.lists(st.sampled_from(STATUSES), min_size=1, max_size=3)
#: None starts the call at once; a number is the delay in seconds
starting = st.none() | st.sampled_from((30, 600, 5000, 90_061))


def previewed(world: World, body: dict[str, Any], outcomes: list[str]) -> list[datetime]:
    wanted = {name: body[name] for name in ("to_number", "timezone", "start_at", "retry")}
    answer = world.request("POST", "/policies/preview", {**wanted, "outcomes": outcomes})
    assert answer.status_code == 200, answer.body
    return [minute_of(attempt["at"]) for attempt in answer.json_body["attempts"]]


def dialled(world: World, body: dict[str, Any], outcomes: list[str]) -> list[datetime]:
    """Place the call, and return the minutes of its dials.

    Each attempt ends at the moment of its dial.
    """
    before = len(world.twilio.placed)
    call_id = world.place(**body)["id"]
    for status in [*outcomes, None]:
        due_at = world.call(call_id)["next_attempt_at"]
        if due_at is not None:
            world.pump(datetime.fromisoformat(due_at))
        if world.call(call_id)["state"] == "final":
            break
        if status is not None:
            world.end(status)
    return [placed.at.replace(second=0, microsecond=0) for placed in world.twilio.placed[before:]]


def minute_of(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(second=0, microsecond=0)


def holds(world: World, retry: dict[str, Any], zone: str, outcomes: list[str], start: int | None, second: int) -> None:
    """Check one policy with a number of its own, from a time within a minute."""
    world.clock.turn(to=world.clock.now().replace(second=0, microsecond=0) + timedelta(minutes=1, seconds=second))
    start_at = None if start is None else (world.clock.now() + timedelta(seconds=start)).isoformat()
    number = f"+1415{5550000 + len(world.twilio.requests) % 9999:07}"
    body = {"to_number": number, "timezone": zone, "start_at": start_at, "retry": retry}
    expected = previewed(world, body, outcomes)
    assert dialled(world, body, outcomes) == expected


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(retries, zones, endings, starting, st.integers(0, 59))
def test_a_live_call_is_dialled_in_the_minutes_of_the_preview(
    world: World, retry: dict[str, Any], zone: str, outcomes: list[str], start: int | None, second: int
) -> None:
    holds(world, retry, zone, outcomes, start, second)


@pytest.mark.slow
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(retries, zones, endings, starting, st.integers(0, 59))
def test_many_live_calls_are_dialled_in_the_minutes_of_the_preview(
    world: World, retry: dict[str, Any], zone: str, outcomes: list[str], start: int | None, second: int
) -> None:
    holds(world, retry, zone, outcomes, start, second)
