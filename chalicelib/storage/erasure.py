"""The writes that erase a person's number from a call's items.

It is safe to repeat each of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chalicelib.domain.call import CallRecord
from chalicelib.domain.erasure import blanked, blanked_attempt, scrubbed
from chalicelib.storage import items
from chalicelib.storage.codec import from_attribute, to_attribute
from chalicelib.storage.items import Item
from chalicelib.storage.query import query_items
from chalicelib.storage.retention import Retention
from chalicelib.storage.transact import Canceled, StaleWrite, Write, transact

#: A transaction takes at most this many writes.
MAX_WRITES = 100


@dataclass(frozen=True, slots=True)
class Trail:
    """The result of clearing a call's trail.

    ``events`` counts the removed provider events. ``decisions`` counts the decisions from which the phone number was
    removed.
    """

    events: int
    decisions: int


class ErasureStore:
    """The erasing of numbers in the table. ``dynamodb`` is a botocore client."""

    def __init__(self, dynamodb: Any, table: str, retention: Retention) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._retention = retention

    def blank(self, record: CallRecord, number: str, at: datetime) -> None:
        """Write a call and all its attempts without the number.

        Raises StaleWrite if the call or an attempt has changed since ``record`` was read.
        """
        call = blanked(record.call, at)
        writes = [self._put(items.call_item(call) | self._retention.of_call(call), number, record.call.version)]
        for attempt in record.attempts:
            item = items.attempt_item(call, blanked_attempt(attempt)) | self._retention.of_trail(call)
            writes.append(self._put(item, number, attempt.version))
        # The call is written first. Redial then stores late callbacks without the person's number.
        for batch in _batches(writes):
            try:
                transact(self._dynamodb, batch)
            except Canceled as canceled:
                raise StaleWrite(call.id) from canceled

    def clear_trail(self, call_id: str, number: str) -> Trail:
        """Remove the call's provider events, and the number from the call's decisions."""
        events = [self._delete(item) for item in self._items_of(call_id, "EVENT#")]
        decisions = [
            self._put(item, number) for item in self._items_of(call_id, "DECISION#") if _holds(item["data"], number)
        ]
        for batch in _batches([*events, *decisions]):
            transact(self._dynamodb, batch)
        return Trail(len(events), len(decisions))

    def _items_of(self, call_id: str, kind: str) -> list[Item]:
        found = query_items(
            self._dynamodb,
            TableName=self._table,
            ConsistentRead=True,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :kind)",
            ExpressionAttributeValues={":pk": {"S": f"CALL#{call_id}"}, ":kind": {"S": kind}},
        )
        return list(found)

    def _put(self, item: Item, number: str, version: int | None = None) -> Write:
        scrubbed_item = item | {"data": to_attribute(scrubbed(from_attribute(item["data"]), number))}
        put: dict[str, Any] = {"TableName": self._table, "Item": scrubbed_item}
        if version is not None:
            put |= {
                "ConditionExpression": "#data.version = :version",
                "ExpressionAttributeNames": {"#data": "data"},
                "ExpressionAttributeValues": {":version": to_attribute(version)},
            }
        return {"Put": put}

    def _delete(self, item: Item) -> Write:
        return {"Delete": {"TableName": self._table, "Key": {name: item[name] for name in ("pk", "sk")}}}


def _holds(data: Any, number: str) -> bool:
    value = from_attribute(data)
    return bool(scrubbed(value, number) != value)


def _batches(writes: Sequence[Write]) -> list[Sequence[Write]]:
    return [writes[first : first + MAX_WRITES] for first in range(0, len(writes), MAX_WRITES)]
