"""A gate's copies are written one by one.

A process that dies, or that meets another one, leaves the gate fully closed or fully open.
"""

from collections.abc import Callable

import pytest

from chalicelib.storage.gates import COPIES, EVERYTHING, Closed, Gate, GateStore
from chalicelib.storage.transact import Write
from tests.support.crashes import Crash
from tests.support.world import START, World

GATE = Gate(scope=EVERYTHING, closed=Closed.BY_HAND, reason="wrong numbers", closed_at=START)
OTHER = Gate(scope=EVERYTHING, closed=Closed.BY_HAND, reason="another pause", closed_at=START)


def rows(world: World) -> int:
    """Count the items of gates."""
    return sum(item["pk"]["S"].startswith("GATE#") for item in world.items())


def at_write(monkeypatch: pytest.MonkeyPatch, number: int, meanwhile: Callable[[], None]) -> None:
    """Run a function before the write with this number, counted from 0."""
    write, seen = GateStore._write, iter(range(10_000))

    def interrupted(store: GateStore, wanted: Write) -> None:
        if next(seen) == number:
            meanwhile()
        write(store, wanted)

    monkeypatch.setattr(GateStore, "_write", interrupted)


def die() -> None:
    raise Crash("killed")


@pytest.mark.parametrize("number", [1, 7, COPIES])
def test_a_pause_that_was_cut_short_holds_and_can_be_ended(
    world: World, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    gates = world.services.ports.gates
    with monkeypatch.context() as patched:
        at_write(patched, number, die)
        with pytest.raises(Crash):
            gates.close(GATE)
    assert world.place()["state"] == "scheduled"
    gates.open(EVERYTHING)
    assert rows(world) == 0
    assert world.place(to_number="+16505550198")["state"] == "dialing"


@pytest.mark.parametrize("number", [0, 7, COPIES])
def test_a_resume_that_was_cut_short_leaves_the_pause(
    world: World, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    gates = world.services.ports.gates
    gates.close(GATE)
    with monkeypatch.context() as patched:
        at_write(patched, number, die)
        with pytest.raises(Crash):
            gates.open(EVERYTHING)
    assert world.place()["state"] == "scheduled"


@pytest.mark.parametrize("number", [1, 7, COPIES])
def test_a_gate_that_is_opened_while_it_closes_has_no_copies_left(
    world: World, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    gates = world.services.ports.gates
    at_write(monkeypatch, number, lambda: gates.open(EVERYTHING))
    gates.close(GATE)
    assert rows(world) == 0


@pytest.mark.parametrize("number", [0, 7, COPIES - 1])
def test_a_gate_that_is_closed_while_it_opens_is_open_or_has_every_copy(
    world: World, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    gates = world.services.ports.gates
    gates.close(GATE)
    at_write(monkeypatch, number, lambda: gates.close(OTHER))
    assert not gates.open_if_still(GATE)
    assert (gates.closed([EVERYTHING]), rows(world)) == ([OTHER], COPIES + 1)


def test_of_two_pauses_that_cross_the_later_one_is_in_every_copy(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    gates = world.services.ports.gates
    at_write(monkeypatch, 7, lambda: gates.close(OTHER))
    gates.close(GATE)
    assert (gates.closed([EVERYTHING]), rows(world)) == ([OTHER], COPIES + 1)
