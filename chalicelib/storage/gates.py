"""The gates of dialling.

While a gate is closed, Redial claims no attempt behind it.

There is a gate for everything, one for each workspace and one for each provider account. A gate is closed while its
item exists. A pause with an end is closed until its end.

Each claim checks its gates in its own transaction. So if a claim and the closing of a gate meet, the one that commits
first wins. Transactions that check the same item conflict. So each gate has copies, and a claim checks one copy, which
the hash of the call's id selects.

The copies are written one by one, because a transaction over all copies would conflict with every claim in progress.
Code that looks at the gates before a claim reads the gate's own item. The own item is written first when a gate closes,
and last when it opens. So an interrupted change leaves the gate closed. After a change of the copies, this module reads
the own item again. If another process has changed the item meanwhile, it writes the copies again.

Redial does not open a gate because its pause has ended: the check of a claim passes a pause that has ended, and fails
for a pause that was extended meanwhile. If Redial itself, not a user, opens or changes a gate, the condition of the
write is that the gate has not changed since it was read.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.domain.call import Call
from chalicelib.storage import items
from chalicelib.storage.batch import get_items
from chalicelib.storage.codec import from_attribute, to_attribute, to_item
from chalicelib.storage.transact import Write, write_alone

#: A gate has this many copies. At 278 claims a second, one try of a claim in twelve conflicts with another claim
#: (docs/decisions/0007).
COPIES = 64
#: The write of a copy conflicts with the claims that check the copy, but it must succeed.
CLOSE_TRIES = 40
#: The scope of the gate before all dials.
EVERYTHING = "everything"
#: DynamoDB removes the item of a pause this long after the end of the pause.
OVER_KEPT = timedelta(days=1)


class Closed(StrEnum):
    """The party that closed a gate: a user, or the circuit breaker."""

    BY_HAND = "by-hand"
    BY_BREAKER = "by-breaker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A closed gate.

    From ``until`` on, a gate that the breaker closed lets one attempt pass, as a probe. ``probe`` is the id of this
    attempt. ``trips`` counts how often in a row the breaker closed the gate.
    """

    scope: str
    closed: Closed
    reason: str
    closed_at: datetime
    until: datetime | None = None
    trips: int = 1
    probe: str | None = None

    def is_over(self, now: datetime) -> bool:
        """Return whether this is a user's pause whose end ``until`` has come."""
        return self.closed is Closed.BY_HAND and self.until is not None and self.until <= now


def workspace_scope(workspace: str) -> str:
    """Return the scope of a workspace's gate."""
    return f"workspace:{workspace}"


def account_scope(account: str) -> str:
    """Return the scope of a provider account's gate."""
    return f"account:{account}"


def scopes_of(call: Call) -> list[str]:
    """Return the scopes of the gates that a call's attempts pass, the widest first."""
    return [EVERYTHING, workspace_scope(call.workspace), account_scope(call.account)]


class GateStore:
    """The gate items of the table. ``dynamodb`` is a botocore client."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def closed(self, scopes: list[str]) -> list[Gate]:
        """Return the closed gates of these scopes, in the given order, as last committed.

        Raises TooBusy if the table is throttled.
        """
        gates, _ = self.closed_and(scopes, [])
        return gates

    def closed_and(self, scopes: list[str], keys: Sequence[items.Item]) -> tuple[list[Gate], list[items.Item]]:
        """Return the closed gates of these scopes, and the items of other keys.

        One request reads both.
        Raises TooBusy if the table is throttled.
        """
        stored = get_items(self._dynamodb, self._table, [*map(_key, scopes), *keys])
        found = {gate.scope: gate for gate in map(_read, filter(_is_gate, stored))}
        others = [item for item in stored if not _is_gate(item)]
        return [found[scope] for scope in scopes if scope in found], others

    def checks(self, call: Call, probed: Gate | None, attempt_id: str, now: datetime) -> list[Write]:
        """Return the writes that make a claim fail if one of its gates is closed.

        ``probed`` is a gate that the attempt passes as a probe: the claim fails if the gate's probe is not this
        attempt.
        """
        probing = probed.scope if probed else None
        copy = f"{zlib.crc32(call.id.encode()) % COPIES:02d}"
        checks = [self._check_open(_key(scope, copy), now) for scope in scopes_of(call) if scope != probing]
        return [*checks, self._check_probe(probing, attempt_id)] if probing else checks

    def close(self, gate: Gate) -> None:
        """Close a gate, or change a closed gate.

        After this returns, no claim behind the gate commits. Raises TooBusy if claims kept conflicting with a write.
        """
        self._write(self._put(_items(gate)[0]))
        self._settle(gate.scope, gate)

    def close_instead_of(self, seen: Gate | None, gate: Gate) -> bool:
        """Close a gate if it is still as it was read.

        ``seen`` is the gate as it was read, or None if it was open. Returns False if another process closed, changed or
        opened the gate meanwhile. Raises TooBusy.
        """
        if not self._try_write(self._put(_items(gate)[0], seen)):
            return False
        self._settle(gate.scope, gate)
        return True

    def open(self, scope: str) -> None:
        """Open a gate, if it is closed, no matter who closed it. Raises TooBusy."""
        self._write_copies(scope, None)
        self._write(self._delete(_key(scope)))
        self._settle_if_closed(scope)

    def open_if_still(self, seen: Gate) -> bool:
        """Open a gate if it is still as it was read.

        Returns False if another process closed, changed or opened the gate meanwhile. Raises TooBusy.
        """
        stored = self._read(seen.scope)
        if stored is None or _data(stored) != _data(seen):
            return False
        self._write_copies(seen.scope, None)
        opened = self._try_write(self._delete(_key(seen.scope), seen))
        self._settle_if_closed(seen.scope)
        return opened

    def _settle(self, scope: str, gate: Gate | None) -> None:
        """Write the copies of a gate until they agree with the gate's own item."""
        while True:
            self._write_copies(scope, gate)
            stored = self._read(scope)
            if (stored and _data(stored)) == (gate and _data(gate)):
                return
            gate = stored

    def _settle_if_closed(self, scope: str) -> None:
        """Write the copies again if another process closed the gate while it was opened."""
        if (gate := self._read(scope)) is not None:
            self._settle(scope, gate)

    def _read(self, scope: str) -> Gate | None:
        return next(iter(self.closed([scope])), None)

    def _write_copies(self, scope: str, gate: Gate | None) -> None:
        copies = _items(gate)[1:] if gate else _keys(scope)[1:]
        for copy in copies:
            self._write(self._put(copy) if gate else self._delete(copy))

    def _write(self, write: Write) -> None:
        ((kind, request),) = write.items()
        send = self._dynamodb.put_item if kind == "Put" else self._dynamodb.delete_item
        write_alone(send, CLOSE_TRIES, **request)

    def _try_write(self, write: Write) -> bool:
        """Make a write. Return False if its condition failed."""
        try:
            self._write(write)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def begin_probe(self, gate: Gate, attempt_id: str, until: datetime, now: datetime) -> bool:
        """Give an attempt the right to pass a closed gate as its probe, until ``until``.

        Returns False if another attempt has the right, or if the gate is open.
        """
        nobody_else = "attribute_not_exists(probe) OR probe = :attempt OR probe_until < :now"
        try:
            self._dynamodb.update_item(
                TableName=self._table,
                Key=_key(gate.scope),
                UpdateExpression="SET probe = :attempt, probe_until = :until",
                ConditionExpression=f"attribute_exists(pk) AND ({nobody_else})",
                ExpressionAttributeValues={
                    ":attempt": to_attribute(attempt_id),
                    ":until": to_attribute(items.epoch(until)),
                    ":now": to_attribute(items.epoch(now)),
                },
            )
        except ClientError as error:
            if error.response["Error"]["Code"] not in (
                "ConditionalCheckFailedException",
                "TransactionConflictException",
            ):
                raise
            return False
        return True

    def _check_open(self, key: items.Item, now: datetime) -> Write:
        return {
            "ConditionCheck": {
                "TableName": self._table,
                "Key": key,
                "ConditionExpression": "attribute_not_exists(pk) OR over_at <= :now",
                "ExpressionAttributeValues": {":now": to_attribute(_micros(now))},
            }
        }

    def _check_probe(self, scope: str, attempt_id: str) -> Write:
        return {
            "ConditionCheck": {
                "TableName": self._table,
                "Key": _key(scope),
                "ConditionExpression": "probe = :attempt",
                "ExpressionAttributeValues": {":attempt": to_attribute(attempt_id)},
            }
        }

    def _put(self, item: items.Item, *seen: Gate | None) -> Write:
        return {"Put": {"TableName": self._table, "Item": item, **_unchanged(*seen)}}

    def _delete(self, key: items.Item, *seen: Gate | None) -> Write:
        return {"Delete": {"TableName": self._table, "Key": key, **_unchanged(*seen)}}


def _unchanged(*seen: Gate | None) -> dict[str, Any]:
    """Return the condition that a gate is as it was read.

    None stands for an open gate. Without an argument there is no condition.
    """
    if not seen:
        return {}
    (gate,) = seen
    if gate is None:
        return {"ConditionExpression": "attribute_not_exists(pk)"}
    return {
        "ConditionExpression": "#data = :seen",
        "ExpressionAttributeNames": {"#data": "data"},
        "ExpressionAttributeValues": {":seen": to_attribute(_data(gate))},
    }


def _keys(scope: str) -> list[items.Item]:
    """Return the keys of a gate and of its copies."""
    return [_key(scope), *(_key(scope, f"{copy:02d}") for copy in range(COPIES))]


def _key(scope: str, copy: str = "GATE") -> items.Item:
    return items.key(f"GATE#{scope}", copy)


def _is_gate(item: items.Item) -> bool:
    pk: str = item["pk"]["S"]
    return pk.startswith("GATE#")


def _items(gate: Gate) -> list[items.Item]:
    """Return the items of a closed gate: its own item, then its copies."""
    end: items.Item = {}
    if gate.closed is Closed.BY_HAND and gate.until is not None:
        end = to_item({"over_at": _micros(gate.until), "expires_at": items.epoch(gate.until + OVER_KEPT)})
    first, *copies = _keys(gate.scope)
    return [first | end | {"data": to_attribute(_data(gate))}, *(copy | end for copy in copies)]


def _data(gate: Gate) -> dict[str, Any]:
    return {
        "closed": gate.closed,
        "reason": gate.reason,
        "closed_at": gate.closed_at.isoformat(),
        "until": gate.until.isoformat() if gate.until else None,
        "trips": gate.trips,
    }


def _micros(at: datetime) -> int:
    """Return the microseconds since 1970.

    This is the resolution of our own times, so DynamoDB and our code agree on the end of a pause.
    """
    return round(at.timestamp() * 1_000_000)


def _read(item: items.Item) -> Gate:
    data = from_attribute(item["data"])
    until = data.get("until")
    return Gate(
        scope=item["pk"]["S"].removeprefix("GATE#"),
        closed=Closed(data["closed"]),
        reason=data["reason"],
        closed_at=datetime.fromisoformat(data["closed_at"]),
        until=datetime.fromisoformat(until) if until else None,
        trips=data["trips"],
        probe=from_attribute(item["probe"]) if "probe" in item else None,
    )
