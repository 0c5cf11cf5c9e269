"""The emergency stop: no call is dialled during it, and each call once after it."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from ops.__main__ import main
from tests.support.world import World, new_client

Switch = Callable[[], None]


def by_environment(world: World, monkeypatch: pytest.MonkeyPatch) -> tuple[Switch, Switch]:
    def set_to(value: str) -> None:
        monkeypatch.setenv("DIALING", value)
        world.client = new_client().__enter__()
        world.restart()

    return lambda: set_to("off"), lambda: set_to("on")


def by_command(world: World, _: pytest.MonkeyPatch) -> tuple[Switch, Switch]:
    def switch(command: str) -> None:
        assert main([command, "--stage", "dev"]) == 0
        # As in a deployment: new processes, with the environment of .chalice/config.json.
        world.restart()

    return lambda: switch("stop"), lambda: switch("start")


@pytest.mark.parametrize("switch", [by_environment, by_command])
def test_redial_sweep_and_new_calls_obey_the_stop(
    world: World, monkeypatch: pytest.MonkeyPatch, switch: Callable[..., tuple[Switch, Switch]]
) -> None:
    stop, go = switch(world, monkeypatch)
    start = world.clock.now()
    waiting = world.place(start_at=f"{start + timedelta(minutes=30):%Y-%m-%dT%H:%M:%SZ}")
    stop()
    new = world.place(to_number="+16505550198")
    assert (new["state"], new["attempts"]) == ("scheduled", [])
    world.pump(start + timedelta(minutes=40))
    for _ in range(5):
        world.sweep()
        world.clock.turn(minutes=1)
    assert world.twilio.placed == []
    assert world.call(waiting["call_id"])["state"] == "scheduled"
    go()
    for _ in range(8):
        world.sweep()
        world.pump(world.clock.now() + timedelta(minutes=1))
    assert sorted(placed.form["To"] for placed in world.twilio.placed) == ["+16505550198", "+16505550199"]


def test_a_wake_under_the_stop_needs_no_table(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    stop, _ = by_environment(world, monkeypatch)
    stop()
    asked: list[str] = []
    world.dynamodb.meta.events.register("before-call.dynamodb", lambda model, **_: asked.append(model.name))
    assert world.redial(world.clock.now() + timedelta(minutes=3)) == {"left": 0}
    assert asked == []
