"""Items in batches: a throttled table gets retries with longer and longer waits."""

from typing import Any

import pytest

from chalicelib.errors import TooBusy
from chalicelib.storage import batch, items
from chalicelib.storage.batch import BATCH_TRIES, MAX_KEYS, get_items

KEYS = [items.key(f"P#{number}", "P") for number in range(MAX_KEYS + 50)]


class Throttled:
    """A DynamoDB that answers for ``takes`` keys of a request and leaves the others."""

    def __init__(self, takes: int) -> None:
        self.takes = takes
        self.asked: list[int] = []

    def batch_get_item(self, **request: Any) -> dict[str, Any]:
        keys = request["RequestItems"]["table"]["Keys"]
        assert len(keys) <= MAX_KEYS
        self.asked.append(len(keys))
        left = keys[self.takes :]
        return {
            "Responses": {"table": keys[: self.takes]},
            "UnprocessedKeys": {"table": {"Keys": left, "ConsistentRead": True}} if left else {},
        }


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waits: list[float] = []
    monkeypatch.setattr(batch.time, "sleep", waits.append)
    monkeypatch.setattr(batch.random, "uniform", lambda least, most: most)
    return waits


def test_more_keys_than_a_request_takes_are_got_in_several(waited: list[float]) -> None:
    table = Throttled(takes=MAX_KEYS)
    assert get_items(table, "table", KEYS) == KEYS
    assert (table.asked, waited) == ([MAX_KEYS, 50], [])
    assert get_items(table, "table", []) == []


def test_what_is_left_out_is_asked_for_again_after_a_wait(waited: list[float]) -> None:
    table = Throttled(takes=20)
    assert get_items(table, "table", KEYS[:50]) == KEYS[:50]
    assert (table.asked, waited) == ([50, 30, 10], [0.05, 0.1])


def test_a_batch_read_that_returns_nothing_stops_after_some_tries(waited: list[float]) -> None:
    table = Throttled(takes=0)
    with pytest.raises(TooBusy, match="throttled: it left 2 of 2 items out"):
        get_items(table, "table", KEYS[:2])
    assert len(table.asked) == BATCH_TRIES
    assert waited == sorted(waited)
    assert sum(waited) < 4
