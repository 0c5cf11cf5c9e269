"""Who owns a provider's call: one conditional item, which an adoption, a placement and the sweep all have to win.

``PLACED#<provider>#<call>`` names the one attempt that the call belongs to, by its callback token. Adopted calls
once had an ``ADOPTED#<provider>#<account>#<call>`` item instead. Those that are left are read, and expire 400 days
after their policies.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chalicelib.domain.call import Attempt
from chalicelib.storage import items
from chalicelib.storage.codec import from_attribute, to_attribute
from chalicelib.storage.retention import Retention
from chalicelib.storage.transact import Write, transact

#: An adopted call is owned for this long after its policy ends: a captured callback must not adopt it a second time.
ADOPTED_KEPT = timedelta(days=400)
FREE = "attribute_not_exists(pk) OR expires_at <= :now"


@dataclass(frozen=True, slots=True)
class CallName:
    """A call as its provider names it; ``account`` is the provider account that it was placed from."""

    provider: str
    account: str
    id: str


@dataclass(frozen=True, slots=True)
class Owner:
    """The attempt that a provider's call belongs to, by its callback token.

    ``adopted_by`` is the workspace that adopted the call; None where Redial placed it.
    """

    token: str
    adopted_by: str | None = None

    def keeps_out(self, workspace: str) -> bool:
        """Return True where another workspace adopted the call."""
        return self.adopted_by not in (None, workspace)


class OwnerStore:
    """The owner items of the table. ``dynamodb`` is a botocore client."""

    def __init__(self, dynamodb: Any, table: str, retention: Retention) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._retention = retention

    def find(self, name: CallName) -> Owner | None:
        """Return who owns the call; None where nobody does."""
        found = self._item(_key(name)) or self._item(_older_key(name))
        if found is None:
            return None
        data = from_attribute(found["data"])
        return Owner(data["token"], data.get("workspace"))

    def adopting(self, name: CallName, owner: Owner, policy_ends_at: datetime) -> Write:
        """Return the write that makes an adopted call the owner; its condition fails where anybody is."""
        return self._put(name, owner, policy_ends_at + ADOPTED_KEPT, FREE)

    def placing(self, name: CallName, attempt: Attempt, expires_at: datetime) -> Write:
        """Return the write that makes an attempt the owner; its condition fails where another one is."""
        return self._put(name, Owner(attempt.token), expires_at, f"{FREE} OR #data.#token = :token", attempt.token)

    def own(self, name: CallName, attempt: Attempt, expires_at: datetime) -> bool:
        """Make an attempt the owner of a call; False where another one is."""
        return not transact(self._dynamodb, (), {"owner": self.placing(name, attempt, expires_at)})

    def take_over(self, name: CallName, attempt: Attempt, expires_at: datetime, seen: Owner) -> bool:
        """Make an attempt the owner in the place of the one that was read; False where that changed meanwhile."""
        put = self._put(name, Owner(attempt.token), expires_at, f"{FREE} OR #data.#token = :token", seen.token)
        return not transact(self._dynamodb, (), {"owner": put})

    def _item(self, key: items.Item) -> items.Item | None:
        found: items.Item | None = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True).get(
            "Item"
        )
        return None if found is None or self._retention.is_over(found) else found

    def _put(
        self, name: CallName, owner: Owner, expires_at: datetime, condition: str, token: str | None = None
    ) -> Write:
        data = {"token": owner.token}
        if owner.adopted_by is not None:
            data["workspace"] = owner.adopted_by
        item = _key(name) | {"data": to_attribute(data), "expires_at": to_attribute(items.epoch(expires_at))}
        put: dict[str, Any] = {
            "TableName": self._table,
            "Item": item,
            "ConditionExpression": condition,
            "ExpressionAttributeValues": {":now": to_attribute(self._retention.now())},
        }
        if token is not None:
            put["ExpressionAttributeNames"] = {"#data": "data", "#token": "token"}
            put["ExpressionAttributeValues"][":token"] = to_attribute(token)
        return {"Put": put}


def _key(name: CallName) -> items.Item:
    """The ids of all providers are unique over their accounts, so a changed account loses no call."""
    return items.key(f"PLACED#{name.provider}#{name.id}", "PLACED")


def _older_key(name: CallName) -> items.Item:
    return items.key(f"ADOPTED#{name.provider}#{name.account}#{name.id}", "ADOPTED")
