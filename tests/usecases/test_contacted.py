"""Contacts of a customer: every later decision respects them, at any moment."""

from datetime import timedelta
from typing import Any

import pytest

from tests.support.world import BODY, START, World

TO = "+16505550199"
LIMIT = timedelta(seconds=60 + 3600 + 120)
TOMORROW = "2026-01-27T10:00:00Z"
RETRY = {**BODY["retry"], "on": {"failed": True, "busy": True}}


def contacted(world: World, until: str | None) -> int:
    body = {"postpone_until": until} if until else {}
    answer = world.request("POST", f"/numbers/{TO}/contacted", body)
    assert answer.status_code == 200
    changed: int = answer.json_body["calls_changed"]
    return changed


def in_flight(world: World) -> dict[str, Any]:
    return world.place(retry=RETRY)


def timed_out(world: World) -> dict[str, Any]:
    """Return a call whose only callback was lost, and which waits for its retry."""
    call = world.place(retry=RETRY)
    world.clock.turn(to=START + LIMIT)
    world.sweep()
    assert world.call(call["id"])["state"] == "scheduled"
    return call


@pytest.mark.parametrize("history", [in_flight, timed_out])
def test_a_contact_holds_against_a_callback_that_comes_later(world: World, history: Any) -> None:
    call = history(world)
    assert contacted(world, TOMORROW) == (history is timed_out)
    world.callback(world.twilio.placed[0], "busy", SequenceNumber="3")
    assert world.call(call["id"])["next_attempt_at"] == TOMORROW
    world.pump(START + timedelta(hours=23))
    assert len(world.twilio.placed) == 1
    world.pump(START + timedelta(hours=25))
    assert len(world.twilio.placed) == 2


def test_a_contact_for_good_ends_a_call_whose_attempt_is_in_flight(world: World) -> None:
    call = in_flight(world)
    assert contacted(world, None) == 0
    assert world.call(call["id"])["state"] == "dialing"
    world.end("busy")
    after = world.call(call["id"])
    assert (after["state"], after["summary_status"], after["reason"]) == ("final", "canceled", "contacted")


def test_a_contact_during_the_dial_holds_when_the_provider_rejects_it(world: World) -> None:
    world.twilio.on_place = lambda _: contacted(world, None)
    call = world.place(retry=RETRY)
    world.end("no-answer")
    assert world.call(call["id"])["summary_status"] == "canceled"


def test_a_contact_holds_for_what_the_sweep_finds(world: World) -> None:
    call = in_flight(world)
    contacted(world, TOMORROW)
    world.twilio.known[world.twilio.placed[0].sid] = {"status": "busy"}
    world.clock.turn(to=START + LIMIT)
    world.sweep()
    assert world.call(call["id"])["next_attempt_at"] == TOMORROW


def test_a_new_call_after_a_contact_is_a_new_wish(world: World) -> None:
    contacted(world, TOMORROW)
    assert world.place()["state"] == "dialing"
