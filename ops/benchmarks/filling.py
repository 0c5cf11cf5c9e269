"""Fill moto's table with calls, without requests.

The calls are copies of two real calls. A copy has its own keys, and shares all other values with its original. So a
hundred thousand calls take seconds. Through the API they would take an hour.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from moto.dynamodb.models.dynamo_type import DynamoType, Item, LimitedSizeDict
from moto.dynamodb.models.table import Table

from chalicelib.domain.call import CallRecord
from chalicelib.storage import items
from chalicelib.usecases.gates.admission import limits
from ops.benchmarks.handlers import START, Handlers

#: All copies are due at this time, long after the benchmark, so that no wake and no sweep finds them.
LATER = START + timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Load:
    """A load: the number of calls in the table, of which ``in_flight`` are in flight."""

    calls: int
    in_flight: int

    def __str__(self) -> str:
        return f"{self.calls:,} calls, {self.in_flight:,} in flight"


def fill(handlers: Handlers, load: Load, waiting: CallRecord, ringing: CallRecord) -> None:
    """Copy two calls until the table has the load.

    ``waiting`` waits for its second attempt, and its copies replace it. ``ringing`` is in flight and stays; each copy
    of it holds a slot of its account.
    """
    in_flight = load.in_flight - 1
    for number in range(load.calls - load.in_flight):
        _copy(handlers.table, waiting, number)
    del handlers.table.items[_text(f"CALL#{waiting.call.id}")]
    for number in range(in_flight):
        _copy(handlers.table, ringing, load.calls + number)
    _take_slots(handlers, ringing, in_flight)


def _copy(table: Table, record: CallRecord, number: int) -> None:
    """Copy the items of a call and of its attempts under a new id.

    The events and decisions are left out: no handler looks for those of another call.
    """
    original, call_id = record.call.id, f"call_{number:026d}"
    partition = _text(f"CALL#{call_id}")
    due_at = DynamoType({"N": str(items.epoch(LATER))})
    copies = table.items[partition]
    for sort_key, item in list(table.items[_text(f"CALL#{original}")].items()):
        if not sort_key.value.startswith(("CALL", "ATTEMPT#")):
            continue
        attributes: dict[str, DynamoType] = {**item.attrs, "pk": partition}
        if "due_shard" in attributes:
            kind = attributes["due_shard"].value.partition("#")[0]
            attributes |= {"due_shard": _text(f"{kind}#{items.shard(call_id)}"), "due_at": due_at}
        if "history_sk" in attributes:
            attributes["history_sk"] = _text(attributes["history_sk"].value.replace(original, call_id))
        copies[sort_key] = _item(partition, sort_key, attributes)


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
    """Return an item of moto with these values, without checks and without copies of the values."""
    item = Item.__new__(Item)
    item.hash_key, item.range_key = partition, sort_key
    item.attrs = LimitedSizeDict.__new__(LimitedSizeDict)
    dict.update(item.attrs, attributes)
    return item


def _text(value: str) -> DynamoType:
    return DynamoType({"S": value})
