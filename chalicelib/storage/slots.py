"""Slots for the calls that may be in flight at once: each is leased to an attempt, and frees itself if nobody does.

A slot is an item only while it is taken, so one query tells which are free. A claim takes a free slot at random inside
its own transaction; the end of the attempt gives it back inside the transaction that writes the end.
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
    """A limit's slots as one query saw them.

    ``retries_wait_until`` is set while retries that got none are waiting; ``first_in_line`` is the attempt among them
    that has waited longest.
    """

    limit: Limit
    taken: frozenset[int]
    retries_wait_until: datetime | None = None
    first_in_line: str | None = None

    @property
    def free(self) -> list[int]:
        """The numbers of the slots that may be taken.

        After the limit was lowered, each attempt that still holds a slot above it keeps one of the last slots empty.
        So two claims at the same time cannot pass the limit: they may only take the same few slots, each one once.
        """
        most = self.limit.most
        free = [number for number in range(most) if number not in self.taken]
        return free[: max(0, most - len(self.taken))]

    def pick(self, attempt_id: str, *, is_retry: bool, retries_first: bool) -> str | None:
        """Return a free slot by its name (``<scope>|<number>``); None where all are taken, or kept for others.

        With ``retries_first`` a fresh call leaves the slots to the retries that wait for one, and a retry leaves the
        last free one to the retry that has waited longest: else it could wait for good.
        """
        free = self.free
        if retries_first and self.retries_wait_until is not None:
            before_me = self.first_in_line not in (None, attempt_id)
            free = free[1:] if is_retry and before_me else free if is_retry else []
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

    def let_retry_wait(self, scope: str, attempt_id: str, until: datetime, now: datetime) -> None:
        """Remember that a retry got no slot and asks again before ``until``: until then no fresh call takes one.

        The first of the retries that wait keeps its place in the line for as long as it asks again in time.
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
        """Return the write that ends a retry's wait at the head of the line, now that it has its slot."""
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
        """Update an item where the condition holds."""
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
