"""Carry over what the old table wrote after the restore point.

These are calls, numbers, secrets and counts.
"""

import hmac
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.errors import TooBusy
from chalicelib.storage import items
from chalicelib.storage.batch import get_items
from chalicelib.storage.codec import from_attribute
from chalicelib.storage.gates import EVERYTHING
from chalicelib.storage.items import Item
from chalicelib.storage.reading import UNREADABLE
from chalicelib.storage.versions import Kind, data_of
from chalicelib.usecases.ports import Ports
from ops.restore.merge import Pass, kind, merged

PAGE = 100
WORKERS = 8
#: Callbacks write to the restored table, too, once it is in use; each try reads an item again.
WRITE_TRIES = 8
LOST = ("ConditionalCheckFailedException", "TransactionConflictException")

Key = tuple[str, str]


def key_of(item: Item) -> Key:
    """Return an item's two keys as text."""
    return item["pk"]["S"], item["sk"]["S"]


def by_key(found: list[Item]) -> dict[Key, Item]:
    """Return items by their keys."""
    return {key_of(item): item for item in found}


def pages(dynamodb: Any, table: str, now: int) -> Iterator[list[Item]]:
    """Yield the items of a table that have not expired by ``now``, page by page.

    ``now`` is in seconds since 1970.
    """
    asked: dict[str, Any] = {"TableName": table, "Limit": PAGE, "ConsistentRead": True}
    while True:
        answer = dynamodb.scan(**asked)
        yield [item for item in answer["Items"] if "expires_at" not in item or int(item["expires_at"]["N"]) > now]
        if "LastEvaluatedKey" not in answer:
            return
        asked["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


@dataclass(slots=True)
class Evidence:
    """The evidence in the old table of claimed attempts and erased numbers.

    ``attempts`` maps a call's id to the highest number of an attempt that any item of the old table names.
    """

    attempts: dict[str, int] = field(default_factory=dict)
    marks: set[str] = field(default_factory=set)
    salts: dict[str, bytes] = field(default_factory=dict)

    def note(self, item: Item) -> None:
        """Note one item of the old table. An item that cannot be read proves nothing."""
        pk, sk = key_of(item)
        try:
            match kind(item):
                case "CALL ATTEMPT":
                    self._claimed(pk.removeprefix("CALL#"), int(sk.removeprefix("ATTEMPT#")))
                case "NUMBER NUMBER":
                    for attempt_id in data_of(Kind.NUMBER, item)["made"]:
                        call_id, _, number = attempt_id.rpartition("-")
                        self._claimed(call_id, int(number))
                case "ERASED":
                    self.marks.add(pk)
                case "WORKSPACE SALT":
                    self.salts[pk.removeprefix("WORKSPACE#")] = bytes.fromhex(from_attribute(item["data"])["salt"])
        except UNREADABLE:
            return

    def _claimed(self, call_id: str, number: int) -> None:
        self.attempts[call_id] = max(number, self.attempts.get(call_id, 0))

    def is_erased(self, workspace: str, number: str) -> bool:
        """Return True if the old table holds the mark of an erased number."""
        salt = self.salts.get(workspace)
        if salt is None:
            return False
        return f"ERASED#{workspace}#{hmac.new(salt, number.encode(), 'sha256').hexdigest()}" in self.marks


@dataclass(slots=True)
class Carrying:
    """A walk over the old table.

    ``old`` and ``new`` are the ports of the two tables. ``saw`` is called with the number of items of each page.
    """

    dynamodb: Any
    old: Ports
    new: Ports
    when: Pass
    dry_run: bool = False
    saw: Callable[[int], None] = lambda number: None
    evidence: Evidence = field(default_factory=Evidence)

    def run(self) -> Counter[str]:
        """Carry everything over, and return the counts by kind of item.

        An item is ``carried``, ``erased`` (since the restore) or ``unreadable``. Raises TooBusy and botocore's errors:
        what was carried until then stays carried, and the next run carries the rest.
        """
        counts: Counter[str] = Counter()
        with ThreadPoolExecutor(WORKERS) as pool:
            for page in pages(self.dynamodb, self.old.settings.table_name, items.epoch(self.new.clock.now())):
                for item in page:
                    self.evidence.note(item)
                found = self._found(page)
                carry = partial(self._carry, found=found, erased=self._erased_there(found))
                counts.update(word for word in pool.map(carry, page) if word)
                self.saw(len(page))
        return counts

    def _found(self, page: list[Item]) -> dict[Key, Item]:
        """Return the restored table's versions of a page's items and of their calls."""
        wanted = {key_of(item) for item in page}
        wanted |= {(pk, "CALL") for pk, _ in wanted if pk.startswith("CALL#")}
        return by_key(get_items(self.dynamodb, self._table, [items.key(*key) for key in sorted(wanted)]))

    def _erased_there(self, found: dict[Key, Item]) -> frozenset[str]:
        """Return the calls (``CALL#<id>``) that only the restored table has erased."""
        keys = [key for key, item in found.items() if kind(item) == "CALL CALL" and _is_erased(item)]
        olds = get_items(self.dynamodb, self.old.settings.table_name, [items.key(*key) for key in keys])
        return frozenset(pk for pk, _ in keys) - {key_of(old)[0] for old in olds if _is_erased(old)}

    def _carry(self, old: Item, found: dict[Key, Item], erased: frozenset[str]) -> str | None:
        """Carry one item over, and return what was done, or None for nothing."""
        if kind(old) == "GATE":
            return self._carry_gate(old)
        new = found.get(key_of(old))
        for _ in range(WRITE_TRIES):
            try:
                wanted = merged(old, new, self.when)
            except UNREADABLE:
                return f"unreadable {kind(old)}"
            if wanted is None:
                return None
            if key_of(old)[0] in erased or self._is_of_erased_number(old, new):
                return f"erased {kind(old)}"
            if self.dry_run or self._written(wanted, new):
                return f"carried {kind(old)}"
            new = self.dynamodb.get_item(TableName=self._table, Key=_keys(old), ConsistentRead=True).get("Item")
        raise TooBusy(f"{' '.join(key_of(old))} keeps changing in {self._table}; run this again")

    def _written(self, wanted: Item, new: Item | None) -> bool:
        """Write an item and return True, if the item in its place is still ``new``."""
        put: dict[str, Any] = {"TableName": self._table, "Item": wanted}
        if new is None:
            put["ConditionExpression"] = "attribute_not_exists(pk)"
        elif "data" in new:
            put |= {
                "ConditionExpression": "#data = :read",
                "ExpressionAttributeNames": {"#data": "data"},
                "ExpressionAttributeValues": {":read": new["data"]},
            }
        try:
            self.dynamodb.put_item(**put)
        except ClientError as error:
            if error.response["Error"]["Code"] not in LOST:
                raise
            return False
        return True

    def _is_of_erased_number(self, old: Item, new: Item | None) -> bool:
        """Return True if the item is about a number that the restored table erased.

        Writing such an item would bring the number back.
        """
        pk, _ = key_of(old)
        if pk.startswith("NUMBER#") and new is None and self.when.first_at is not None:
            _, workspace, number = pk.split("#")
            return self.new.numbers.load(workspace, number).erased_at is not None
        return False

    def _carry_gate(self, old: Item) -> str | None:
        """Close a gate that was closed since. The stop of everything is the restore's own."""
        pk, sk = key_of(old)
        scope = pk.removeprefix("GATE#")
        if sk != "GATE" or scope == EVERYTHING or self.new.gates.closed([scope]):
            return None
        gate = next(iter(self.old.gates.closed([scope])), None)
        if gate is None or not self.when.is_news(gate.closed_at.isoformat()):
            return None
        if not self.dry_run:
            self.new.gates.close(gate)
        return "carried GATE"

    @property
    def _table(self) -> str:
        return self.new.settings.table_name


def _is_erased(call: Item) -> bool:
    return "S" in call["data"]["M"].get("erased_at", {})


def _keys(item: Item) -> Item:
    return {"pk": item["pk"], "sk": item["sk"]}
