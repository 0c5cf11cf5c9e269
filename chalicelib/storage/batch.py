"""Many items in few requests, with BatchGetItem.

A throttled table answers only a part of the keys, so this module asks for the rest again.
"""

import random
import time
from collections.abc import Sequence
from typing import Any

from chalicelib.errors import TooBusy
from chalicelib.storage.items import Item

#: BatchGetItem takes at most this many keys.
MAX_KEYS = 100
#: If an answer leaves keys out, the table is throttled. Each further request waits longer, about 1 s in total.
BATCH_TRIES = 6


def get_items(dynamodb: Any, table: str, keys: Sequence[Item]) -> list[Item]:
    """Return the items of these keys that exist, as last committed, in no order.

    Raises TooBusy if the table has not answered for all keys after BATCH_TRIES requests.
    """
    found: list[Item] = []
    for first in range(0, len(keys), MAX_KEYS):
        found += _get(dynamodb, table, keys[first : first + MAX_KEYS])
    return found


def _get(dynamodb: Any, table: str, keys: Sequence[Item]) -> list[Item]:
    found: list[Item] = []
    asked: dict[str, Any] = {table: {"Keys": list(keys), "ConsistentRead": True}}
    for number in range(BATCH_TRIES):
        answer = dynamodb.batch_get_item(RequestItems=asked)
        found += answer["Responses"].get(table, [])
        asked = answer.get("UnprocessedKeys") or {}
        if not asked:
            return found
        _pause(number)
    raise TooBusy(f"the table {table} is throttled: it left {len(asked[table]['Keys'])} of {len(keys)} items out")


def _pause(number: int) -> None:
    time.sleep(random.uniform(0, 0.05 * 2**number))  # noqa: S311 - jitter, no secret
