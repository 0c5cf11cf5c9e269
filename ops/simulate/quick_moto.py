"""moto, made quick enough for thousands of transactions.

moto backs a transaction up by copying the whole table for each of its writes, so a test's cost grows with the square
of what it stored. Here the backup copies only the partitions that the transaction writes to; what is rolled back is
the same. (No test relies on moto for atomicity between threads: it has none.)
"""

import copy
from typing import Any

from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table

_written: set[str] = set()
_backups: dict[int, Table] = {}
_transact = DynamoDBBackend.transact_write_items


def _transact_quickly(self: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
    _backups.clear()
    _written.clear()
    for item in transact_items:
        ((_, write),) = item.items()
        _written.add((write.get("Key") or write["Item"])["pk"]["S"])
    _transact(self, transact_items)


def _backup(self: Table, memo: dict[int, Any]) -> Table:
    """moto asks for a backup before it writes anything, once for each write; they are all the same."""
    if id(self) not in _backups:
        backup = copy.copy(self)
        backup.items = copy.copy(self.items)
        for pk in map(_as_key, _written):
            if pk in self.items:
                backup.items[pk] = copy.deepcopy(self.items[pk], memo)
        _backups[id(self)] = backup
    return _backups[id(self)]


def _as_key(pk: str) -> DynamoType:
    return DynamoType({"S": pk})


def install() -> None:
    """Patch moto for the rest of the process."""
    DynamoDBBackend.transact_write_items = _transact_quickly  # type: ignore[method-assign]
    Table.__deepcopy__ = _backup  # type: ignore[attr-defined]
