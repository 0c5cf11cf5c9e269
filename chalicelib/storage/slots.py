"""Slots for the calls that may be in flight at once: each is leased to an attempt, and frees itself if nobody does.

A slot is an item only while it is taken, so one query tells which are free. A claim takes a free slot at random inside
its own transaction; the end of the attempt gives it back inside the transaction that writes the end.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chalicelib.domain.call import Attempt
from chalicelib.storage import items
from chalicelib.storage.codec import from_item, to_item
from chalicelib.storage.query import query_items
from chalicelib.storage.transact import Write

#: After a lease has ended its item is of no more use; DynamoDB may remove it.
SPENT_KEPT = timedelta(days=1)
WAITING = "WAITING"


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``most`` attempts of a scope in flight at once."""

    scope: str
    most: int


@dataclass(frozen=True, slots=True)
class Slots:
    """A limit's slots as one query saw them. ``retries_wait_until`` is set while retries that got none are waiting."""

    limit: Limit
    taken: frozenset[int]
    retries_wait_until: datetime | None

    def pick(self) -> str | None:
        """A free slot by its name (``<scope>|<number>``); None where all are taken."""
        free = [number for number in range(self.limit.most) if number not in self.taken]
        return f"{self.limit.scope}|{random.choice(free)}" if free else None  # noqa: S311 - spreads, hides nothing


class SlotStore:
    """The slot items of the table."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def load(self, limit: Limit, now: datetime) -> Slots:
        """Which slots of a limit are taken, as last committed."""
        taken: set[int] = set()
        waiting: datetime | None = None
        found = query_items(
            self._dynamodb,
            TableName=self._table,
            ConsistentRead=True,
            KeyConditionExpression="pk = :scope",
            ExpressionAttributeValues={":scope": {"S": f"SLOTS#{limit.scope}"}},
        )
        for item in found:
            values = from_item(item)
            if values["sk"] == WAITING:
                waiting = datetime.fromtimestamp(values["lease_until"], now.tzinfo)
            elif values["lease_until"] >= items.epoch(now):
                taken.add(int(values["sk"]))
        return Slots(limit, frozenset(taken), waiting if waiting and waiting > now else None)

    def taking(self, slots: Sequence[str], attempt_id: str, lease_until: datetime, now: datetime) -> list[Write]:
        """The writes that lease the slots to an attempt: they fail where somebody has taken one meanwhile."""
        free = "attribute_not_exists(pk) OR lease_until < :now OR holder = :attempt"
        return [
            {
                "Put": {
                    "TableName": self._table,
                    "Item": _key(slot) | _lease(attempt_id, lease_until),
                    "ConditionExpression": free,
                    "ExpressionAttributeValues": to_item({":now": items.epoch(now), ":attempt": attempt_id}),
                }
            }
            for slot in slots
        ]

    def releasing(self, attempt: Attempt) -> list[Write]:
        """The writes that give an attempt's slots back: each fails where its lease has ended and another has it."""
        return [
            {
                "Delete": {
                    "TableName": self._table,
                    "Key": _key(slot),
                    "ConditionExpression": "attribute_not_exists(pk) OR holder = :attempt",
                    "ExpressionAttributeValues": to_item({":attempt": attempt.id}),
                }
            }
            for slot in attempt.slots
        ]

    def let_retries_wait(self, limit: Limit, until: datetime) -> None:
        """Remember that a retry got no slot, so that no fresh call takes the next one that comes free before it."""
        item = items.key(f"SLOTS#{limit.scope}", WAITING) | _lease(WAITING, until)
        self._dynamodb.put_item(TableName=self._table, Item=item)


def _key(slot: str) -> items.Item:
    scope, _, number = slot.rpartition("|")
    return items.key(f"SLOTS#{scope}", f"{int(number):06d}")


def _lease(holder: str, until: datetime) -> items.Item:
    return to_item({"holder": holder, "lease_until": items.epoch(until), "expires_at": items.epoch(until + SPENT_KEPT)})
