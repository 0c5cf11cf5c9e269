"""Attempts that nobody wants any more are hung up: canceled ones and needless ones."""

from datetime import timedelta
from typing import Any

import pytest

from chalicelib.providers.http import AnswerLost
from tests.support.world import START, World


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


class TestALateAnswer:
    """A late callback shows that attempt 1 reached a person, while attempt 2 rings."""

    @pytest.fixture
    def call(self, world: World) -> str:
        """Set up a call whose second attempt rings."""
        call: str = world.place()["id"]
        world.end("busy")
        world.pump(START + timedelta(minutes=30))
        world.callback(world.twilio.placed[1], "ringing", SequenceNumber="1")
        world.twilio.known[world.twilio.placed[1].sid] = {"status": "ringing"}
        return call

    def answered_late(self, world: World, attempt: int = 1) -> None:
        answer = world.callback(world.twilio.placed[attempt - 1], "in-progress", SequenceNumber="2")
        assert answer.status_code == 200, answer.body
        assert hung_up(world) == []

    def test_the_sweep_hangs_up_the_later_attempt(self, world: World, call: str) -> None:
        self.answered_late(world)
        world.clock.turn(minutes=1)
        world.sweep()
        assert hung_up(world) == [world.twilio.placed[1].sid]
        world.end("canceled")
        after = world.call(call)
        assert (after["state"], after["summary_status"], after["reason"]) == ("final", "completed", "reached")
        decisions = world.request("GET", f"/calls/{call}/decisions").json_body["data"]
        assert decisions[-1]["steps"] == ["attempt 2 ended canceled", "earlier attempt 1 ended completed"]
        world.pump(START + timedelta(days=3))
        assert len(world.twilio.placed) == 2

    def test_a_later_attempt_that_was_answered_goes_on(self, world: World, call: str) -> None:
        self.answered_late(world)
        world.twilio.known[world.twilio.placed[1].sid] = {"status": "in-progress"}
        world.clock.turn(minutes=1)
        world.sweep()
        assert hung_up(world) == []

    def test_an_answering_machine_leaves_the_later_attempt_alone(self, world: World, call: str) -> None:
        self.answered_late(world)
        world.callback(world.twilio.placed[0], None, AnsweredBy="machine_start")
        world.clock.turn(minutes=1)
        world.sweep()
        assert hung_up(world) == []
        world.end("no-answer")
        assert world.call(call)["state"] == "scheduled"
