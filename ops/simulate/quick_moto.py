"""Patches that make moto fast enough for hundreds of thousands of requests.

- For each write of a transaction, moto copies the whole table as a backup, so the cost of a run grows with the square
  of what it stored. The patch copies only the items that the transaction writes to. A rollback has the same result.
- The patched moto handles one request at a time, as DynamoDB's transactions appear to their readers.
- A query sorts the whole table before it looks for its partition. The patch shows it that partition only.
- Each request collects the methods of its class. The patch collects the methods of a class once.
- Keys are compared after a cast by type. The patch compares two texts directly.
- A new table makes an RSA key for its encryption, which no test uses. The patch returns a name.
- For each value of an item, moto looks for ten fields under six spellings each. The patch takes a field that a dict has
  under its own name, and looks for no other types of a value.
- A value is copied as a whole before its conversion to JSON, and again at each of its levels. The patch converts the
  value without a copy.
- A new item is measured again after each of its attributes. The patch measures the finished item once.
- The size of a value is taken from copies of its parts. The patch takes the size of the parts themselves.
- Each request formats the URL patterns of its service again. The patch formats the patterns of a class once.
- Each start of moto registers 1,300 URLs for the library requests, which Redial does not use. The patch registers none.
"""

import copy
from collections.abc import Iterable, Sequence
from functools import cache
from threading import RLock
from typing import Any

from moto.core import models, responses
from moto.core.base_backend import BaseBackend
from moto.core.serialize import AttributePicker, AttributePickerContext
from moto.core.utils import method_names_from_class
from moto.dynamodb.exceptions import ItemSizeTooLarge
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType, Item, LimitedSizeDict
from moto.dynamodb.models.table import Table
from moto.dynamodb.models.utilities import bytesize
from moto.dynamodb.responses import DynamoHandler

from ops.simulate import quick_parsing

#: The position of ``index_name`` in moto's own call of ``query``, counted after the hash key
INDEX_NAME_AT = 6
#: The bytes of an item from which on moto rejects the item, as in ``LimitedSizeDict``
MAX_ITEM_BYTES = 405_000

_written: dict[str, set[str]] = {}
_backups: dict[int, Table] = {}
_shown: list[list[Item]] = []
_known_urls: dict[type, Any] = {}
#: the names of the types of an attribute value
TYPES = frozenset({"S", "N", "B", "SS", "NS", "BS", "M", "L", "NULL", "BOOL"})

one_at_a_time = RLock()
_call_action = DynamoHandler.call_action
_pick = AttributePicker.__call__
_transact = DynamoDBBackend.transact_write_items
_query = Table.query
_all_items = Table.all_items
_equal, _less, _hash = DynamoType.__eq__, DynamoType.__lt__, DynamoType.__hash__
_as_json = DynamoType.to_regular_json
_size = DynamoType.size
_urls: Any = BaseBackend.urls.fget  # type: ignore[attr-defined]


def _call_alone(self: DynamoHandler) -> Any:
    with one_at_a_time:
        return _call_action(self)


def _pick_quickly(self: AttributePicker, context: AttributePickerContext) -> Any:
    found = context.obj
    if type(found) is dict and not self.response_transformers:
        if context.key in found:
            return found[context.key]
        if found.keys() <= TYPES and found:
            return None
    return _pick(self, context)


def _encryption_key(self: Table, account_id: str, region: str) -> str:
    return f"arn:aws:kms:{region}:{account_id}:key/quick"


def _transact_quickly(self: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
    _backups.clear()
    _written.clear()
    for item in transact_items:
        ((_, write),) = item.items()
        key = write.get("Key") or write["Item"]
        _written.setdefault(key["pk"]["S"], set()).add(key["sk"]["S"])
    _transact(self, transact_items)


def _backup(self: Table, memo: dict[int, Any]) -> Table:
    """Return a backup with copies of the items that the transaction writes.

    Moto asks for a backup before its first write, once for each write of the transaction. All these backups are the
    same.
    """
    if id(self) not in _backups:
        backup = copy.copy(self)
        backup.items = copy.copy(self.items)
        for text, sort_keys in _written.items():
            pk = _as_key(text)
            if pk in self.items:
                backup.items[pk] = copy.copy(self.items[pk])
                for sk in map(_as_key, sort_keys):
                    if sk in self.items[pk]:
                        backup.items[pk][sk] = copy.deepcopy(self.items[pk][sk], memo)
        _backups[id(self)] = backup
    return _backups[id(self)]


def _as_key(text: str) -> DynamoType:
    return DynamoType({"S": text})


def _query_quickly(self: Table, hash_key: DynamoType | None, *args: Any, **kwargs: Any) -> Any:
    index = args[INDEX_NAME_AT] if len(args) > INDEX_NAME_AT else kwargs.get("index_name")
    _shown.append(_partition(self, hash_key, index, kwargs.get("hash_key_conditions") or ()))
    try:
        return _query(self, hash_key, *args, **kwargs)
    finally:
        _shown.pop()


def _partition(
    table: Table, hash_key: DynamoType | None, index: str | None, conditions: Sequence[tuple[str, DynamoType]]
) -> list[Item]:
    """Return the items that a query can find.

    These are the items of its partition, or those that its index has under that key.
    """
    if index is None:
        return list(table.items.get(hash_key, {}).values())
    wanted = [(name, value.value) for name, value in conditions]
    return [
        item
        for item in indexed(table, index, wanted)
        if all((found := item.attrs.get(name)) is not None and found.value == value for name, value in wanted)
    ]


def indexed(table: Table, index: str, wanted: Sequence[tuple[str, Any]]) -> Iterable[Item]:
    """Return the items that an index may hold under some keys.

    ``wanted`` has the name and the value of each key. The simulator and the benchmark patch this function with ones
    that return fewer items.
    """
    return (item for partition in table.items.values() for item in partition.values())


def _all_items_quickly(self: Table) -> list[Item]:
    if not _shown:
        return _all_items(self)
    return sorted(_shown[-1], key=lambda item: (item.hash_key.value, item.range_key.value))  # type: ignore[union-attr]


def _equal_quickly(self: DynamoType, other: DynamoType) -> bool:
    if self.type == "S":
        return other.type == "S" and bool(self.value == other.value)
    return _equal(self, other)


def _less_quickly(self: DynamoType, other: DynamoType) -> bool:
    return bool(self.value < other.value) if self.type == "S" else _less(self, other)


def _hash_quickly(self: DynamoType) -> int:
    return hash(("S", self.value)) if self.type == "S" else _hash(self)


def _as_json_quickly(self: DynamoType) -> dict[str, Any]:
    if self.type == "M":
        return {"M": {name: _as_json_quickly(value) for name, value in self.value.items()}}
    if self.type == "L":
        return {"L": [_as_json_quickly(value) for value in self.value]}
    return {self.type: self.value} if self.type in ("S", "N", "BOOL", "NULL") else _as_json(self)


def _make_item(self: Item, hash_key: DynamoType, range_key: DynamoType | None, attrs: dict[str, Any]) -> None:
    self.hash_key, self.range_key = hash_key, range_key
    self.attrs = LimitedSizeDict()
    dict.update(self.attrs, {name: DynamoType(value) for name, value in attrs.items()})
    if self.size() > MAX_ITEM_BYTES:
        raise ItemSizeTooLarge


def _size_quickly(self: DynamoType) -> int:
    if self.type == "M":
        return sum(bytesize(name) + _as_type(value).size() for name, value in self.value.items())
    return bytesize(self.value) if self.type == "S" else _size(self)


def _as_type(value: Any) -> DynamoType:
    return value if value.__class__ is DynamoType else DynamoType(value)


def _urls_quickly(self: BaseBackend) -> Any:
    if type(self) not in _known_urls:
        _known_urls[type(self)] = _urls(self)
    return _known_urls[type(self)]


def _copied(self: DynamoType, _memo: dict[int, Any]) -> DynamoType:
    copied = DynamoType.__new__(DynamoType)
    copied.type, value = self.type, self.value
    if value.__class__ is dict:
        value = {name: _copied(each, _memo) for name, each in value.items()}
    elif value.__class__ is list:
        value = [_copied(each, _memo) if each.__class__ is DynamoType else each for each in value]
    copied.value = value
    return copied


def install() -> None:
    """Patch moto for the rest of the process."""
    patches: tuple[tuple[object, str, object], ...] = (
        (responses, "method_names_from_class", cache(method_names_from_class)),
        (AttributePicker, "__call__", _pick_quickly),
        (DynamoHandler, "call_action", _call_alone),
        (DynamoDBBackend, "transact_write_items", _transact_quickly),
        (Table, "_get_default_encryption_key", _encryption_key),
        (Table, "__deepcopy__", _backup),
        (Table, "query", _query_quickly),
        (Table, "all_items", _all_items_quickly),
        (DynamoType, "__eq__", _equal_quickly),
        (DynamoType, "__lt__", _less_quickly),
        (DynamoType, "__hash__", _hash_quickly),
        (DynamoType, "to_regular_json", _as_json_quickly),
        (DynamoType, "__deepcopy__", _copied),
        (DynamoType, "size", _size_quickly),
        (Item, "__init__", _make_item),
        (BaseBackend, "urls", property(_urls_quickly)),
        (models, "RESPONSES_METHODS", ()),
        *quick_parsing.PATCHES,
    )
    for owner, name, quick in patches:
        setattr(owner, name, quick)
