"""Places in the wheel: each scheduled call holds one.

Every change that removes a due time gives its place back.
"""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.storage.transact import StaleWrite
from tests.support.crashes import Crash, fault_at
from tests.support.world import BODY, START, World, answer_json, new_client

LATER = "2026-01-26T12:00:00Z"
TO = "+16505550199"


def planned(world: World) -> dict[datetime, int]:
    """Count the planned dials in each future minute.

    Those of the current minute may be used up.
    """
    now = world.clock.now()
    counts: dict[datetime, int] = {}
    for item in world.items():
        if item["pk"]["S"].startswith("WAKE#"):
            hour = datetime.strptime(item["pk"]["S"][5:] + item["sk"]["S"][:2] + "+0000", "%Y%m%d%H%z")
            for name, value in item.items():
                if name.startswith("p") and name[1:].isdecimal() and int(value["N"]):
                    counts[hour + timedelta(minutes=int(name[1:]))] = int(value["N"])
    return {minute: n for minute, n in counts.items() if minute > now}


def scheduled(world: World) -> dict[datetime, int]:
    """Count the calls that are due in each future minute."""
    now = world.clock.now()
    counts: dict[datetime, int] = {}
    for item in world.items():
        data = item.get("data", {}).get("M", {})
        if item["sk"]["S"] == "CALL" and data["state"]["S"] == "scheduled":
            due_at = datetime.fromisoformat(data["due_at"]["S"])
            counts[due_at] = counts.get(due_at, 0) + 1
    return {minute: n for minute, n in counts.items() if minute > now}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/calls/{id}/cancel", None),
        ("PUT", f"/numbers/{TO}/opt-out", {}),
        ("POST", f"/numbers/{TO}/contacted", {}),
        ("DELETE", f"/numbers/{TO}", None),
    ],
)
@pytest.mark.parametrize("retry", [False, True])
def test_what_ends_a_waiting_call_gives_its_place_back(
    world: World, method: str, path: str, body: Any, retry: bool
) -> None:
    call = world.place() if retry else world.place(start_at=LATER)
    if retry:
        world.end("busy")
    assert sum(planned(world).values()) == 1
    assert world.request(method, path.format(id=call["id"]), body).status_code == 200
    assert planned(world) == {}


def test_a_call_that_is_rescheduled_holds_one_place(world: World) -> None:
    world.place(start_at=LATER)
    until = "2026-01-26T15:00:00Z"
    assert world.request("POST", f"/numbers/{TO}/contacted", {"postpone_until": until}).status_code == 200
    assert planned(world) == {datetime.fromisoformat(until): 1}


def test_a_call_that_is_postponed_holds_one_place(world: World) -> None:
    world.place()
    world.end("busy")
    world.request("POST", "/pause-all", {})
    world.pump(START + timedelta(minutes=30))
    assert (planned(world), sum(planned(world).values())) == (scheduled(world), 1)


def test_a_repeated_idempotency_key_takes_no_place(world: World) -> None:
    body = {**BODY, "start_at": LATER}
    for _ in range(5):
        assert world.request("POST", "/calls", body, headers={"Idempotency-Key": "k"}).status_code == 201
    assert planned(world) == {datetime.fromisoformat(LATER): 1}


def test_a_creation_that_lost_its_race_gives_its_place_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = world.services.ports.calls
    create, lost = type(calls).create, [True, True]

    def losing(self: Any, *args: Any, **kwargs: Any) -> None:
        if lost:
            lost.pop()
            raise StaleWrite("call")
        create(self, *args, **kwargs)

    monkeypatch.setattr(type(calls), "create", losing)
    world.place(start_at=LATER)
    assert planned(world) == {datetime.fromisoformat(LATER): 1}


def test_a_place_that_leaked_delays_a_dial_by_a_minute_and_loses_none(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let the process die between the booking of a place and the creation of the call."""
    monkeypatch.setenv("TWILIO_CALLS_PER_SECOND", str(1 / 60))
    with new_client() as world.client:
        with fault_at("TransactWriteItems", after=False, dies=True), pytest.raises(Crash):
            world.place(start_at=LATER)
        noon = datetime.fromisoformat(LATER)
        assert (planned(world), scheduled(world)) == ({noon: 1}, {})
        world.place(start_at=LATER)
        assert scheduled(world) == {noon + timedelta(minutes=1): 1}
        world.pump(noon + timedelta(minutes=2))
        assert [placed.at for placed in world.twilio.placed] == [noon + timedelta(minutes=1)]
        assert planned(world) == {}


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["place", "later", "keyed", "busy", "cancel", "opt-out", "contacted", "defer", "pause", "resume"]
        ),
        st.integers(0, 3),
    ),
    min_size=4,
    max_size=14,
)


@pytest.mark.slow
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_places_are_as_many_as_scheduled_calls_after_any_history(world: World, steps: list[tuple[str, int]]) -> None:
    for name, n in steps:
        _do(world, name, f"+1650555010{n}")
        world.pump(world.clock.now() + timedelta(minutes=7))
        assert planned(world) == scheduled(world), (name, n)


def _do(world: World, name: str, number: str) -> None:
    later = (world.clock.now() + timedelta(minutes=30)).isoformat()
    match name:
        case "place":
            world.place(to_number=number)
        case "later":
            world.place(to_number=number, start_at=later)
        case "keyed":
            body = {**BODY, "to_number": number, "start_at": LATER}
            world.request("POST", "/calls", body, headers={"Idempotency-Key": number})
        case "busy" if world.twilio.placed:
            world.end("busy")
        case "cancel":
            for call in world.request("GET", "/calls").json_body["data"]:
                if call["to_number"] == number:
                    world.request("POST", f"/calls/{call['call_id']}/cancel")
        case "opt-out":
            world.request("PUT", f"/numbers/{number}/opt-out", {})
            world.request("DELETE", f"/numbers/{number}/opt-out")
        case "contacted":
            world.request("POST", f"/numbers/{number}/contacted", {})
        case "defer":
            world.request("POST", f"/numbers/{number}/contacted", {"postpone_until": later})
        case "pause":
            world.request("POST", "/pause-all", {})
        case "resume":
            world.request("POST", "/resume-all")
            world.twilio.answers = [answer_json(429, {"code": 20429})]
