"""The sweep: what it mends when an alarm or a callback is lost."""

from datetime import timedelta

import pytest

from chalicelib.domain.call import CallRecord
from chalicelib.storage.calls import CallStore
from chalicelib.wheel import plan
from tests.support.world import BODY, START, World

LIMIT = timedelta(seconds=60 + 3600 + 120)


def test_a_redial_whose_rule_was_lost_is_made_by_the_sweep(world: World) -> None:
    call = world.place()
    world.end("busy")
    world.events.remove_targets(Rule=world.rules()[0]["Name"], Ids=["redial"])
    world.events.delete_rule(Name=world.rules()[0]["Name"])
    world.clock.turn(to=START + timedelta(minutes=30, seconds=59))
    assert world.sweep() == {}
    world.clock.turn(seconds=1)
    assert world.sweep() == {"overdue-dialed": 1}
    assert world.history(call["id"]) == [(1, "busy"), (2, "placed")]


def test_an_attempt_whose_callback_was_lost_ends_as_the_provider_says(world: World) -> None:
    call = world.place()
    world.twilio.known[world.twilio.placed[0].sid] = {"status": "busy", "duration": "0"}
    world.clock.turn(to=START + LIMIT)
    assert world.sweep() == {"silent-ended": 1}
    after = world.call(call["id"])
    assert (after["state"], after["attempts"][0]["outcome"]) == ("scheduled", "busy")


def test_an_attempt_that_is_still_going_on_is_asked_about_again(world: World) -> None:
    call = world.place()
    world.twilio.known[world.twilio.placed[0].sid] = {"status": "in-progress"}
    world.clock.turn(to=START + LIMIT)
    assert world.sweep() == {"silent-still-live": 1}
    assert world.sweep() == {}
    world.clock.turn(minutes=10)
    world.twilio.known[world.twilio.placed[0].sid] = {"status": "completed", "duration": "3700"}
    assert world.sweep() == {"silent-ended": 1}
    assert world.call(call["id"])["summary_status"] == "completed"


def test_an_attempt_that_nobody_knows_of_ends_as_failed(world: World) -> None:
    call = world.place(retry={**BODY["retry"], "on": {"failed": {"max_retries": 1}}})
    world.clock.turn(to=START + LIMIT)
    assert world.sweep() == {"silent-ended": 1}
    first = world.call(call["id"])["attempts"][0]
    assert (first["outcome"], first["cause"]) == ("failed", "no-callback")
    world.pump(START + LIMIT + timedelta(minutes=31))
    assert len(world.twilio.placed) == 2


def test_a_canceled_call_whose_attempt_went_silent_gets_an_end_in_the_history(world: World) -> None:
    call = world.place()
    world.request("POST", f"/calls/{call['id']}/cancel")
    world.clock.turn(to=START + LIMIT)
    assert world.sweep() == {"silent-ended": 1}
    after = world.call(call["id"])
    assert (after["summary_status"], after["attempts"][0]["outcome"]) == ("canceled", "failed")
    assert world.sweep() == {}


def test_alarms_long_past_are_removed(world: World) -> None:
    alarms = world.services.ports.alarms
    for minutes in (-60, -11, -9, 5):
        alarms.arm(START + timedelta(minutes=minutes))
    assert world.sweep() == {"stale-alarms": 2}
    assert sorted(alarms.armed()) == [START + timedelta(minutes=m) for m in (-9, 5)]


def test_rules_of_others_are_left_alone(world: World) -> None:
    names = ["redial-dev-wake-not-a-time", f"redial-prod-wake-{plan.stamp(START - timedelta(days=1))}"]
    for name in names:
        world.events.put_rule(Name=name, ScheduleExpression="cron(0 0 1 1 ? 2020)")
    assert world.sweep() == {}
    assert sorted(r["Name"] for r in world.rules()) == sorted(names)


def test_a_call_that_breaks_is_found_behind_the_others_and_less_and_less_often(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, *others = (world.place(to_number=f"+1650555020{i}", start_at="2026-01-26T11:00:00Z") for i in range(3))
    world.clock.turn(to=START + timedelta(hours=1, minutes=2))
    found: list[str] = []
    load = world.services.ports.calls.load

    def loading(self: CallStore, call_id: str) -> CallRecord | None:
        found.append(call_id)
        if call_id == broken["id"]:
            raise RuntimeError("broken")
        return load(call_id)

    monkeypatch.setattr(CallStore, "load", loading)
    tried = []
    for minute in range(40):
        found.clear()
        world.sweep()
        if broken["id"] in found:
            tried.append(minute)
        world.clock.turn(minutes=1)
    assert tried == [0, 1, 3, 7, 15, 26, 37]
    assert len(world.twilio.placed) == len(others)


def test_a_broken_call_is_dialled_once_it_can_be_read_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    call = world.place(start_at="2026-01-26T11:00:00Z")
    world.clock.turn(to=START + timedelta(hours=1, minutes=2))
    with monkeypatch.context() as patched:
        patched.setattr(CallStore, "load", lambda *_: 1 / 0)
        assert world.sweep() == {"overdue-broken": 1}
    assert world.call(call["id"])["next_attempt_at"] == "2026-01-26T11:00:00Z"
    world.clock.turn(minutes=1)
    assert world.sweep() == {"overdue-dialed": 1}
    assert not any("broken" in item for item in world.items())
