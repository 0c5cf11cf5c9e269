"""The named policies of a workspace in the table."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chalicelib.domain.policy import Policy
from chalicelib.storage import items
from chalicelib.storage.adapters import adapter
from chalicelib.storage.query import query_items
from chalicelib.storage.reading import read_each
from chalicelib.storage.versions import Kind, data_of, stored


@dataclass(frozen=True, slots=True)
class NamedPolicy:
    """A policy with its name.

    Each call keeps a copy of its policy, so a change of the policy affects only later calls. ``target_url`` and
    ``agent_version_id`` are the defaults for calls of this policy that have none of their own.
    """

    name: str
    policy: Policy
    updated_at: datetime
    target_url: str | None = None
    agent_version_id: str | None = None


class PolicyStore:
    """The policy items of the table. ``dynamodb`` is a botocore client."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def put(self, workspace: str, named: NamedPolicy) -> None:
        """Write a policy. Replace the policy that has this name, if there is one."""
        data = {
            "policy": adapter(Policy).dump_python(named.policy, mode="json"),
            "updated_at": named.updated_at.isoformat(),
            "target_url": named.target_url,
            "agent_version_id": named.agent_version_id,
        }
        item = _key(workspace, named.name) | stored(Kind.POLICY, data)
        self._dynamodb.put_item(TableName=self._table, Item=item)

    def load(self, workspace: str, name: str) -> NamedPolicy | None:
        """Return the policy of this name, as last committed, or None."""
        found = self._dynamodb.get_item(TableName=self._table, Key=_key(workspace, name), ConsistentRead=True)
        return _read(name, found["Item"]) if "Item" in found else None

    def all(self, workspace: str, skipped: Callable[[str], None]) -> list[NamedPolicy]:
        """Return every policy of a workspace, sorted by name.

        This method calls ``skipped`` with the name of each policy that cannot be read.
        """
        found = query_items(
            self._dynamodb,
            TableName=self._table,
            KeyConditionExpression="pk = :policies",
            ExpressionAttributeValues={":policies": {"S": f"POLICIES#{workspace}"}},
        )
        return list(read_each(found, lambda item: _read(_name(item), item), _name, skipped))

    def delete(self, workspace: str, name: str) -> None:
        """Remove a policy. Calls that were placed with it keep their copies."""
        self._dynamodb.delete_item(TableName=self._table, Key=_key(workspace, name))


def _key(workspace: str, name: str) -> items.Item:
    return items.key(f"POLICIES#{workspace}", name)


def _name(item: items.Item) -> str:
    return str(item["sk"]["S"])


def _read(name: str, item: items.Item) -> NamedPolicy:
    data = data_of(Kind.POLICY, item)
    policy = adapter(Policy).validate_python(data["policy"])
    return NamedPolicy(
        name, policy, datetime.fromisoformat(data["updated_at"]), data.get("target_url"), data.get("agent_version_id")
    )
