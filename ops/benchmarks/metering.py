"""The meter of DynamoDB's charges, by DynamoDB's published rules.

moto reports no true capacity. So the meter computes the charge of each request from the sizes of its items before and
after, from the indexes whose keys change, and from whether the request is a transaction.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import ceil
from typing import Any
from unittest.mock import patch

from botocore.client import BaseClient
from botocore.exceptions import ClientError
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.dynamo_type import Item as MotoItem
from moto.dynamodb.models.table import Table

from ops.benchmarks.cpu_time import CpuTime
from ops.benchmarks.usage import Usage
from ops.data.table import table_definition

WRITE_BYTES = 1024
READ_BYTES = 4096
KEY = ("pk", "sk")
#: the key attributes of each index, by its name
INDEXES = {
    index["IndexName"]: tuple(key["AttributeName"] for key in index["KeySchema"])
    for index in table_definition("any")["GlobalSecondaryIndexes"]
}
#: The parameters of a query that change what it returns, and not what it reads. DynamoDB charges what it reads.
RETURNS_ONLY = ("FilterExpression", "ProjectionExpression", "Select")

Item = Mapping[str, Mapping[str, Any]]


def size_bytes(item: Item | None) -> int:
    """Return the size of an item in DynamoDB's own form, as DynamoDB counts it."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in (item or {}).items())


def _value_bytes(value: Mapping[str, Any]) -> int:
    ((kind, held),) = value.items()
    match kind:
        case "S":
            return len(held.encode())
        case "B":
            return len(held)
        case "N":
            return ceil(len(held.strip("-").replace(".", "").strip("0")) / 2) + 1
        case "M":
            return 3 + sum(len(name.encode()) + 1 + _value_bytes(each) for name, each in held.items())
        case "L":
            return 3 + sum(1 + _value_bytes(each) for each in held)
        case "SS" | "NS":
            return sum(_value_bytes({kind[0]: each}) for each in held)
    return 1  # BOOL and NULL


def index_writes(before: Item | None, after: Item | None) -> int:
    """Return how many writes the change of an item makes in the indexes.

    The indexes hold only keys, so an item whose keys do not change writes none. DynamoDB updates the indexes after the
    transaction, so these writes are not doubled.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html
    """
    return sum(_writes_in(_entry(before, keys), _entry(after, keys)) for keys in INDEXES.values())


def index_entries(item: Item) -> list[Item]:
    """Return the entries that an item has in the indexes.

    An entry has the keys of the item and of the index.
    """
    return [_part(item, (*KEY, *keys)) for keys in INDEXES.values() if _entry(item, keys) is not None]


def _part(item: Item, names: tuple[str, ...]) -> Item:
    return {name: item[name] for name in names if name in item}


def _entry(item: Item | None, index: tuple[str, ...]) -> tuple[str, ...] | None:
    if item is None or not all(name in item for name in index):
        return None
    return tuple(str(item[name]) for name in index)


def _writes_in(before: tuple[str, ...] | None, after: tuple[str, ...] | None) -> int:
    if before == after:
        return 0
    # A changed key is a removal and a put.
    return 1 if before is None or after is None else 2


class Meter:
    """A meter of the requests to AWS, of DynamoDB's units, and of the CPU time.

    It counts the requests that botocore sends inside ``counting``. The time that the meter itself takes is not part of
    the CPU time.
    """

    def __init__(self, cpu: CpuTime | None = None) -> None:
        self.write_units = 0.0
        self.read_units = 0.0
        self.requests: Counter[str] = Counter()
        self._cpu = cpu or CpuTime()
        self._original = BaseClient._make_api_call

    @contextmanager
    def counting(self) -> Iterator["Meter"]:
        """Count the requests until the block ends, and yield this meter."""
        meter = self

        def counted(client: Any, operation: str, params: dict[str, Any]) -> Any:
            meter.requests[operation] += 1
            if client.meta.service_model.service_name != "dynamodb":
                return meter._original(client, operation, params)
            return meter._pass(client, operation, params)

        with patch.object(BaseClient, "_make_api_call", counted):
            yield self

    def usage(self) -> Usage:
        """Return what was used until now."""
        return Usage(dict(self.requests), self.write_units, self.read_units, cpu_ms=self._cpu.now_ms())

    def _pass(self, client: Any, operation: str, params: dict[str, Any]) -> Any:
        writes = list(_writes(operation, params))
        before = self._items(writes)
        factor = 2 if operation == "TransactWriteItems" else 1
        try:
            answer = self._original(client, operation, params)
        except ClientError:
            # A failed condition costs a write of the present item, at least one unit.
            # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithItems.html
            self.write_units += sum(factor * _units(size_bytes(item), WRITE_BYTES) for item in before)
            raise
        after = self._items(writes)
        with self._cpu.excluded():
            for old, new in zip(before, after, strict=True):
                self.write_units += factor * _units(max(size_bytes(old), size_bytes(new)), WRITE_BYTES)
                self.write_units += index_writes(old, new)
            self.read_units += _read_units(operation, params, self._read(client, operation, params, answer))
        return answer

    def _read(
        self, client: Any, operation: str, params: Mapping[str, Any], answer: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Return the answer with all items that DynamoDB read for it.

        DynamoDB charges the items that it filters out, too.
        """
        if operation != "Query" or not any(name in params for name in RETURNS_ONLY):
            return answer
        used = set(re.findall(r"[#:]\w+", params["KeyConditionExpression"]))
        everything = {name: value for name, value in params.items() if name not in RETURNS_ONLY}
        for names in ("ExpressionAttributeNames", "ExpressionAttributeValues"):
            if names in everything:
                everything[names] = {name: value for name, value in everything[names].items() if name in used}
        read: Mapping[str, Any] = self._original(client, operation, everything)
        return read

    def _items(self, writes: Sequence[Mapping[str, Any]]) -> list[Item | None]:
        """Return the present items that writes are about."""
        with self._cpu.excluded():
            return [_stored(write) for write in writes]


def stored_items() -> Iterator[Item]:
    """Yield the items of moto's only table."""
    (table,) = _tables().values()
    for partition in table.items.values():
        yield from map(_plain, partition.values())


def _stored(write: Mapping[str, Any]) -> Item | None:
    """Return the present item that a write is about.

    It comes from moto's own table, because a request takes ten times longer.
    """
    source = write.get("Key") or write["Item"]
    pk, sk = (DynamoType(source[name]) for name in KEY)
    held = _tables()[write["TableName"]].items.get(pk, {}).get(sk)
    return None if held is None else _plain(held)


def _tables() -> dict[str, Table]:
    regions = dynamodb_backends[DEFAULT_ACCOUNT_ID].values()
    return {name: table for region in regions for name, table in region.tables.items()}


def _plain(item: MotoItem) -> Item:
    return {name: value.to_regular_json() for name, value in item.attrs.items()}


def _writes(operation: str, params: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if operation == "TransactWriteItems":
        # DynamoDB charges a check of a condition as a write.
        yield from (next(iter(each.values())) for each in params["TransactItems"])
    elif operation in ("PutItem", "UpdateItem", "DeleteItem"):
        yield params


def _read_units(operation: str, params: Mapping[str, Any], answer: Mapping[str, Any]) -> float:
    each = 1.0 if params.get("ConsistentRead") else 0.5
    match operation:
        case "GetItem":
            return each * _units(size_bytes(answer.get("Item")), READ_BYTES)
        case "Query" | "Scan":
            # DynamoDB charges a query for the sum of its items, not for each item.
            keys = INDEXES.get(params.get("IndexName", ""))
            read = (_part(item, (*KEY, *keys)) if keys else item for item in answer.get("Items", ()))
            return each * _units(sum(map(size_bytes, read)), READ_BYTES)
        case "BatchGetItem":
            found = [item for items in answer["Responses"].values() for item in items]
            asked = sum(len(one["Keys"]) for one in params["RequestItems"].values())
            consistent = any(one.get("ConsistentRead") for one in params["RequestItems"].values())
            missing = asked - len(found)
            units = sum(_units(size_bytes(item), READ_BYTES) for item in found) + missing
            return units * (1.0 if consistent else 0.5)
        case "TransactGetItems":
            return 2.0 * sum(_units(size_bytes(one.get("Item")), READ_BYTES) for one in answer["Responses"])
    return 0.0


def _units(size: int, unit: int) -> int:
    return max(1, ceil(size / unit))
