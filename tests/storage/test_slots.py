"""Slots of large limits: a claim reads a few of them, and a lowered limit holds."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.storage import slots as module
from chalicelib.storage.batch import get_items
from chalicelib.storage.slots import Limit, Slots, SlotStore
from chalicelib.storage.transact import Canceled, transact
from ops.benchmarks.metering import Meter
from tests.support.world import START, TABLE, World

SCOPE = "account:twilio:AC"
#: Longer than all waits of one test.
LEASE = timedelta(days=1)


class Line:
    """A scope with its attempts, which take and leave slots as claims do."""

    def __init__(self, dynamodb: Any, scope: str = SCOPE) -> None:
        self._dynamodb = dynamodb
        self._scope = scope
        self.store = SlotStore(dynamodb, TABLE)
        self.now = START
        self.held: dict[str, str] = {}
        self._number = 0

    def looks(self, most: int) -> Iterator[Slots]:
        limit = Limit(self._scope, most)
        keys = self.store.first_keys(limit)
        return self.store.looks(limit, keys, get_items(self._dynamodb, TABLE, keys), self.now)

    def picked(self, most: int) -> str | None:
        for seen in self.looks(most):
            if slot := seen.pick("new", is_retry=False, retries_first=True):
                return slot
        return None

    def take(self, slot: str | None) -> bool:
        """Take a slot for a new attempt. Return False if another attempt has it."""
        if slot is None:
            return False
        self._number += 1
        attempt_id = f"call_{self._number}-1"
        try:
            transact(self._dynamodb, self.store.taking([slot], attempt_id, self.now + LEASE, self.now))
        except Canceled:
            return False
        self.held[attempt_id] = slot
        return True

    def put(self, *numbers: int) -> None:
        """Take those of these slots that are free, even above the limit."""
        for slot in {f"{SCOPE}|{number}" for number in numbers} - set(self.held.values()):
            assert self.take(slot)

    def end(self, attempt_id: str) -> None:
        slot = self.held.pop(attempt_id)
        key = module._key(slot)
        self._dynamodb.delete_item(TableName=TABLE, Key=key)


@pytest.fixture
def line(world: World) -> Line:
    return Line(world.dynamodb)


def numbers_of(slots: set[str]) -> list[int]:
    return sorted(int(slot.rpartition("|")[2]) for slot in slots)


def test_a_claim_costs_the_same_with_few_and_with_many_calls_in_flight(line: Line) -> None:
    def units(most: int) -> float:
        meter = Meter()
        with meter.counting():
            assert line.picked(most) is not None
        return meter.read_units

    line.take(line.picked(10_000))  # writes the scope's highest limit
    few = units(10_000)
    line.put(*range(100, 1_100))
    assert (few, units(10_000)) == (6.0, 6.0)  # a read unit for each of four slots, the line and the highest limit


def test_a_claim_reads_runs_of_slots_if_the_first_are_taken(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    line.take(line.picked(100))
    line.end(*line.held)
    line.put(*(number for number in range(100) if number != 77))
    seen = list(line.looks(100))
    assert [len(slots.seen or ()) for slots in seen] == [4, 64, 100]
    assert seen[-1].free == [77]
    assert seen[-1].tried == "a random 100 of 100"


def test_all_slots_of_a_large_limit_can_be_taken_and_no_more(line: Line) -> None:
    assert all(line.take(line.picked(80)) for _ in range(80))
    assert numbers_of(set(line.held.values())) == list(range(80))
    assert line.picked(80) is None


def test_a_lowered_limit_holds_until_it_is_raised(line: Line) -> None:
    line.take(line.picked(200))
    line.put(*range(120, 199))
    while line.take(line.picked(100)):
        pass
    assert len(line.held) == 100
    assert line.take(line.picked(101))
    assert line.picked(101) is None


def test_a_lowered_limit_is_cheap_again_ten_minutes_after_its_last_call(line: Line) -> None:
    line.take(line.picked(200))
    line.end(*line.held)
    line.put(150)
    assert [next(line.looks(100)).seen for _ in range(2)] == [None, None]
    line.end(*line.held)
    assert next(line.looks(100)).seen is None
    line.now += timedelta(minutes=9)
    line.put(150)  # a process that still has the old limit
    assert next(line.looks(100)).seen is None
    line.end(*line.held)
    assert next(line.looks(100)).seen is None
    line.now += timedelta(minutes=9)
    assert next(line.looks(100)).seen is None
    line.now += timedelta(minutes=1)
    assert next(line.looks(100)).seen is None  # lowers the highest limit
    assert len(next(line.looks(100)).seen or ()) == 4


def test_a_first_claim_counts_the_slots_that_are_taken_already(line: Line) -> None:
    line.put(*range(100, 180))
    while line.take(line.picked(90)):
        pass
    assert len(line.held) == 90


def test_a_line_of_retries_is_seen_with_the_first_slots(line: Line) -> None:
    line.take(line.picked(100))
    line.store.let_retry_wait(SCOPE, "call_a-2", line.now + timedelta(minutes=2), line.now)
    first = next(line.looks(100))
    assert (first.retries_wait_until, first.first_in_line) == (line.now + timedelta(minutes=2), "call_a-2")
    assert [slots.retries_wait_until for slots in line.looks(100)] == [first.retries_wait_until] * 3


def test_the_count_leaves_out_ended_leases_and_the_other_items(line: Line) -> None:
    line.take(line.picked(100))
    line.store.let_retry_wait(SCOPE, "call_a-2", line.now + timedelta(minutes=2), line.now)
    assert line.store.count(Limit(SCOPE, 100), line.now) == 1
    assert line.store.count(Limit(SCOPE, 100), line.now + LEASE + timedelta(seconds=1)) == 0


_scopes = count(1)
moves = st.lists(
    st.one_of(
        st.tuples(st.just("claim"), st.integers(1, 3)),
        st.tuples(st.just("limit"), st.integers(3, 9)),
        st.tuples(st.just("end"), st.integers(0, 8)),
        st.tuples(st.just("wait"), st.sampled_from([1, 11])),
    ),
    min_size=8,
    max_size=30,
)


@given(moves)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_claim_passes_the_limit_that_it_knows(world: World, moves: list[tuple[str, int]]) -> None:
    """Change a limit while claims look at few slots, some of them at the same time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SMALL", 2)
        patch.setattr(module, "FIRST", 1)
        patch.setattr(module, "RUNS", (2, 3))
        line, most = Line(world.dynamodb, f"account:{next(_scopes)}"), 5
        for kind, number in moves:
            if kind == "limit":
                most = number
            elif kind == "wait":
                line.now += timedelta(minutes=number)
            elif kind == "end" and line.held:
                line.end(sorted(line.held)[number % len(line.held)])
            elif kind == "claim":
                before = len(line.held)
                for slot in [line.picked(most) for _ in range(number)]:
                    line.take(slot)
                assert len(line.held) <= max(most, before)


def test_a_lease_that_ended_makes_its_slot_free(line: Line) -> None:
    assert all(line.take(line.picked(70)) for _ in range(70))
    line.now = datetime.fromtimestamp((line.now + LEASE).timestamp() + 1, line.now.tzinfo)
    assert line.take(line.picked(70))
