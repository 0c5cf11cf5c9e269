"""The slots of concurrency limits: a call in flight holds one slot of each limit.

An attempt leases its slot. If nobody releases the slot, it is free when the lease ends. A slot has an item only while
it is taken, so one query shows the free slots. A claim takes a random free slot in its own transaction. The transaction
that writes the end of the attempt releases the slot.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.domain.call import Attempt
from chalicelib.storage import items
from chalicelib.storage.codec import from_item, to_item
from chalicelib.storage.query import query_items
from chalicelib.storage.transact import Write, update

#: DynamoDB removes the item of a lease this long after the end of the lease.
SPENT_KEPT = timedelta(days=1)
#: The sort key of a scope's item for the retries that wait for a slot.
WAITING = "WAITING"


@dataclass(frozen=True, slots=True)
class Limit:
    """A concurrency limit: at most ``most`` attempts of a scope may be in flight."""

    scope: str
    most: int


@dataclass(frozen=True, slots=True)
class Slots:
    """The slots of a limit, as one query saw them.

    ``retries_wait_until`` is set while retries wait for a slot. ``first_in_line`` is the attempt that has waited
    longest among them.
    """

    limit: Limit
    taken: frozenset[int]
    retries_wait_until: datetime | None = None
    first_in_line: str | None = None

    @property
    def free(self) -> list[int]:
        """The numbers of the slots that a claim may take.

        After the limit was lowered, attempts may hold slots above the limit. Each of these attempts blocks one of the
        last free slots. So two claims at the same time cannot exceed the limit: both may take only the same few slots,
        and each slot only once.
        """
        most = self.limit.most
        free = [number for number in range(most) if number not in self.taken]
        return free[: max(0, most - len(self.taken))]

    def pick(self, attempt_id: str, *, is_retry: bool, retries_first: bool) -> str | None:
        """Return the name (``<scope>|<number>``) of a random free slot.

        Returns None if all slots are taken or kept for other attempts. With ``retries_first``, a fresh call takes no
        slot while retries wait for one. A retry then leaves one free slot to the retry that has waited longest, because
        that retry could otherwise wait forever.
        """
        free = self.free
        if retries_first and self.retries_wait_until is not None:
            is_behind = self.first_in_line not in (None, attempt_id)
            free = free[1:] if is_retry and is_behind else free if is_retry else []
        return f"{self.limit.scope}|{random.choice(free)}" if free else None  # noqa: S311 - spreads, hides nothing


class SlotStore:
    """The slot items of the table. ``dynamodb`` is a botocore client."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def load(self, limit: Limit, now: datetime) -> Slots:
        """Return the slots of a limit, as last committed."""
        taken: set[int] = set()
        waiting: datetime | None = None
        first: str | None = None
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
                first = values["first"] if values.get("first_until", 0) > items.epoch(now) else None
            elif values["lease_until"] >= items.epoch(now):
                taken.add(int(values["sk"]))
        return Slots(limit, frozenset(taken), waiting if waiting and waiting > now else None, first)

    def taking(self, slots: Sequence[str], attempt_id: str, lease_until: datetime, now: datetime) -> list[Write]:
        """Return the writes that lease slots to an attempt.

        They fail if another attempt has taken one of the slots meanwhile.
        """
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
        """Return the writes that release an attempt's slots.

        A write fails if the lease of its slot has ended and another attempt holds the slot.
        """
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

    def let_retry_wait(self, scope: str, attempt_id: str, until: datetime, now: datetime) -> None:
        """Record that a retry got no slot and will try again before ``until``.

        No fresh call takes a slot until then. The first retry in the line keeps its place, if it tries again in time.
        """
        line = items.key(f"SLOTS#{scope}", WAITING)
        values = {":until": items.epoch(until), ":spent": items.epoch(until + SPENT_KEPT)}
        self._update(
            line,
            "SET holder = :waiting, lease_until = :until, expires_at = :spent",
            "attribute_not_exists(lease_until) OR lease_until < :until",
            values | {":waiting": WAITING},
        )
        self._update(
            line,
            "SET #first = :attempt, first_until = :until",
            "attribute_not_exists(#first) OR #first = :attempt OR first_until <= :now",
            {":until": items.epoch(until), ":attempt": attempt_id, ":now": items.epoch(now)},
        )

    def leave_line(self, scope: str, attempt_id: str) -> Write:
        """Return the write that removes a retry with a slot from the head of the line."""
        return {
            "Update": {
                "TableName": self._table,
                "Key": items.key(f"SLOTS#{scope}", WAITING),
                "UpdateExpression": "REMOVE #first, first_until",
                "ConditionExpression": "#first = :attempt",
                "ExpressionAttributeNames": {"#first": "first"},
                "ExpressionAttributeValues": to_item({":attempt": attempt_id}),
            }
        }

    def _update(self, key: items.Item, change: str, condition: str, values: dict[str, Any]) -> None:
        """Update an item if the condition is true."""
        names = {"ExpressionAttributeNames": {"#first": "first"}} if "#first" in change else {}
        try:
            update(
                self._dynamodb,
                TableName=self._table,
                Key=key,
                UpdateExpression=change,
                ConditionExpression=condition,
                ExpressionAttributeValues=to_item(values),
                **names,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise


def _key(slot: str) -> items.Item:
    scope, _, number = slot.rpartition("|")
    return items.key(f"SLOTS#{scope}", f"{int(number):06d}")


def _lease(holder: str, until: datetime) -> items.Item:
    return to_item({"holder": holder, "lease_until": items.epoch(until), "expires_at": items.epoch(until + SPENT_KEPT)})
