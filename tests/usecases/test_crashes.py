"""A fault at every request of a callback, of ``redial`` and of a new call."""

import contextlib
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError

from chalicelib import ids
from tests.support.crashes import Crash, fault_at
from tests.support.world import BODY, START, World

pytestmark = pytest.mark.slow

RETRY = {**BODY["retry"], "max_retries": 2, "on": {"failed": True, "error": True, "busy": True}}
Act = Callable[[World], Any]


def busy(world: World) -> Any:
    return world.callback(world.twilio.placed[0], "busy", SequenceNumber="3")


def redial(world: World) -> Any:
    world.clock.turn(to=START + timedelta(minutes=30))
    return world.redial(START + timedelta(minutes=30))


def place(world: World) -> Any:
    return world.request("POST", "/calls", {**BODY, "retry": RETRY}, headers={"Idempotency-Key": "one"})


#: act -> the acts that prepare the world, the act, and its number of requests
ACTS: dict[str, tuple[list[Act], Act, int]] = {
    "terminal callback": ([place], busy, 6),
    "redial": ([place, busy], redial, 29),
    "new call": ([], place, 18),
}
CASES = [
    pytest.param(act, at, after, dies, id=f"{act}-{at}-{'after' if after else 'before'}-{'dies' if dies else 'fails'}")
    for act, (_, _, requests) in ACTS.items()
    for at in range(requests)
    for after in (False, True)
    for dies in (True, False)
]


@pytest.mark.parametrize("act", ACTS)
def test_the_cases_contain_every_request(world: World, act: str) -> None:
    before, do, requests = ACTS[act]
    for step in before:
        step(world)
    with fault_at(None, after=False, dies=False) as fault:
        do(world)
    assert len(fault.seen) == requests, fault.seen


@pytest.mark.parametrize(("act", "at", "after", "dies"), CASES)
def test_after_a_fault_every_call_ends_and_no_attempt_is_dialled_twice(
    world: World, act: str, at: int, after: bool, dies: bool
) -> None:
    before, do, _ = ACTS[act]
    for step in before:
        step(world)
    # The redial Lambda may fail as a whole: EventBridge invokes it again, and the sweep does its work.
    expected = (Crash, BotoCoreError) if act == "redial" else (Crash,)
    with fault_at(at, after=after, dies=dies), contextlib.suppress(*expected):
        do(world)
    if dies:
        world.restart()
    if act == "new call":
        place(world)  # a client that got no answer retries with the same Idempotency-Key
    call_id = the_one_call(world)
    live_on(world, call_id)
    attempts = Counter(ids.split_callback_token(p.callback_url.rsplit("/", 1)[1]) for p in world.twilio.placed)
    assert set(attempts.values()) == {1}
    after_all = world.call(call_id)
    assert (after_all["state"], after_all["summary_status"]) == ("final", "completed")


def the_one_call(world: World) -> str:
    (item,) = (item for item in world.items() if item["sk"]["S"] == "CALL")
    return str(item["pk"]["S"]).removeprefix("CALL#")


def live_on(world: World, call_id: str) -> None:
    """Let hours pass: rules fire, the sweep runs, and new calls are answered.

    Minutes in which nothing is due are left out.
    """
    told: set[str] = set()
    for _ in range(40):
        for placed in world.twilio.placed:
            first = placed is world.twilio.placed[0]
            world.twilio.known[placed.sid] = {"status": "busy" if first else "completed", "duration": "5"}
            if not first and placed.sid not in told:
                told.add(placed.sid)
                assert world.callback(placed, "completed", CallDuration="5", SequenceNumber="3").status_code == 200
        call = world.services.ports.calls.load(call_id).call
        if call.state == "final":
            return
        soon = world.clock.now() + timedelta(minutes=1)
        world.pump(max(soon, call.due_at or call.deadline_at or soon), forgiving=True)
        world.sweep()
    raise AssertionError(f"call {call_id} has not ended: {world.call(call_id)}")
