"""The secret tokens of the adoption addresses in the table.

The table has the hash of a token, never the token itself. A policy of a workspace has one token.

- ``ADOPTION#<workspace>`` has, for each policy, the hash of the valid token. For a day after a rotation it has the hash
  of the old token, too.
- ``ADOPTTOKEN#<hash>`` has the policy of a token. This item alone does not make the token valid.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chalicelib import ids
from chalicelib.errors import Conflict
from chalicelib.storage import items
from chalicelib.storage.codec import from_attribute, to_attribute
from chalicelib.storage.query import query_items
from chalicelib.storage.transact import Canceled, Write, transact

#: After a rotation the old token stays valid for this long, so that the user can change the address.
OVERLAP = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Grant:
    """The policy that a token names.

    ``is_valid`` is False if the token was replaced or its policy was deleted.
    """

    workspace: str
    policy_name: str
    is_valid: bool


class AdoptionTokens:
    """The adoption tokens of the table. ``dynamodb`` is a botocore client."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def make(self, workspace: str, policy_name: str, now: datetime) -> str | None:
        """Make the policy's first token and return it, or None if the policy has one."""
        token = ids.new_adoption_token()
        put = self._put(_policy_key(workspace, policy_name), {"hash": ids.hashed(token), "since": now.isoformat()})
        put["Put"]["ConditionExpression"] = "attribute_not_exists(pk)"
        try:
            transact(self._dynamodb, [put, self._naming(token, workspace, policy_name)])
        except Canceled:
            return None
        return token

    def rotate(self, workspace: str, policy_name: str, now: datetime, *, revoke_old: bool) -> str:
        """Replace the policy's token and return the new token.

        The old token is valid for one more day, or ends at once if ``revoke_old`` is True. Raises Conflict if another
        request replaced the token at the same time.
        """
        key = _policy_key(workspace, policy_name)
        found = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        old = from_attribute(found["data"]) if found else None
        token = ids.new_adoption_token()
        data = {"hash": ids.hashed(token), "since": now.isoformat()}
        if old is not None and not revoke_old:
            data |= {"old_hash": old["hash"], "old_ends_at": (now + OVERLAP).isoformat()}
        put = self._put(key, data)
        if old is None:
            put["Put"]["ConditionExpression"] = "attribute_not_exists(pk)"
        else:
            put["Put"] |= {
                "ConditionExpression": "#data.#hash = :old",
                "ExpressionAttributeNames": {"#data": "data", "#hash": "hash"},
                "ExpressionAttributeValues": {":old": to_attribute(old["hash"])},
            }
        try:
            transact(self._dynamodb, [put, self._naming(token, workspace, policy_name)])
        except Canceled:
            text = f"another request changed the adoption token of policy {policy_name!r} at the same time; try again"
            raise Conflict(text) from None
        return token

    def find(self, token: str, now: datetime) -> Grant | None:
        """Return the policy that a token names, or None for an unknown token."""
        hash_ = ids.hashed(token)
        found = self._dynamodb.get_item(TableName=self._table, Key=_token_key(hash_), ConsistentRead=True).get("Item")
        if found is None:
            return None
        named = from_attribute(found["data"])
        key = _policy_key(named["workspace"], named["policy"])
        current = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        data = from_attribute(current["data"]) if current else {}
        is_old = data.get("old_hash") == hash_ and now < datetime.fromisoformat(data["old_ends_at"])
        return Grant(named["workspace"], named["policy"], data.get("hash") == hash_ or is_old)

    def since(self, workspace: str) -> dict[str, datetime]:
        """Return the time at which each policy's token was made, by the policy's name."""
        found = query_items(
            self._dynamodb,
            TableName=self._table,
            KeyConditionExpression="pk = :tokens",
            ExpressionAttributeValues={":tokens": {"S": f"ADOPTION#{workspace}"}},
            ConsistentRead=True,
        )
        return {item["sk"]["S"]: datetime.fromisoformat(from_attribute(item["data"])["since"]) for item in found}

    def delete(self, workspace: str, policy_name: str) -> None:
        """Delete a policy's token record, which ends every token of the policy at once."""
        self._dynamodb.delete_item(TableName=self._table, Key=_policy_key(workspace, policy_name))

    def _naming(self, token: str, workspace: str, policy_name: str) -> Write:
        return self._put(_token_key(ids.hashed(token)), {"workspace": workspace, "policy": policy_name})

    def _put(self, key: items.Item, data: dict[str, str]) -> Write:
        return {"Put": {"TableName": self._table, "Item": key | {"data": to_attribute(data)}}}


def _policy_key(workspace: str, policy_name: str) -> items.Item:
    return items.key(f"ADOPTION#{workspace}", policy_name)


def _token_key(hash_: str) -> items.Item:
    return items.key(f"ADOPTTOKEN#{hash_}", "ADOPTTOKEN")
