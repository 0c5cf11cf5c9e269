"""The API keys in the table, stored by the hash of the key.

The table never has the key itself. A key's item is in the history index, too, under ``KEYS#<workspace>``. So Redial
lists a workspace's keys without a scan. A key of an earlier release is in the list from its next use on.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import ids
from chalicelib.errors import NotFound
from chalicelib.runtime.log import warn
from chalicelib.storage import items
from chalicelib.storage.codec import from_attribute, to_attribute, to_item
from chalicelib.storage.query import query_items
from chalicelib.storage.reading import read_each

#: A public key id has this many hexadecimal digits. These 48 bits of the hash distinguish the keys of one workspace.
ID_LENGTH = 12
#: Redial records the use of a key at most this often.
USE_RECORDED_EVERY = timedelta(hours=1)
#: An expired key is kept this long, so that the error can say why Redial refuses the key.
EXPIRED_KEPT = timedelta(days=90)

_WORKSPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def is_workspace(name: str) -> bool:
    """Return whether a name has 1 to 64 letters, digits, ``.``, ``_`` or ``-``.

    The first character is a letter or digit. Names cannot have ``#``, because it separates the parts of items' keys.
    """
    return _WORKSPACE.fullmatch(name) is not None


class Role(StrEnum):
    """The role of a key. Each role includes the permissions of the roles before it."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    def allows(self, wanted: "Role") -> bool:
        """Return whether this role includes the permissions of ``wanted``."""
        roles = list(Role)
        return roles.index(self) >= roles.index(wanted)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key: its workspace and its role.

    ``name`` is for people. Of the key itself, only ``hash`` is stored. The key never expires if ``expires_at`` is None.
    ``last_used_at`` is at most an hour too early. Times are UTC.
    """

    workspace: str
    role: Role
    name: str = ""
    hash: str = ""
    created_at: datetime | None = None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None

    @property
    def id(self) -> str:
        """The public id of the key. Nobody can derive the key from it."""
        return self.hash[:ID_LENGTH]

    def is_expired(self, now: datetime) -> bool:
        """Return True from the instant of ``expires_at`` on."""
        return self.expires_at is not None and self.expires_at <= now


class KeyStore:
    """The API key items of the table. ``dynamodb`` is a botocore client."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def find(self, key: str) -> ApiKey | None:
        """Return the stored record of a key, expired or not.

        Returns None if the key is unknown. A revoked key is unknown at once.
        """
        found = self._item(ids.hashed(key))
        return _read(found) if found else None

    def add(self, key: str, owner: ApiKey, now: datetime) -> ApiKey:
        """Store a new key by its hash, and return the stored record.

        ``owner`` has the workspace, the role, the name and the expiry. Raises ValueError if the workspace's name is not
        valid: see is_workspace().
        """
        if not is_workspace(owner.workspace):
            wanted = "1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit"
            raise ValueError(f"{owner.workspace!r} is no workspace's name: {wanted}")
        made = replace(owner, hash=ids.hashed(key), created_at=now, last_used_at=None)
        self._dynamodb.put_item(**self._putting(made))
        return made

    def rotate(self, old: ApiKey, key: str, successor: ApiKey, now: datetime) -> ApiKey:
        """Store a new key, and set the expiry of the old key in the same transaction.

        ``successor`` has the data of the new key, without its hash. The old key then ends at ``old.expires_at``. Raises
        NotFound if the old key was revoked meanwhile, and ValueError if ``old.expires_at`` is None.
        """
        made = replace(successor, hash=ids.hashed(key), created_at=now, last_used_at=None)
        ending = {"Update": self._ending(old)}
        try:
            self._dynamodb.transact_write_items(TransactItems=[ending, {"Put": self._putting(made)}])
        except ClientError as error:
            if error.response["Error"]["Code"] != "TransactionCanceledException":
                raise
            raise NotFound(f"key {old.id} was revoked meanwhile; create a new one") from error
        return made

    def revoke(self, old: ApiKey) -> None:
        """Remove a key. Redial refuses the next request with this key."""
        self._dynamodb.delete_item(TableName=self._table, Key=_key(old.hash))

    def of_workspace(self, workspace: str) -> Iterator[ApiKey]:
        """Yield the keys of a workspace, oldest first, with expired keys that are kept."""
        listed = query_items(
            self._dynamodb,
            TableName=self._table,
            IndexName=items.HISTORY_INDEX,
            KeyConditionExpression="history_pk = :keys",
            ExpressionAttributeValues={":keys": {"S": f"KEYS#{workspace}"}},
        )
        found = (item for entry in listed if (item := self._item(_hash(entry))) is not None)
        yield from read_each(found, _read, lambda item: f"key {_hash(item)[:ID_LENGTH]}")

    def _item(self, hash_: str) -> items.Item | None:
        """Return a key's item, or None if the key was revoked or is unknown."""
        found = self._dynamodb.get_item(TableName=self._table, Key=_key(hash_), ConsistentRead=True)
        item: items.Item | None = found.get("Item")
        return item

    def by_id(self, workspace: str, key_id: str) -> ApiKey:
        """Return the key of a workspace by its public id. Raises NotFound."""
        for key in self.of_workspace(workspace):
            if key.id == key_id:
                return key
        raise NotFound(f"workspace {workspace!r} has no key {key_id!r}; `keys list` shows those that it has")

    def record_use(self, key: ApiKey, now: datetime) -> None:
        """Record that a key was used, if no use was recorded within the last hour.

        An error of AWS is only logged.
        """
        if key.last_used_at is not None and now - key.last_used_at < USE_RECORDED_EVERY:
            return
        not_yet = "attribute_not_exists(#data.last_used_at) OR #data.last_used_at <= :stale"
        index = _index(key)
        try:
            self._dynamodb.update_item(
                TableName=self._table,
                Key=_key(key.hash),
                UpdateExpression="SET #data.last_used_at = :now, history_pk = :pk, history_sk = :sk",
                ConditionExpression=f"attribute_exists(pk) AND ({not_yet})",
                ExpressionAttributeNames={"#data": "data"},
                ExpressionAttributeValues={
                    ":now": to_attribute(now.isoformat()),
                    ":stale": to_attribute((now - USE_RECORDED_EVERY).isoformat()),
                    ":pk": index["history_pk"],
                    ":sk": index["history_sk"],
                },
            )
        except (ClientError, BotoCoreError) as error:
            # A failed condition is normal: the key was revoked meanwhile, or another request of this hour was first.
            # Any other error is logged, because it must not fail the user's request.
            if _code(error) != "ConditionalCheckFailedException":
                warn("key-use-not-recorded", key=key.id, error=str(error))

    def _putting(self, key: ApiKey) -> dict[str, Any]:
        data = {
            "workspace": key.workspace,
            "role": key.role,
            "name": key.name,
            "created_at": key.created_at.isoformat() if key.created_at else None,
            "expires_at": key.expires_at.isoformat() if key.expires_at else None,
        }
        item = _key(key.hash) | _index(key) | {"data": to_attribute(data)}
        if key.expires_at is not None:
            item["expires_at"] = _kept_until(key.expires_at)
        return {"TableName": self._table, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}

    def _ending(self, old: ApiKey) -> dict[str, Any]:
        if old.expires_at is None:
            raise ValueError(f"key {old.id} is to end at no time")
        return {
            "TableName": self._table,
            "Key": _key(old.hash),
            "UpdateExpression": "SET #data.expires_at = :at, expires_at = :forgotten",
            "ConditionExpression": "attribute_exists(pk)",
            "ExpressionAttributeNames": {"#data": "data"},
            "ExpressionAttributeValues": {
                ":at": to_attribute(old.expires_at.isoformat()),
                ":forgotten": _kept_until(old.expires_at),
            },
        }


def _hash(item: items.Item) -> str:
    return str(item["pk"]["S"].removeprefix("KEY#"))


def _key(hash_: str) -> items.Item:
    return items.key(f"KEY#{hash_}", "KEY")


def _index(key: ApiKey) -> items.Item:
    created = f"{key.created_at:%Y-%m-%dT%H:%M:%S.%fZ}" if key.created_at else ""
    return to_item({"history_pk": f"KEYS#{key.workspace}", "history_sk": f"{created}#{key.hash}"})


def _kept_until(expires_at: datetime) -> dict[str, Any]:
    return to_attribute(items.epoch(expires_at + EXPIRED_KEPT))


def _read(item: items.Item) -> ApiKey:
    data = from_attribute(item["data"])
    return ApiKey(
        workspace=data["workspace"],
        role=Role(data["role"]),
        name=data.get("name", ""),
        hash=_hash(item),
        created_at=_at(data.get("created_at")),
        expires_at=_at(data.get("expires_at")),
        last_used_at=_at(data.get("last_used_at")),
    )


def _at(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _code(error: Exception) -> str:
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else ""
