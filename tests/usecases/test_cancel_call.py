"""A cancel during the dial: the code that learns of the placement hangs up."""

from typing import Any

import pytest

from chalicelib.providers.http import AnswerLost
from tests.support.world import World


def hung_up(world: World) -> list[str]:
    """Return the calls that the provider was asked to end."""
    return [
        url.rsplit("/", 1)[1].removesuffix(".json")
        for method, url in world.twilio.requests
        if method == "POST" and not url.endswith("/Calls.json")
    ]


def cancel(world: World) -> None:
    (call_id,) = {entry["call_id"] for entry in world.request("GET", "/calls").json_body["data"]}
    answer = world.request("POST", f"/calls/{call_id}/cancel")
    assert (answer.status_code, answer.json_body["summary_status"]) == (200, "canceled")


@pytest.mark.parametrize("heard_first", [False, True])
def test_a_cancel_during_the_dial_hangs_up_once_the_call_is_placed(world: World, heard_first: bool) -> None:
    def canceled(placed: Any) -> None:
        cancel(world)
        if heard_first:
            world.callback(placed, "initiated", SequenceNumber="0")

    world.twilio.on_place = canceled
    call = world.place()
    assert (call["summary_status"], hung_up(world)) == ("canceled", [world.twilio.placed[0].sid])
    world.end("canceled")
    assert world.call(call["id"])["attempts"][0]["outcome"] == "canceled"


def test_a_dial_that_was_not_canceled_is_not_hung_up(world: World) -> None:
    world.twilio.on_place = lambda placed: world.callback(placed, "completed", SequenceNumber="3")
    assert (world.place()["summary_status"], hung_up(world)) == ("completed", [])


def test_a_cancel_of_a_lost_placement_hangs_up_when_the_sweep_finds_it(world: World) -> None:
    world.twilio.on_place = lambda _: cancel(world)
    world.twilio.answers = [AnswerLost("reset")]
    world.place()
    assert hung_up(world) == []
    world.twilio.known[world.twilio.placed[0].sid] = {"status": "ringing"}
    world.clock.turn(minutes=1)
    world.sweep()
    assert hung_up(world) == [world.twilio.placed[0].sid]
