"""Gates that dialling passes: closed, no attempt behind them can be claimed.

A gate stands before everything, before a workspace, or before one provider account. It is closed while its item is
there, a pause with an end only until then. Every claim checks its gates inside its own transaction, so of a claim and
a closing gate the one that commits first wins. Transactions that check the same item get in each other's way, so each
gate has copies, and a claim checks the copy that its call's id falls to.

The copies are written one by one, for a transaction over all of them meets every claim that is under way. Who looks at
the gates before a claim reads the gate's own item. It is written first when a gate closes and last when it opens, so a
change that was cut short leaves a gate that still holds. Whoever has written copies reads the item once more, and
writes them again where somebody has changed it meanwhile.

Nobody opens a gate because it looked over: the claim's own check passes a pause that is over, and a pause that was
extended meanwhile fails it. Whoever opens or changes a gate for another reason than a user's word does so on condition
that it is the very gate that was read.
"""

import zlib
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

#: At 278 claims a second one try in twelve of a claim meets another one's (docs/decisions/0007).
COPIES = 64
#: A copy that is written meets the claims that check it, and must get through all the same.
CLOSE_TRIES = 40
EVERYTHING = "everything"
#: The item of a pause that is over is of no more use; DynamoDB may remove it.
OVER_KEPT = timedelta(days=1)


class Closed(StrEnum):
    """Who closed a gate."""

    BY_HAND = "by-hand"
    BY_BREAKER = "by-breaker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A closed gate. One that the breaker closed lets a single attempt through, as a probe, from ``until`` on.

    ``trips`` counts how often in a row the breaker had to close it. ``probe`` is the id of the attempt that may pass.
    """

    scope: str
    closed: Closed
    reason: str
    closed_at: datetime
    until: datetime | None = None
    trips: int = 1
    probe: str | None = None

    def is_over(self, now: datetime) -> bool:
        """True for a pause that was to last until a time that has come."""
        return self.closed is Closed.BY_HAND and self.until is not None and self.until <= now


def workspace_scope(workspace: str) -> str:
    return f"workspace:{workspace}"


def account_scope(account: str) -> str:
    return f"account:{account}"


def scopes_of(call: Call) -> list[str]:
    """The gates that a call's attempts pass, the widest first."""
    return [EVERYTHING, workspace_scope(call.workspace), account_scope(call.account)]


class GateStore:
    """The gate items of the table."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def closed(self, scopes: list[str]) -> list[Gate]:
        """Those of the gates that are closed, in the order given, as last committed. Raises TooBusy."""
        gates = map(_read, get_items(self._dynamodb, self._table, [_key(scope) for scope in scopes]))
        found = {gate.scope: gate for gate in gates}
        return [found[scope] for scope in scopes if scope in found]

    def checks(self, call: Call, probed: Gate | None, attempt_id: str, now: datetime) -> list[Write]:
        """The writes that make a claim fail unless its gates are open, or ``probed`` is open to just this attempt."""
        probing = probed.scope if probed else None
        copy = f"{zlib.crc32(call.id.encode()) % COPIES:02d}"
        checks = [self._open(_key(scope, copy), now) for scope in scopes_of(call) if scope != probing]
        return [*checks, self._held_open(probing, attempt_id)] if probing else checks

    def close(self, gate: Gate) -> None:
        """Close a gate, or change one that is closed. Once this returns no claim behind it commits. Raises TooBusy."""
        self._write(self._put(_items(gate)[0]))
        self._settle(gate.scope, gate)

    def close_instead_of(self, seen: Gate | None, gate: Gate) -> bool:
        """Close a gate in the place of the one that was read; False where somebody closed or opened it meanwhile.

        Raises TooBusy.
        """
        if not self._written(self._put(_items(gate)[0], seen)):
            return False
        self._settle(gate.scope, gate)
        return True

    def open(self, scope: str) -> None:
        """Open a gate again, whoever closed it; nothing happens where it is open. Raises TooBusy."""
        self._write_copies(scope, None)
        self._write(self._delete(_key(scope)))
        self._settle_if_closed(scope)

    def open_if_still(self, seen: Gate) -> bool:
        """Open the very gate that was read; False where somebody closed or opened it meanwhile. Raises TooBusy."""
        now = self._read(seen.scope)
        if now is None or _data(now) != _data(seen):
            return False
        self._write_copies(seen.scope, None)
        opened = self._written(self._delete(_key(seen.scope), seen))
        self._settle_if_closed(seen.scope)
        return opened

    def _settle(self, scope: str, gate: Gate | None) -> None:
        """Write the copies of a gate until they say what its own item says."""
        while True:
            self._write_copies(scope, gate)
            now = self._read(scope)
            if (now and _data(now)) == (gate and _data(gate)):
                return
            gate = now

    def _settle_if_closed(self, scope: str) -> None:
        """Write the copies again of a gate that somebody closed while it was opened."""
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

    def _written(self, write: Write) -> bool:
        """Make a write; False where its condition failed."""
        try:
            self._write(write)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def begin_probe(self, gate: Gate, attempt_id: str, until: datetime, now: datetime) -> bool:
        """Take the right to be the one attempt that passes; False where another has it."""
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

    def _open(self, key: items.Item, now: datetime) -> Write:
        return {
            "ConditionCheck": {
                "TableName": self._table,
                "Key": key,
                "ConditionExpression": "attribute_not_exists(pk) OR over_at <= :now",
                "ExpressionAttributeValues": {":now": to_attribute(_micros(now))},
            }
        }

    def _held_open(self, scope: str, attempt_id: str) -> Write:
        return {
            "ConditionCheck": {
                "TableName": self._table,
                "Key": _key(scope),
                "ConditionExpression": "probe = :attempt",
                "ExpressionAttributeValues": {":attempt": to_attribute(attempt_id)},
            }
        }

    def _put(self, item: items.Item, *seen: Gate | None) -> Write:
        return {"Put": {"TableName": self._table, "Item": item, **_still(*seen)}}

    def _delete(self, key: items.Item, *seen: Gate | None) -> Write:
        return {"Delete": {"TableName": self._table, "Key": key, **_still(*seen)}}


def _still(*seen: Gate | None) -> dict[str, Any]:
    """The condition that a gate is the one that was read (None: an open one); none where nothing is given."""
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
    """The keys of a gate and of its copies."""
    return [_key(scope), *(_key(scope, f"{copy:02d}") for copy in range(COPIES))]


def _key(scope: str, copy: str = "GATE") -> items.Item:
    return items.key(f"GATE#{scope}", copy)


def _items(gate: Gate) -> list[items.Item]:
    """The items of a closed gate: the gate, then its copies."""
    over: items.Item = {}
    if gate.closed is Closed.BY_HAND and gate.until is not None:
        over = to_item({"over_at": _micros(gate.until), "expires_at": items.epoch(gate.until + OVER_KEPT)})
    first, *copies = _keys(gate.scope)
    return [first | over | {"data": to_attribute(_data(gate))}, *(copy | over for copy in copies)]


def _data(gate: Gate) -> dict[str, Any]:
    return {
        "closed": gate.closed,
        "reason": gate.reason,
        "closed_at": gate.closed_at.isoformat(),
        "until": gate.until.isoformat() if gate.until else None,
        "trips": gate.trips,
    }


def _micros(at: datetime) -> int:
    """Microseconds since 1970: as fine as our own times, so that a pause is over for its check when it is for us."""
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
