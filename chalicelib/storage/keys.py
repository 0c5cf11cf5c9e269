"""API keys in the table: found by the hash of the key, never by the key itself."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from chalicelib import ids
from chalicelib.storage import items
from chalicelib.storage.codec import from_attribute, to_attribute

_WORKSPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def is_workspace(name: str) -> bool:
    """True for 1 to 64 letters, digits, ``.``, ``_`` or ``-``: the ``#`` in items' keys must stay ours."""
    return _WORKSPACE.fullmatch(name) is not None


class Role(StrEnum):
    """What a key may do: each role may do what those before it may."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    def allows(self, wanted: "Role") -> bool:
        roles = list(Role)
        return roles.index(self) >= roles.index(wanted)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Whose key it is and what it may do."""

    workspace: str
    role: Role


class KeyStore:
    """The API keys of the table."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def find(self, key: str) -> ApiKey | None:
        """Whose key this is; None where it is nobody's."""
        item = self._dynamodb.get_item(TableName=self._table, Key=_key(key)).get("Item")
        if item is None:
            return None
        data = from_attribute(item["data"])
        return ApiKey(data["workspace"], Role(data["role"]))

    def add(self, key: str, owner: ApiKey, name: str, now: datetime) -> None:
        """Store a new key by its hash. ``name`` is for people. Raises ValueError for a workspace that is no name."""
        if not is_workspace(owner.workspace):
            wanted = "1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit"
            raise ValueError(f"{owner.workspace!r} is no workspace's name: {wanted}")
        data = {"workspace": owner.workspace, "role": owner.role, "name": name, "created_at": now.isoformat()}
        self._dynamodb.put_item(
            TableName=self._table,
            Item=_key(key) | {"data": to_attribute(data)},
            ConditionExpression="attribute_not_exists(pk)",
        )


def _key(key: str) -> items.Item:
    return items.key(f"KEY#{ids.hashed(key)}", "KEY")
