"""The callbacks at adoption addresses whose calls Redial has not adopted.

The sweep has not confirmed the call yet, Redial ignores the call, or it could not adopt the call. The item of an
adopted call is in owners.py.

- ``LEG#...`` records that a call is inbound or another leg, because its later events may not say so.
- ``SESSION#...`` names the leg that began a provider's session. All other legs of the session are its children.
- ``PENDING`` has the callbacks whose calls the sweep still has to confirm.
- ``UNADOPTED#<workspace>`` has the callbacks that led to no adoption, so that the user can look for them.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.domain.events import CallEvent, Leg
from chalicelib.storage import items
from chalicelib.storage.adapters import adapter
from chalicelib.storage.codec import from_attribute, to_attribute
from chalicelib.storage.owners import CallName
from chalicelib.storage.query import query_items
from chalicelib.storage.transact import Canceled, Write, transact

#: A leg's item is kept this long. The longest call and the callbacks after it are over by then.
LEG_KEPT = timedelta(days=2)
#: DynamoDB removes an unconfirmed call after this long. The sweep removes it at an earlier deadline, if a sweep runs.
PENDING_KEPT = timedelta(days=1)
#: The record of a callback that led to no adoption is kept this long.
UNADOPTED_KEPT = timedelta(days=30)
#: A workspace has at most this many unconfirmed calls.
MAX_PENDING_CALLS = 1000
#: An unconfirmed call has at most this many stored callbacks.
MAX_PENDING_EVENTS = 20
#: A workspace has at most this many records of callbacks that led to no adoption. A new record overwrites an older one.
MAX_UNADOPTED = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """An unconfirmed call, with its callbacks.

    The sweep has not confirmed yet that the call is an outgoing call of the user's account.
    """

    workspace: str
    policy_name: str
    name: CallName
    public_url: str
    since: datetime
    next_at: datetime
    events: tuple[CallEvent, ...]


@dataclass(frozen=True, slots=True)
class Unadopted:
    """A callback that led to no adoption, with the reason."""

    at: datetime
    provider: str
    provider_call_id: str
    policy_name: str
    reason: str


class AdoptionStore:
    """The adoption items of the table. ``dynamodb`` is a botocore client."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def remember_leg(self, name: CallName, leg: Leg, now: datetime) -> None:
        """Record that a call is inbound, or a leg of another call."""
        item = _call_key("LEG", name) | _expiring(now + LEG_KEPT) | {"data": to_attribute({"leg": leg})}
        self._dynamodb.put_item(TableName=self._table, Item=item)

    def leg_of(self, name: CallName) -> Leg:
        """Return the recorded leg of a call, or UNKNOWN if no event stated it."""
        data = self._data(_call_key("LEG", name))
        return Leg(data["leg"]) if data else Leg.UNKNOWN

    def open_session(self, session: CallName, call_id: str, leg: Leg, now: datetime) -> None:
        """Record the leg that began a session, unless a leg is recorded.

        An inbound leg replaces an outgoing leg.
        """
        item = _call_key("SESSION", session) | _expiring(now + LEG_KEPT)
        item["data"] = to_attribute({"call": call_id, "leg": leg})
        put: dict[str, Any] = {"TableName": self._table, "Item": item}
        if leg is not Leg.INBOUND:
            put["ConditionExpression"] = "attribute_not_exists(pk)"
        try:
            self._dynamodb.put_item(**put)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise

    def begun_by(self, session: CallName) -> tuple[str, Leg] | None:
        """Return the leg that began a session: the provider's id and the kind of leg.

        Returns None if no leg is recorded.
        """
        data = self._data(_call_key("SESSION", session))
        return (data["call"], Leg(data["leg"])) if data else None

    def keep(self, pending: Pending) -> bool:
        """Store a callback until the sweep has confirmed its call.

        Returns False if there is no room for it. If two first callbacks of a call come at the same time, one makes the
        call's item and the other is added to that item.
        """
        return self._add_event(pending) or self._begin(pending) or self._add_event(pending)

    def _add_event(self, pending: Pending) -> bool:
        """Add a callback to its call's item.

        Returns False if there is no such item, or if it has MAX_PENDING_EVENTS callbacks.
        """
        try:
            self._dynamodb.update_item(
                TableName=self._table,
                Key=_pending_key(pending),
                UpdateExpression="SET #data.events = list_append(#data.events, :new), #data.next_at = :now",
                ConditionExpression="attribute_exists(pk) AND size(#data.events) < :most",
                ExpressionAttributeNames={"#data": "data"},
                ExpressionAttributeValues={
                    ":new": to_attribute([_dumped(event) for event in pending.events]),
                    ":now": to_attribute(pending.next_at.isoformat()),
                    ":most": to_attribute(MAX_PENDING_EVENTS),
                },
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def _begin(self, pending: Pending) -> bool:
        """Store a call's first callback.

        Returns False if the call has an item, or if the workspace has MAX_PENDING_CALLS unconfirmed calls.
        """
        item = _pending_key(pending) | _expiring(pending.since + PENDING_KEPT) | {"data": _pending_data(pending)}
        try:
            transact(self._dynamodb, [self._put(item, "attribute_not_exists(pk)"), self._counting(pending, 1)])
        except Canceled:
            return False
        return True

    def pending(self) -> Iterator[Pending]:
        """Yield every unconfirmed call."""
        found = query_items(
            self._dynamodb,
            TableName=self._table,
            ConsistentRead=True,
            KeyConditionExpression="pk = :pending",
            ExpressionAttributeValues={":pending": {"S": "PENDING"}},
        )
        yield from map(_read_pending, found)

    def postpone(self, pending: Pending, at: datetime) -> None:
        """Postpone the next time at which the sweep asks the provider about the call."""
        self._dynamodb.update_item(
            TableName=self._table,
            Key=_pending_key(pending),
            UpdateExpression="SET #data.next_at = :at",
            ExpressionAttributeNames={"#data": "data"},
            ExpressionAttributeValues={":at": to_attribute(at.isoformat())},
            ConditionExpression="attribute_exists(pk)",
        )

    def remove(self, pending: Pending) -> bool:
        """Remove an unconfirmed call.

        Returns False if another callback of the call came meanwhile. The next sweep handles the call then.
        """
        delete = {
            "TableName": self._table,
            "Key": _pending_key(pending),
            "ConditionExpression": "size(#data.events) = :as_read",
            "ExpressionAttributeNames": {"#data": "data"},
            "ExpressionAttributeValues": {":as_read": to_attribute(len(pending.events))},
        }
        try:
            transact(self._dynamodb, [{"Delete": delete}, self._counting(pending, -1)])
        except Canceled:
            return False
        return True

    def record(self, workspace: str, unadopted: Unadopted) -> None:
        """Record a callback that led to no adoption.

        See UNADOPTED_KEPT and MAX_UNADOPTED for how long and how many.
        """
        slot = zlib.crc32(f"{unadopted.provider}#{unadopted.provider_call_id}".encode()) % MAX_UNADOPTED
        item = items.key(f"UNADOPTED#{workspace}", f"{slot:03d}") | _expiring(unadopted.at + UNADOPTED_KEPT)
        item["data"] = to_attribute(adapter(Unadopted).dump_python(unadopted, mode="json"))
        self._dynamodb.put_item(TableName=self._table, Item=item)

    def unadopted(self, workspace: str) -> list[Unadopted]:
        """Return the workspace's callbacks that led to no adoption, the latest first."""
        found = query_items(
            self._dynamodb,
            TableName=self._table,
            KeyConditionExpression="pk = :unadopted",
            ExpressionAttributeValues={":unadopted": {"S": f"UNADOPTED#{workspace}"}},
        )
        read = (adapter(Unadopted).validate_python(from_attribute(item["data"])) for item in found)
        return sorted(read, key=lambda each: each.at, reverse=True)

    def _data(self, key: items.Item) -> dict[str, Any]:
        found = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        data: dict[str, Any] = from_attribute(found["data"]) if found else {}
        return data

    def _counting(self, pending: Pending, change: int) -> Write:
        """Return the write that changes the count of a workspace's unconfirmed calls.

        The condition of an increase fails if the workspace has MAX_PENDING_CALLS of them.
        """
        update: dict[str, Any] = {
            "TableName": self._table,
            "Key": items.key(f"PENDINGCOUNT#{pending.workspace}", "PENDINGCOUNT"),
            "UpdateExpression": "ADD waiting :change",
            "ExpressionAttributeValues": {":change": to_attribute(change)},
        }
        if change > 0:
            update["ConditionExpression"] = "attribute_not_exists(waiting) OR waiting < :most"
            update["ExpressionAttributeValues"][":most"] = to_attribute(MAX_PENDING_CALLS)
        return {"Update": update}

    def _put(self, item: items.Item, condition: str) -> Write:
        return {"Put": {"TableName": self._table, "Item": item, "ConditionExpression": condition}}


def _call_key(kind: str, name: CallName) -> items.Item:
    return items.key(f"{kind}#{name.provider}#{name.account}#{name.id}", kind)


def _pending_key(pending: Pending) -> items.Item:
    return items.key("PENDING", f"{pending.workspace}#{pending.name.provider}#{pending.name.id}")


def _expiring(at: datetime) -> items.Item:
    return {"expires_at": to_attribute(items.epoch(at))}


def _dumped(event: CallEvent) -> Any:
    return adapter(CallEvent).dump_python(event, mode="json")


def _pending_data(pending: Pending) -> Any:
    return to_attribute(adapter(Pending).dump_python(pending, mode="json"))


def _read_pending(item: items.Item) -> Pending:
    return adapter(Pending).validate_python(from_attribute(item["data"]))
