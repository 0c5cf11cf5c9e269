"""The sequential AWS calls of a callback.

A provider that gets no answer within 2 s sends the callback again.
"""

from collections import Counter
from collections.abc import Callable

import pytest

from tests.support.world import World

Cost = Callable[..., Counter[str]]


@pytest.fixture
def cost(world: World, figure: Callable[[str], None]) -> Cost:
    """Return a function that counts the AWS calls of one callback.

    All of them are made one after the other, on one thread.
    """

    def counted(what: str, status: str | None, **fields: str) -> Counter[str]:
        world.aws.calls.clear()
        assert world.callback(world.twilio.placed[-1], status, **fields).status_code == 200
        calls = world.aws.counted()
        figure(f"callback, {what}: {calls.total()} AWS calls ({' '.join(world.aws.calls)})")
        return calls

    return counted


def test_a_terminal_callback_with_a_new_wake_makes_six_calls(world: World, cost: Cost) -> None:
    world.place()
    assert cost("terminal, wake not armed", "busy") == {
        "Query": 1,
        "UpdateItem": 2,
        "PutRule": 1,
        "PutTargets": 1,
        "TransactWriteItems": 1,
    }


def test_a_terminal_callback_with_an_armed_wake_makes_three_calls(world: World, cost: Cost) -> None:
    world.place()
    world.end("busy")
    world.place()
    assert cost("terminal, wake armed", "busy") == {"Query": 1, "UpdateItem": 1, "TransactWriteItems": 1}


def test_a_terminal_callback_that_ends_the_call_makes_two_calls(world: World, cost: Cost) -> None:
    world.place()
    assert cost("terminal, final", "completed") == {"Query": 1, "TransactWriteItems": 1}


@pytest.mark.parametrize(
    ("status", "fields"),
    [("initiated", {}), ("ringing", {}), ("in-progress", {}), (None, {"AnsweredBy": "human"}), ("parked", {})],
)
def test_a_callback_that_ends_nothing_makes_one_call(
    world: World, cost: Cost, status: str | None, fields: dict[str, str]
) -> None:
    world.place()
    assert cost(status or "AMD", status, **fields) == {"TransactWriteItems": 1}
    assert cost(f"{status or 'AMD'}, repeated", status, **fields) == {"TransactWriteItems": 1}
