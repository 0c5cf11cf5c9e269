"""Redial and sweep set and clear wakes by whichever alarm clock the deployment has."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from chalicelib.runtime.services import client
from tests.support.world import BODY, START, World, answer_json, new_client

ROLE_ARN = "arn:aws:iam::123456789012:role/redial-dev-scheduler"


@pytest.fixture(params=["rule", "scheduler"])
def clocked(request: pytest.FixtureRequest, world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("WAKE_BACKEND", request.param)
    monkeypatch.setenv("SCHEDULER_ROLE_ARN", ROLE_ARN)
    with new_client() as world.client:  # it has read its environment once and for all
        yield world


def armed() -> set[str]:
    """The wakes that are set, by their stamp."""
    rules = [rule["Name"] for rule in client("events").list_rules()["Rules"]]
    schedules = [schedule["Name"] for schedule in client("scheduler").list_schedules()["Schedules"]]
    return {name.removeprefix("redial-dev-wake-") for name in rules + schedules}


def test_an_hours_wake_sets_the_minutes_and_clears_itself(clocked: World) -> None:
    clocked.place(retry={**BODY["retry"], "wait_minutes": 180})
    clocked.end("busy")
    assert armed() == {"202601261200"}
    clocked.clock.turn(to=START + timedelta(hours=2))
    clocked.redial(clocked.clock.now())
    assert armed() == {"202601261300"}


def test_the_sweep_sets_a_wake_for_what_the_provider_deferred(clocked: World) -> None:
    call = clocked.place()
    clocked.end("busy")
    clocked.clock.turn(to=START + timedelta(minutes=32))
    clocked.twilio.answers = [answer_json(429, {"code": 20429})]
    clocked.sweep()
    assert clocked.history(call["id"]) == [(1, "busy")]
    next_at = clocked.call(call["id"])["next_attempt_at"]
    assert {"202601261030", next_at[:16].translate(str.maketrans("", "", "-T:"))} == armed()


def test_the_sweep_clears_a_wake_that_is_long_past(clocked: World) -> None:
    call = clocked.place()
    clocked.end("busy")
    clocked.request("POST", f"/calls/{call['id']}/cancel")
    clocked.clock.turn(to=START + timedelta(minutes=41))
    assert clocked.sweep() == {"stale-wakes": 1}
    assert armed() == set()


@pytest.mark.parametrize(("first", "then"), [("rule", "scheduler"), ("scheduler", "rule")])
def test_a_switch_leaves_what_is_to_fire_and_clears_it_afterwards(
    world: World, monkeypatch: pytest.MonkeyPatch, first: str, then: str
) -> None:
    def on(backend: str) -> None:
        monkeypatch.setenv("WAKE_BACKEND", backend)
        world.client = new_client().__enter__()

    monkeypatch.setenv("SCHEDULER_ROLE_ARN", ROLE_ARN)
    on(first)
    world.place()
    world.end("busy")
    later = world.place(to_number="+16505550198", start_at="2026-01-26T14:00:00Z")
    on(then)
    assert armed() == {"202601261030", "202601261300"}
    world.clock.turn(to=START + timedelta(minutes=30))
    world.redial(world.clock.now())
    # The wake of 10:30 fires by the old clock, and stays there until the sweep of the next half hour.
    world.clock.turn(minutes=59)
    world.sweep()
    assert "202601261030" in armed()
    world.clock.turn(minutes=1)
    world.sweep()
    assert armed() == {"202601261300"}
    world.clock.turn(to=START + timedelta(hours=4))
    world.redial(world.clock.now())
    assert world.call(later["id"])["state"] == "dialing"
