"""The counter of the rate limit, if several callers come as a stretch begins."""

from datetime import timedelta
from typing import Any

from chalicelib.storage.pace import Pace, PaceStore
from tests.support.world import START, TABLE, World


class Interrupted:
    """A client of DynamoDB that another writer overtakes before one request, from 1."""

    def __init__(self, dynamodb: Any, at: int, others: Any) -> None:
        self._dynamodb = dynamodb
        self._left = at
        self._others = others

    def update_item(self, **query: Any) -> Any:
        self._left -= 1
        if self._left == 0:
            self._others()
        return self._dynamodb.update_item(**query)


def test_who_is_not_the_one_to_begin_a_stretch_starts_in_it_all_the_same(world: World) -> None:
    pace, later = Pace.of(3), START + timedelta(seconds=1)
    other = PaceStore(world.dynamodb, TABLE)
    assert [other.start("twilio:AC", pace, START) for _ in range(4)] == [0.0, 0.0, 0.0, 1.0]
    slower = PaceStore(Interrupted(world.dynamodb, 2, lambda: other.start("twilio:AC", pace, later)), TABLE)
    assert slower.start("twilio:AC", pace, later) == 0.0
    assert [other.start("twilio:AC", pace, later) for _ in range(2)] == [0.0, 1.0]


def test_a_delayed_request_does_not_restart_its_stretch(world: World) -> None:
    pace, soon = Pace.of(1), START + timedelta(seconds=7)
    store = PaceStore(world.dynamodb, TABLE)
    assert store.start("twilio:AC", pace, START) == 0.0
    slow = PaceStore(Interrupted(world.dynamodb, 1, lambda: store.start("twilio:AC", pace, soon)), TABLE)
    assert slow.start("twilio:AC", pace, START) == 8.0
    assert store.start("twilio:AC", pace, soon) == 1.0


def test_a_delayed_request_starts_its_call_in_the_stretch_that_runs(world: World) -> None:
    pace, soon = Pace.of(2), START + timedelta(seconds=7)
    store = PaceStore(world.dynamodb, TABLE)
    slow = PaceStore(Interrupted(world.dynamodb, 1, lambda: store.start("twilio:AC", pace, soon)), TABLE)
    assert slow.start("twilio:AC", pace, START) == 0.0
    assert store.start("twilio:AC", pace, soon) == 1.0  # both calls are counted in the same second


def test_a_counter_that_a_wrong_clock_wrote_is_written_over(world: World) -> None:
    pace = Pace.of(1)
    store = PaceStore(world.dynamodb, TABLE)
    assert store.start("twilio:AC", pace, START + timedelta(hours=1)) == 0.0
    assert [store.start("twilio:AC", pace, START) for _ in range(2)] == [0.0, 1.0]
