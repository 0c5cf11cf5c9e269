"""The pace counter: who may start a call now, when several ask at the moment at which a stretch begins."""

from datetime import timedelta
from typing import Any

from chalicelib.storage.pace import Pace, PaceStore
from tests.support.world import START, TABLE, World


class Interrupted:
    """A client of DynamoDB where somebody else is quicker before one request, counted from 1."""

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
