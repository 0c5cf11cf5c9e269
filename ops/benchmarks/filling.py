"""Fill moto's table with calls, without requests.

The calls are copies of two real calls. A copy has its own keys, and shares all other values with its original. So a
hundred thousand calls take seconds. Through the API they would take an hour.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from moto.dynamodb.models.dynamo_type import DynamoType, Item, LimitedSizeDict
from moto.dynamodb.models.table import Table

from chalicelib.domain.call import CallRecord
from chalicelib.storage import items
from chalicelib.usecases.gates.admission import limits
from ops.benchmarks.handlers import START, Handlers
from ops.benchmarks.metering import INDEXES

#: All copies are due at this time, long after the benchmark, so that no wake and no sweep finds them.
LATER = START + timedelta(days=30)
#: the partition keys of the indexes
HASH_KEYS = {keys[0] for keys in INDEXES.values()}


@dataclass(frozen=True, slots=True)
class Load:
    """A load: the number of calls in the table, of which ``in_flight`` are in flight."""

    calls: int
    in_flight: int

    @property
    def parts(self) -> tuple[str, str]:
        """The two numbers in words."""
        return f"{self.calls:,} calls", f"{self.in_flight:,} in flight"

    def __str__(self) -> str:
        return ", ".join(self.parts)


class Copies:
    """The copies of calls in moto's table.

    moto has no indexes: it looks through the whole table. The copies are sorted by their index keys, so moto looks only
    through those with the wanted key.
    """

    def __init__(self) -> None:
        self._partitions: set[DynamoType] = set()
        self._by_key: defaultdict[tuple[str, str], list[Item]] = defaultdict(list)

    def add(self, table: Table, record: CallRecord, number: int) -> None:
        """Copy the items of a call and of its attempts under a new id.

        The events and decisions are left out: no handler reads those of another call.
        """
        call_id = f"call_{number:026d}"
        partition = _text(f"CALL#{call_id}")
        self._partitions.add(partition)
        for sort_key, item in list(table.items[_text(f"CALL#{record.call.id}")].items()):
            if not sort_key.value.startswith(("CALL", "ATTEMPT#")):
                continue
            attributes = {**item.attrs, "pk": partition, **_index_keys(item, record.call.id, call_id)}
            copied = table.items[partition][sort_key] = _item(partition, sort_key, attributes)
            for name in HASH_KEYS & attributes.keys():
                self._by_key[name, attributes[name].value].append(copied)

    def indexed(self, table: Table, _index: str, wanted: Sequence[tuple[str, Any]]) -> Iterator[Item]:
        """Yield the items of a table that an index may have under a key.

        It replaces the function of that name in quick_moto.
        """
        for key in wanted:
            yield from self._by_key.get(key, ())
        for partition, found in table.items.items():
            if partition not in self._partitions:
                yield from found.values()


def fill(handlers: Handlers, load: Load, waiting: CallRecord, ringing: CallRecord) -> Copies:
    """Copy two calls until the table has the load, and return the copies.

    ``waiting`` waits for its second attempt, and its copies replace it. ``ringing`` is in flight and stays; each copy
    of it holds a slot of its account.
    """
    copies, in_flight = Copies(), load.in_flight - 1
    for number in range(load.calls - load.in_flight):
        copies.add(handlers.table, waiting, number)
    for number in range(in_flight):
        copies.add(handlers.table, ringing, load.calls + number)
    del handlers.table.items[_text(f"CALL#{waiting.call.id}")]
    _take_slots(handlers, ringing, in_flight)
    return copies


def _index_keys(item: Item, original: str, copied: str) -> dict[str, DynamoType]:
    """Return the index keys of a copy of an item that has such keys."""
    keys = {}
    if "due_shard" in item.attrs:
        kind = item.attrs["due_shard"].value.partition("#")[0]
        keys["due_shard"] = _text(f"{kind}#{items.shard(copied)}")
        keys["due_at"] = DynamoType({"N": str(items.epoch(LATER))})
    if "history_sk" in item.attrs:
        keys["history_sk"] = _text(item.attrs["history_sk"].value.replace(original, copied))
    return keys


def _take_slots(handlers: Handlers, holder: CallRecord, taken: int) -> None:
    """Take every second slot of each concurrency limit, ``taken`` slots in all."""
    ports, call = handlers.ports, holder.call
    for limit in limits(ports, call):
        slots = [f"{limit.scope}|{2 * number}" for number in range(taken)]
        for write in ports.slots.taking(slots, f"{call.id}-1", LATER, handlers.clock.now()):
            _put(handlers.table, write["Put"]["Item"])


def _put(table: Table, stored: Mapping[str, Any]) -> None:
    attributes = {name: DynamoType(value) for name, value in stored.items()}
    pk, sk = attributes["pk"], attributes["sk"]
    table.items[pk][sk] = _item(pk, sk, attributes)


def _item(partition: DynamoType, sort_key: DynamoType, attributes: Mapping[str, DynamoType]) -> Item:
    """Return an item of moto with these values.

    It checks and copies no value, and moto measures it as empty: moto measures each item of each page of a query.
    """
    item: Any = Item.__new__(Item)
    item.hash_key, item.range_key, item.attrs = partition, sort_key, LimitedSizeDict()
    item.size = lambda: 0
    dict.update(item.attrs, attributes)
    made: Item = item
    return made


def _text(value: str) -> DynamoType:
    return DynamoType({"S": value})
