"""The owner of a provider's call: the one attempt that the call belongs to.

An adoption, a placement and the sweep may all want to own one call. Each writes the same item, and a condition lets
only the first write succeed.

``PLACED#<provider>#<call>`` names the owner by the attempt's callback token. Earlier releases stored the owner of an
adopted call in ``ADOPTED#<provider>#<account>#<call>``. Redial still reads these items. They expire 400 days after
their policies.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chalicelib.domain.call import Attempt
from chalicelib.storage import items
from chalicelib.storage.codec import from_attribute, to_attribute
from chalicelib.storage.retention import Retention
from chalicelib.storage.transact import Write, transact

#: The owner of an adopted call is kept this long after the call's policy ends. So a captured callback that is sent
#: again cannot adopt the call a second time.
ADOPTED_KEPT = timedelta(days=400)
#: The condition that a call has no owner.
FREE = "attribute_not_exists(pk) OR expires_at <= :now"


@dataclass(frozen=True, slots=True)
class CallName:
    """The name of a call at its provider.

    ``account`` is the provider account that placed the call.
    """

    provider: str
    account: str
    id: str


@dataclass(frozen=True, slots=True)
class Owner:
    """The attempt that a provider's call belongs to, by its callback token.

    ``adopted_by`` is the workspace that adopted the call, or None if Redial placed the call.
    """

    token: str
    adopted_by: str | None = None

    def keeps_out(self, workspace: str) -> bool:
        """Return whether another workspace adopted the call."""
        return self.adopted_by not in (None, workspace)


class OwnerStore:
    """The owner items of the table. ``dynamodb`` is a botocore client."""

    def __init__(self, dynamodb: Any, table: str, retention: Retention) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._retention = retention

    def find(self, name: CallName) -> Owner | None:
        """Return the owner of a call, or None if the call has no owner."""
        found = self._item(_key(name)) or self._item(_older_key(name))
        if found is None:
            return None
        data = from_attribute(found["data"])
        return Owner(data["token"], data.get("workspace"))

    def adopting(self, name: CallName, owner: Owner, policy_ends_at: datetime) -> Write:
        """Return the write that records the owner of an adopted call.

        The write fails if the call has an owner.
        """
        return self._put(name, owner, policy_ends_at + ADOPTED_KEPT, FREE)

    def placing(self, name: CallName, attempt: Attempt, expires_at: datetime) -> Write:
        """Return the write that makes an attempt the owner of a call.

        The write fails if another attempt owns the call.
        """
        return self._put(name, Owner(attempt.token), expires_at, f"{FREE} OR #data.#token = :token", attempt.token)

    def own(self, name: CallName, attempt: Attempt, expires_at: datetime) -> bool:
        """Make an attempt the owner of a call. Return False if another attempt owns it."""
        return not transact(self._dynamodb, (), {"owner": self.placing(name, attempt, expires_at)})

    def take_over(self, name: CallName, attempt: Attempt, expires_at: datetime, seen: Owner) -> bool:
        """Make an attempt the owner of a call in place of the owner that was read.

        Returns False if the owner has changed meanwhile.
        """
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
    """Return the key of the owner of a call.

    The key has no account, because each provider's call ids are unique over all its accounts. So Redial finds the
    owners of its calls also after a change of the account.
    """
    return items.key(f"PLACED#{name.provider}#{name.id}", "PLACED")


def _older_key(name: CallName) -> items.Item:
    return items.key(f"ADOPTED#{name.provider}#{name.account}#{name.id}", "ADOPTED")
