"""The slots of concurrency limits: a call in flight holds one slot of each limit.

An attempt leases its slot. If nobody releases the slot, it is free when the lease ends. A slot has an item only while
it is taken. A claim takes a random free slot in its own transaction. The transaction that writes the end of the attempt
releases the slot.

One query reads all slots of a small limit. A claim reads only some slots of a large limit, so its cost does not grow
with the calls in flight: a few random slots, and a longer run of slots if these are taken. See docs/decisions/0025.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
#: The sort key of the item with the highest large limit that a scope had.
LIMIT = "LIMIT"
#: A claim reads all slots of a limit up to this size. One query of so many slots costs two read units.
SMALL = 64
#: The slots of a large limit that a claim reads first.
FIRST = 4
#: If these are taken, a claim reads runs of so many slots, until it sees a free one. Of a limit that is used to 99 %,
#: all of them are taken in 4 of 100 claims. Such a claim tries again a minute later.
RUNS = (64, 256)
#: While attempts may hold slots above a lowered limit, a claim reads all slots. Redial must have seen no such slot for
#: this long: a process that still has the old limit may be about to commit its claim.
LOWERED_FOR = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Limit:
    """A concurrency limit: at most ``most`` attempts of a scope may be in flight."""

    scope: str
    most: int


@dataclass(frozen=True, slots=True)
class Slots:
    """The slots of a limit, as a claim saw them.

    ``seen`` has the numbers of the slots that were read; None if all were. ``retries_wait_until`` is set while retries
    wait for a slot. ``first_in_line`` is the attempt that has waited longest among them.
    """

    limit: Limit
    taken: frozenset[int]
    retries_wait_until: datetime | None = None
    first_in_line: str | None = None
    seen: frozenset[int] | None = None

    @property
    def free(self) -> list[int]:
        """The numbers of the seen slots that a claim may take.

        After the limit was lowered, attempts may hold slots above the limit. Each of these attempts blocks one of the
        last free slots. So two claims at the same time cannot exceed the limit: both may take only the same few slots,
        and each slot only once.
        """
        if self.seen is not None:
            return sorted(self.seen - self.taken)
        most = self.limit.most
        free = [number for number in range(most) if number not in self.taken]
        return free[: max(0, most - len(self.taken))]

    @property
    def tried(self) -> str:
        """The number of seen slots, for a sentence: ``all 5`` or ``a random 256 of 1000``."""
        return f"all {self.limit.most}" if self.seen is None else f"a random {len(self.seen)} of {self.limit.most}"

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
        """Return all slots of a limit, as last committed."""
        return _read(limit, self._query(limit.scope, "0", "~"), now)

    def first_keys(self, limit: Limit) -> list[items.Item]:
        """Return the keys of the items that a claim reads first, for looks().

        A small limit has none.
        """
        if limit.most <= SMALL:
            return []
        slots = (f"{limit.scope}|{number}" for number in random.sample(range(limit.most), min(FIRST, limit.most)))
        return [_scope_key(limit.scope, WAITING), _scope_key(limit.scope, LIMIT), *map(_key, slots)]

    def looks(
        self, limit: Limit, keys: Sequence[items.Item], found: Sequence[items.Item], now: datetime
    ) -> Iterator[Slots]:
        """Yield the slots that a claim sees, more of them each time.

        ``keys`` are those of first_keys(), and ``found`` has all of their items that exist. Each further result costs a
        request, so the claim stops when it can pick a slot.
        """
        own = {item["sk"]["S"]: item for item in found if item["pk"]["S"] == f"SLOTS#{limit.scope}"}
        highest = from_item(own.pop(LIMIT, {}))
        if keys and highest and not _was_lowered(limit, highest):
            if highest["most"] < limit.most:
                key = _scope_key(limit.scope, LIMIT)
                self._update(key, "SET most = :most REMOVE clear_since", "most < :most", {":most": limit.most})
            yield from self._parts(limit, keys, own, now)
            return
        slots = self.load(limit, now)
        if keys:
            self._settle_highest(limit, highest, slots, now)
        yield slots

    def _parts(
        self, limit: Limit, keys: Sequence[items.Item], own: Mapping[str, items.Item], now: datetime
    ) -> Iterator[Slots]:
        """Yield the slots that were read first, then a longer run of slots each time."""
        yield _read(limit, own.values(), now, [int(key["sk"]["S"]) for key in keys if key["sk"]["S"].isdecimal()])
        line = [item for name, item in own.items() if name == WAITING]
        for size in RUNS:
            first = random.randrange(max(1, limit.most - size + 1))  # noqa: S311 - spreads, hides nothing
            run = range(first, min(first + size, limit.most))
            stored = self._query(limit.scope, _sort_key(run[0]), _sort_key(run[-1]))
            yield _read(limit, [*line, *stored], now, run)

    def _settle_highest(self, limit: Limit, highest: Mapping[str, Any], slots: Slots, now: datetime) -> None:
        """Write the highest limit of a scope, or lower it to the limit.

        It is lowered when no attempt has held a slot above the limit for LOWERED_FOR.

        ``highest`` is the scope's item, which may be empty. ``slots`` are all slots.
        """
        key = _scope_key(limit.scope, LIMIT)
        above = max(slots.taken, default=0) >= limit.most
        if not highest:
            most = max([limit.most, *(number + 1 for number in slots.taken)])
            self._update(key, "SET most = :most", "attribute_not_exists(most)", {":most": most})
            return
        since = highest.get("clear_since")
        if since is None:
            if not above:
                values = {":now": items.epoch(now)}
                self._update(key, "SET clear_since = :now", "attribute_not_exists(clear_since)", values)
        elif above:
            self._update(key, "REMOVE clear_since", "clear_since = :since", {":since": since})
        elif since <= items.epoch(now - LOWERED_FOR):
            unchanged = {":seen": highest["most"], ":since": since}
            self._update(
                key,
                "SET most = :most REMOVE clear_since",
                "most = :seen AND clear_since = :since",
                {":most": limit.most, **unchanged},
            )

    def count(self, limit: Limit, now: datetime) -> int:
        """Return how many slots of a limit are taken.

        Leases of the last second may be missing.
        """
        counted = 0
        query: dict[str, Any] = {
            "TableName": self._table,
            "Select": "COUNT",
            "KeyConditionExpression": "pk = :scope AND sk < :line",
            "FilterExpression": "lease_until >= :now",
            "ExpressionAttributeValues": to_item(
                {":scope": f"SLOTS#{limit.scope}", ":line": LIMIT, ":now": items.epoch(now)}
            ),
        }
        while True:
            page = self._dynamodb.query(**query)
            counted += int(page["Count"])
            if "LastEvaluatedKey" not in page:
                return counted
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def _query(self, scope: str, first: str, last: str) -> Iterator[items.Item]:
        return query_items(
            self._dynamodb,
            TableName=self._table,
            ConsistentRead=True,
            KeyConditionExpression="pk = :scope AND sk BETWEEN :first AND :last",
            ExpressionAttributeValues=to_item({":scope": f"SLOTS#{scope}", ":first": first, ":last": last}),
        )

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
        line = _scope_key(scope, WAITING)
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
                "Key": _scope_key(scope, WAITING),
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


def _was_lowered(limit: Limit, highest: Mapping[str, Any]) -> bool:
    """Return whether attempts may still hold slots above the limit."""
    most: int = highest["most"]
    return most > limit.most


def _read(limit: Limit, stored: Iterable[items.Item], now: datetime, seen: Iterable[int] | None = None) -> Slots:
    """Return the slots of a limit from their items.

    ``seen`` are the numbers that were read, None if all were.
    """
    rows = [from_item(item) for item in stored]
    taken = {int(row["sk"]) for row in rows if row["sk"].isdecimal() and row["lease_until"] >= items.epoch(now)}
    until, first = _line(next((row for row in rows if row["sk"] == WAITING), {}), now)
    return Slots(limit, frozenset(taken), until, first, None if seen is None else frozenset(seen))


def _line(row: Mapping[str, Any], now: datetime) -> tuple[datetime | None, str | None]:
    """Return until when retries wait for a slot, and the first of them."""
    until = datetime.fromtimestamp(row.get("lease_until", 0), now.tzinfo)
    is_waiting = row.get("first_until", 0) > items.epoch(now)
    return until if until > now else None, row["first"] if is_waiting else None


def _key(slot: str) -> items.Item:
    scope, _, number = slot.rpartition("|")
    return _scope_key(scope, _sort_key(int(number)))


def _scope_key(scope: str, name: str) -> items.Item:
    return items.key(f"SLOTS#{scope}", name)


def _sort_key(number: int) -> str:
    return f"{number:06d}"


def _lease(holder: str, until: datetime) -> items.Item:
    return to_item({"holder": holder, "lease_until": items.epoch(until), "expires_at": items.epoch(until + SPENT_KEPT)})
