"""The circuit breaker: an account that cannot place calls is paused, then probed."""

from datetime import timedelta
from typing import Any

import pytest

from chalicelib.providers.http import AnswerLost, NotSent
from chalicelib.storage.gates import account_scope
from chalicelib.usecases.gates import breaker
from tests.support.world import BODY, ENV, START, World, answer_json

SCOPE = account_scope("twilio:" + ENV["TWILIO_ACCOUNT_SID"])
NO_FUNDS = answer_json(400, {"code": 20003, "message": "Authenticate"})
DOWN = answer_json(503, {"code": 20503})


def reasons(world: World, call: dict[str, Any]) -> list[str]:
    return [d["reason"] for d in world.request("GET", f"/calls/{call['id']}/decisions").json_body["data"]]


def gate(world: World) -> Any:
    return next(iter(world.services.ports.gates.closed([SCOPE])), None)


def number(n: int) -> str:
    return f"+1650555{n:04d}"


def test_an_account_at_fault_is_paused_at_once_and_reported(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(breaker, "warn", lambda event, **fields: told.append({"event": event, **fields}))
    world.twilio.answers = [NO_FUNDS]
    first = world.place()
    assert reasons(world, first) == ["deferred-by-provider"]
    second = world.place(to_number=number(1))
    assert (second["state"], reasons(world, second), second["attempts"]) == ("scheduled", ["provider-paused"], [])
    why = "the account is at fault (twilio:20003)"
    assert told == [{"event": "provider-paused", "scope": SCOPE, "reason": why, "minutes": 1, "trips": 1}]


def test_one_attempt_is_let_through_as_a_probe_and_opens_the_gate(world: World) -> None:
    world.twilio.answers = [NO_FUNDS]
    calls = [world.place(to_number=number(n)) for n in range(4)]
    asked = len(world.twilio.requests)
    assert asked == 1
    world.pump(START + timedelta(minutes=4))
    assert gate(world) is None
    assert len(world.twilio.placed) == 4
    assert [len(world.call(c["id"])["attempts"]) for c in calls] == [1, 1, 1, 1]


def test_while_the_probe_is_out_everybody_else_waits(world: World) -> None:
    world.twilio.answers = [NO_FUNDS]
    world.place(to_number=number(0))
    world.clock.turn(minutes=1)
    meanwhile: list[dict[str, Any]] = []

    def another(_: Any) -> None:
        world.twilio.on_place = None
        meanwhile.append(world.place(to_number=number(2)))

    world.twilio.on_place = another
    probe = world.place(to_number=number(1))
    assert (probe["state"], meanwhile[0]["state"]) == ("dialing", "scheduled")
    assert world.place(to_number=number(3))["state"] == "dialing"


def test_each_probe_that_fails_doubles_the_pause_up_to_half_an_hour(world: World) -> None:
    world.twilio.answers = [NO_FUNDS] * 9
    call = world.place(retry={**BODY["retry"], "expires_after_hours": 24})
    pauses = []
    for _ in range(8):
        found = gate(world)
        pauses.append(found.until - world.clock.now())
        asked = len(world.twilio.requests)
        while len(world.twilio.requests) == asked:
            world.pump(world.clock.now() + timedelta(minutes=1))
    assert [p.total_seconds() / 60 for p in pauses] == [1, 2, 4, 8, 16, 30, 30, 30]
    assert world.call(call["id"])["attempts"] == []


@pytest.mark.parametrize("lost", [DOWN, AnswerLost("reset"), NotSent("refused")])
def test_a_provider_that_answers_half_of_ten_requests_badly_is_paused(world: World, lost: Any) -> None:
    good = [answer_json(201, {"sid": f"CA{n:032x}", "status": "queued"}) for n in range(5)]
    world.twilio.answers = [*good, *[lost] * 5]
    for n in range(9):
        world.place(to_number=number(n))
    assert gate(world) is None
    world.place(to_number=number(9))
    assert gate(world).reason.startswith("5 of the last 10 requests")
    asked = len(world.twilio.requests)
    assert world.place(to_number=number(10))["state"] == "scheduled"
    assert len(world.twilio.requests) == asked


def test_bad_answers_longer_ago_than_the_window_do_not_count(world: World) -> None:
    world.twilio.answers = [DOWN] * 9
    for n in range(9):
        world.place(to_number=number(n))
    world.clock.turn(minutes=6)
    world.twilio.answers = [DOWN]
    world.place(to_number=number(9))
    assert gate(world) is None


def test_a_refused_number_says_nothing_against_the_provider(world: World) -> None:
    world.twilio.answers = [answer_json(400, {"code": 21211})] * 12
    for n in range(12):
        world.place(to_number=number(n))
    assert gate(world) is None


def test_a_fault_between_calls_that_went_through_does_not_stop_the_account(world: World) -> None:
    world.place(to_number=number(0))
    world.twilio.answers = [NO_FUNDS]
    world.place(to_number=number(1))
    assert gate(world) is None


def test_a_call_that_fails_for_lack_of_funds_trips_the_breaker(world: World) -> None:
    world.place()
    world.clock.turn(minutes=6)
    world.end("failed", ErrorCode="10001")
    assert gate(world).reason == "the account is at fault (twilio:10001)"
