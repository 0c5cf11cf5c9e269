"""Redial and the sweep set and clear triggers on either backend.

The backends are EventBridge rules and EventBridge Scheduler.
"""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from chalicelib.runtime.services import client
from tests.support.world import BODY, START, World, answer_json, new_client

ROLE_ARN = "arn:aws:iam::123456789012:role/redial-dev-scheduler"


@pytest.fixture(params=["rule", "scheduler"])
def on_backend(request: pytest.FixtureRequest, world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("WAKE_BACKEND", request.param)
    monkeypatch.setenv("SCHEDULER_ROLE_ARN", ROLE_ARN)
    with new_client() as world.client:  # a client reads its environment only once
        yield world


def armed() -> set[str]:
    """Return the stamps of the wakes that have a trigger."""
    rules = [rule["Name"] for rule in client("events").list_rules()["Rules"]]
    schedules = [schedule["Name"] for schedule in client("scheduler").list_schedules()["Schedules"]]
    return {name.removeprefix("redial-dev-wake-") for name in rules + schedules}


def test_an_hours_wake_sets_the_minutes_and_clears_itself(on_backend: World) -> None:
    on_backend.place(retry={**BODY["retry"], "wait_minutes": 180})
    on_backend.end("busy")
    assert armed() == {"202601261200"}
    on_backend.clock.turn(to=START + timedelta(hours=2))
    on_backend.redial(on_backend.clock.now())
    assert armed() == {"202601261300"}


def test_the_sweep_sets_a_wake_for_what_the_provider_deferred(on_backend: World) -> None:
    call = on_backend.place()
    on_backend.end("busy")
    on_backend.clock.turn(to=START + timedelta(minutes=32))
    on_backend.twilio.answers = [answer_json(429, {"code": 20429})]
    on_backend.sweep()
    assert on_backend.history(call["id"]) == [(1, "busy")]
    next_at = on_backend.call(call["id"])["next_attempt_at"]
    assert {"202601261030", next_at[:16].translate(str.maketrans("", "", "-T:"))} == armed()


def test_the_sweep_clears_a_wake_that_is_long_past(on_backend: World) -> None:
    call = on_backend.place()
    on_backend.end("busy")
    on_backend.request("POST", f"/calls/{call['id']}/cancel")
    on_backend.clock.turn(to=START + timedelta(minutes=41))
    assert on_backend.sweep() == {"stale-wakes": 1}
    assert armed() == set()


@pytest.mark.parametrize(("first", "then"), [("rule", "scheduler"), ("scheduler", "rule")])
def test_a_switch_of_backend_lets_old_triggers_fire_then_clears_them(
    world: World, monkeypatch: pytest.MonkeyPatch, first: str, then: str
) -> None:
    def switch_to(backend: str) -> None:
        monkeypatch.setenv("WAKE_BACKEND", backend)
        world.client = new_client().__enter__()

    monkeypatch.setenv("SCHEDULER_ROLE_ARN", ROLE_ARN)
    switch_to(first)
    world.place()
    world.end("busy")
    later = world.place(to_number="+16505550198", start_at="2026-01-26T14:00:00Z")
    switch_to(then)
    assert armed() == {"202601261030", "202601261300"}
    world.clock.turn(to=START + timedelta(minutes=30))
    world.redial(world.clock.now())
    # The old backend fires the wake of 10:30, and keeps it until the sweep of the next half hour.
    world.clock.turn(minutes=59)
    world.sweep()
    assert "202601261030" in armed()
    world.clock.turn(minutes=1)
    world.sweep()
    assert armed() == {"202601261300"}
    world.clock.turn(to=START + timedelta(hours=4))
    world.redial(world.clock.now())
    assert world.call(later["id"])["state"] == "dialing"
