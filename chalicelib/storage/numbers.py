"""The phone numbers of a workspace: the opt-out of a number, and its attempts.

Every claim writes the item of its number. The condition of this write is that the version of the item is the version
that was read. So two calls to one number cannot both pass a cap, and no claim commits after an opt-out.

After the erasure of a number, the table has only a salted hash of the number. The hash says that Redial must not call
the number.
"""

import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any

from botocore.exceptions import ClientError

from chalicelib import ids
from chalicelib.domain.call import Attempt, Call
from chalicelib.errors import TooBusy
from chalicelib.storage import items
from chalicelib.storage.codec import from_attribute, to_attribute, to_item
from chalicelib.storage.query import query_items
from chalicelib.storage.retention import Retention
from chalicelib.storage.transact import Canceled, Write, transact
from chalicelib.storage.versions import Kind, data_of, stored

#: An attempt is kept this long: the longest period of any cap (France counts 30 days), and one more day.
MADE_KEPT = timedelta(days=31)
#: The item keeps at most this many attempts of a month, the newest. Normal numbers get far fewer calls.
MAX_ATTEMPTS_KEPT = 1_000
#: Every call has ended this long after its policy.
ENDED_BY = timedelta(days=7)
#: Redial tries this often to change an opt-out, if another process makes or removes the item meanwhile.
WRITE_TRIES = 8
#: An opt-out conflicts with every claim of the number that is in progress, but it must succeed.
OPT_OUT_TRIES = 40


@dataclass(frozen=True, slots=True)
class Number:
    """A phone number, as its item has it.

    ``dialed_at`` maps an attempt's id (``<call>-<n>``) to the attempt's time in UTC. ``erased_at`` is the time at which
    the number's data was erased. An erased number counts as opted out, and nothing else is known of it.
    """

    workspace: str
    number: str
    version: int = 0
    opted_out_at: datetime | None = None
    opt_out_reason: str | None = None
    dialed_at: Mapping[str, datetime] = field(default_factory=dict)
    erased_at: datetime | None = None

    def dialed_by_others(self, call_id: str, since: datetime) -> tuple[datetime, ...]:
        """Return the times of other calls' attempts from ``since`` on, sorted."""
        others = (at for key, at in self.dialed_at.items() if key.rpartition("-")[0] != call_id and at >= since)
        return tuple(sorted(others))


class NumberStore:
    """The number items of the table. ``dynamodb`` is a botocore client."""

    def __init__(self, dynamodb: Any, table: str, retention: Retention) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._retention = retention
        self._salts: dict[str, bytes] = {}

    def load(self, workspace: str, number: str) -> Number:
        """Return a number, as last committed. An unknown number has the default values."""
        found = self._dynamodb.get_item(TableName=self._table, Key=_key(workspace, number), ConsistentRead=True)
        if "Item" not in found:
            return self._without_item(workspace, number)
        data = data_of(Kind.NUMBER, found["Item"])
        return Number(
            workspace,
            number,
            version=data["version"],
            opted_out_at=_at(data.get("opted_out_at")),
            opt_out_reason=data.get("opt_out_reason"),
            dialed_at={key: _from_millis(at) for key, at in data["made"].items()},
        )

    def adding(self, number: Number, attempt_id: str, at: datetime) -> dict[str, Any]:
        """Return the write that adds an attempt to a number.

        The write fails if the number has changed since it was read.
        """
        made = {key: time for key, time in number.dialed_at.items() if time > at - MADE_KEPT} | {attempt_id: at}
        newest = dict(sorted(made.items(), key=lambda entry: entry[1])[-MAX_ATTEMPTS_KEPT:])
        return {"Put": self._put(number, newest, number.opted_out_at, number.opt_out_reason)}

    def taking_back(self, call: Call, attempt_id: str) -> dict[str, Any]:
        """Return the write that removes an attempt from its number.

        The provider has confirmed that it did not make the call.
        """
        return {
            "Update": {
                "TableName": self._table,
                "Key": _key(call.workspace, call.to_number),
                "UpdateExpression": "REMOVE #data.made.#attempt SET #data.version = #data.version + :one",
                "ConditionExpression": "attribute_exists(pk)",
                "ExpressionAttributeNames": {"#data": "data", "#attempt": attempt_id},
                "ExpressionAttributeValues": {":one": to_attribute(1)},
            }
        }

    def counting_again(self, call: Call, attempt: Attempt) -> dict[str, Any]:
        """Return the write that adds a removed attempt to its number again.

        The provider has made the call after all.
        """
        return {
            "Update": {
                "TableName": self._table,
                "Key": _key(call.workspace, call.to_number),
                "UpdateExpression": "SET #data.made.#attempt = :at, #data.version = #data.version + :one",
                "ConditionExpression": "attribute_exists(pk)",
                "ExpressionAttributeNames": {"#data": "data", "#attempt": attempt.id},
                "ExpressionAttributeValues": to_item({":one": 1, ":at": _to_millis(attempt.claimed_at)}),
            }
        }

    def naming(self, call: Call) -> list[dict[str, Any]]:
        """Return the writes that list a new call under its number.

        They fail if the number has been erased meanwhile.
        """
        item = items.key(_partition(call.workspace, call.to_number), f"CALL#{call.id}")
        item |= self._retention.of_trail(call) | to_item({"ends_by": items.epoch(call.expires_at + ENDED_BY)})
        not_erased = {
            "TableName": self._table,
            "Key": self._erased_key(call.workspace, call.to_number),
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        return [{"Put": {"TableName": self._table, "Item": item}}, {"ConditionCheck": not_erased}]

    def calls(self, workspace: str, number: str) -> Iterator[str]:
        """Return the ids of the calls to a number that may not have ended yet."""
        now = self._retention.now()
        return (item["sk"]["S"].removeprefix("CALL#") for item in self._calls(workspace, number) if _alive(item, now))

    def every_call(self, workspace: str, number: str) -> Iterator[str]:
        """Return the ids of all stored calls to a number."""
        return (item["sk"]["S"].removeprefix("CALL#") for item in self._calls(workspace, number))

    def _calls(self, workspace: str, number: str) -> Iterator[items.Item]:
        return query_items(
            self._dynamodb,
            TableName=self._table,
            ConsistentRead=True,
            KeyConditionExpression="pk = :number AND begins_with(sk, :call)",
            ExpressionAttributeValues={
                ":number": {"S": _partition(workspace, number)},
                ":call": {"S": "CALL#"},
            },
        )

    def set_opt_out(self, workspace: str, number: str, at: datetime | None, reason: str | None) -> Number:
        """Write an opt-out or, if ``at`` is None, remove it. Return the number.

        If the number has the wanted state already, this writes nothing. To remove the opt-out of an erased number, this
        removes the number's mark.

        The condition of the write does not depend on anything that a claim changes. So the claims of a busy number do
        not make the write fail. Raises TooBusy if others kept changing the item.
        """
        for _ in range(WRITE_TRIES):
            known = self.load(workspace, number)
            if (known.opted_out_at is None) == (at is None):
                return known
            if known.erased_at is not None:
                self._dynamodb.delete_item(TableName=self._table, Key=self._erased_key(workspace, number))
                return Number(workspace, number)
            try:
                transact(self._dynamodb, [self._opting(known, at, reason)], tries=OPT_OUT_TRIES)
            except Canceled:
                continue  # another process made or removed the number's item meanwhile
        raise TooBusy("others keep opting the number in and out; try again in a moment")

    def _opting(self, known: Number, at: datetime | None, reason: str | None) -> Write:
        if not known.version:
            return {"Put": self._put(known, known.dialed_at, at, reason)}
        fields = {"opted_out_at": at.isoformat() if at else None, "opt_out_reason": reason}
        sets = [f"#data.{name} = :{name}" for name, value in fields.items() if value is not None]
        removes = [f"#data.{name}" for name, value in fields.items() if value is None]
        values = to_item({":one": 1, **{f":{name}": v for name, v in fields.items()}})
        if expiry := _expiry(known.dialed_at, at):
            sets.append("expires_at = :expires_at")
            values[":expires_at"] = expiry["expires_at"]
        else:
            removes.append("expires_at")
        changes = ", ".join(["#data.version = #data.version + :one", *sets])
        return {
            "Update": {
                "TableName": self._table,
                "Key": _key(known.workspace, known.number),
                "UpdateExpression": f"SET {changes}" + (f" REMOVE {', '.join(removes)}" if removes else ""),
                "ConditionExpression": "attribute_exists(pk)",
                "ExpressionAttributeNames": {"#data": "data"},
                "ExpressionAttributeValues": values,
            }
        }

    def mark_erased(self, number: Number, at: datetime) -> datetime:
        """Replace a number's item by the mark of an erased number.

        The mark says that Redial must not call the number. Returns the time of the mark, which is earlier than ``at``
        if the number was erased before. Raises TooBusy.
        """
        if number.erased_at is not None:
            return number.erased_at
        data = {"erased_at": at.isoformat(), "opted_out_at": (number.opted_out_at or at).isoformat()}
        mark = self._erased_key(number.workspace, number.number) | {"data": to_attribute(data)}
        # In one transaction, so that at no moment the opt-out and the mark are both missing.
        transact(
            self._dynamodb,
            [
                {"Put": {"TableName": self._table, "Item": mark}},
                {"Delete": {"TableName": self._table, "Key": _key(number.workspace, number.number)}},
            ],
        )
        return at

    def forget_call(self, workspace: str, number: str, call_id: str) -> None:
        """Remove a call from the list of its number's calls."""
        key = items.key(_partition(workspace, number), f"CALL#{call_id}")
        self._dynamodb.delete_item(TableName=self._table, Key=key)

    def forget(self, workspace: str, number: str) -> None:
        """Remove the number's own item."""
        self._dynamodb.delete_item(TableName=self._table, Key=_key(workspace, number))

    def _without_item(self, workspace: str, number: str) -> Number:
        """Return a number that has no item: it is unknown or erased."""
        key = self._erased_key(workspace, number)
        found = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        if "Item" not in found:
            return Number(workspace, number)
        data = from_attribute(found["Item"]["data"])
        return Number(workspace, number, opted_out_at=_at(data["opted_out_at"]), erased_at=_at(data["erased_at"]))

    def _erased_key(self, workspace: str, number: str) -> items.Item:
        digest = hmac.new(self._salt(workspace), number.encode(), "sha256").hexdigest()
        return items.key(f"ERASED#{workspace}#{digest}", "ERASED")

    def _salt(self, workspace: str) -> bytes:
        """Return the workspace's salt. It is made on first use and never changes.

        Without a salt, an attacker could hash all phone numbers and compare the hashes.
        """
        if workspace not in self._salts:
            key = items.key(f"WORKSPACE#{workspace}", "SALT")
            found = self._dynamodb.get_item(TableName=self._table, Key=key).get("Item")
            stored = found or self._put_once(key | {"data": to_attribute({"salt": ids.new_salt()})})
            self._salts[workspace] = bytes.fromhex(from_attribute(stored["data"])["salt"])
        return self._salts[workspace]

    def _put_once(self, item: items.Item) -> items.Item:
        """Write an item if the table has none with this key. Return the item in the table."""
        try:
            self._dynamodb.put_item(
                TableName=self._table,
                Item=item,
                ConditionExpression="attribute_not_exists(pk)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return dict(error.response["Item"])
        return item

    def _put(
        self, number: Number, made: Mapping[str, datetime], opted_out_at: datetime | None, reason: str | None
    ) -> dict[str, Any]:
        data = {
            "version": number.version + 1,
            "made": {key: _to_millis(at) for key, at in made.items()},
            "opted_out_at": opted_out_at.isoformat() if opted_out_at else None,
            "opt_out_reason": reason,
        }
        unchanged = "#data.version = :version" if number.version else "attribute_not_exists(pk)"
        put: dict[str, Any] = {
            "TableName": self._table,
            "Item": _key(number.workspace, number.number) | stored(Kind.NUMBER, data) | _expiry(made, opted_out_at),
            "ConditionExpression": unchanged,
        }
        if number.version:
            put["ExpressionAttributeNames"] = {"#data": "data"}
            put["ExpressionAttributeValues"] = {":version": to_attribute(number.version)}
        return put


def _partition(workspace: str, number: str) -> str:
    return f"NUMBER#{workspace}#{number}"


def _key(workspace: str, number: str) -> items.Item:
    return items.key(_partition(workspace, number), "NUMBER")


def _alive(entry: items.Item, now: int) -> bool:
    return "ends_by" not in entry or int(entry["ends_by"]["N"]) > now


def _expiry(made: Mapping[str, datetime], opted_out_at: datetime | None) -> items.Item:
    """Return the expiry of a number's item, or no attributes if it has no expiry.

    The item of an opted-out number does not expire. Any other item expires when its last attempt is too old for every
    cap.
    """
    if opted_out_at is not None or not made:
        return {}
    return to_item({"expires_at": items.epoch(max(made.values()) + MADE_KEPT)})


def _at(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _to_millis(at: datetime) -> int:
    # Rounded up: if a period of a cap ended too early, Redial would dial one call too many.
    return ceil(at.timestamp() * 1000)


def _from_millis(millis: int) -> datetime:
    return datetime.fromtimestamp(millis / 1000, UTC)
