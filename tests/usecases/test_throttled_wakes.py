"""EventBridge with a full quota, or throttled.

Redial still dials calls and answers callbacks without delay.
"""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError

from chalicelib.runtime import services as parts
from chalicelib.usecases.calls.redial_due import arm_below
from tests.support.world import World

CODES = ("LimitExceededException", "ThrottlingException", "InternalException")


def refuse(world: World, code: str) -> list[str]:
    """Let EventBridge reject every rule, and return the requests that were sent."""
    sent: list[str] = []

    def refused(request: Any, **_: Any) -> AWSResponse:
        sent.append(request.url)
        answer = AWSResponse(request.url, 500 if code == "InternalException" else 400, {}, None)
        answer._content = json.dumps({"__type": code, "message": "no"}).encode()
        return answer

    world.events.meta.events.register_first("before-send.events.PutRule", refused)
    return sent


def schedule_an_hour(world: World) -> None:
    """Place a call for 12:00 and five for later in that hour, and let 11:00 pass."""
    noon = world.clock.now().replace(hour=12, minute=0)
    for number in range(6):
        at = noon + timedelta(minutes=7 * number)
        world.place(to_number=f"+1650555019{number}", start_at=f"{at:%Y-%m-%dT%H:%M:%SZ}")
    world.pump(noon - timedelta(minutes=1))
    world.clock.turn(to=noon)


@pytest.mark.parametrize("code", CODES)
def test_the_hours_wake_dials_and_stops_arming_at_once(world: World, code: str) -> None:
    schedule_an_hour(world)
    sent = refuse(world, code)
    assert world.redial(world.clock.now()).get("dialed") == 1
    assert len(sent) == 1
    for _ in range(40):
        world.clock.turn(minutes=1)
        world.sweep()
    assert len(world.twilio.placed) == 6


@pytest.mark.parametrize("code", CODES)
def test_a_callback_asks_once_and_is_answered(world: World, code: str) -> None:
    call = world.place()
    sent = refuse(world, code)
    world.end("no-answer")
    assert len(sent) == 1
    assert world.call(call["call_id"])["state"] == "scheduled"


def test_a_wake_that_cannot_be_noted_is_no_failure_of_the_callback(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = world.place()

    def fails(*_: object) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException"}}, "UpdateItem")

    monkeypatch.setattr(world.services.ports.wakes, "mark_armed", fails)
    world.end("no-answer")
    assert world.call(call["call_id"])["state"] == "scheduled"
    assert len(world.rules()) == 1


def test_arming_stops_when_its_time_is_over(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    schedule_an_hour(world)
    before = len(world.rules())
    answers = iter([True, True, False])
    has_time: Callable[[], bool] = lambda: next(answers)  # noqa: E731
    arm_below(world.services.ports, world.clock.now(), has_time)
    assert len(world.rules()) == before + 2


@pytest.mark.parametrize("service", ["events", "scheduler"])
def test_wakes_are_requested_without_retries(world: World, service: str) -> None:
    assert parts.client(service).meta.config.retries["total_max_attempts"] == 1
