"""What is known of a phone number in a workspace: its opt-out, and the attempts that were made to it.

Every claim writes the number's item on condition that its version is the one that was read. So two calls to one number
cannot both slip under a cap, and no claim can be committed after an opt-out that has been.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any

from chalicelib.domain.call import Call
from chalicelib.errors import TooBusy
from chalicelib.storage import items
from chalicelib.storage.codec import from_attribute, to_attribute, to_item
from chalicelib.storage.query import query_items
from chalicelib.storage.transact import Canceled, Write, transact

#: As far back as any cap reaches (France counts 30 days), with a day to spare.
MADE_KEPT = timedelta(days=31)
#: A number that is called more often than this in a month has other troubles than the oldest of them being forgotten.
MOST_MADE = 1_000
#: The calls to a number can be found by it until this long after they expire.
CALLS_KEPT = timedelta(days=7)
WRITE_TRIES = 8
#: An opt-out meets every claim of the number that is under way, and must get through all the same.
OPT_OUT_TRIES = 40


@dataclass(frozen=True, slots=True)
class Number:
    """A number as its item says; ``made`` maps an attempt's id (``<call>-<n>``) to when it was made, UTC."""

    workspace: str
    number: str
    version: int = 0
    opted_out_at: datetime | None = None
    opt_out_reason: str | None = None
    made: Mapping[str, datetime] = field(default_factory=dict)

    def made_by_others(self, call_id: str, since: datetime) -> tuple[datetime, ...]:
        """When other calls than this one made attempts, sorted, from ``since`` on."""
        others = (at for key, at in self.made.items() if key.rpartition("-")[0] != call_id and at >= since)
        return tuple(sorted(others))


class NumberStore:
    """The number items of the table."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def load(self, workspace: str, number: str) -> Number:
        """What is known of a number, as last committed; a number never heard of is like any other."""
        found = self._dynamodb.get_item(TableName=self._table, Key=_key(workspace, number), ConsistentRead=True)
        if "Item" not in found:
            return Number(workspace, number)
        data = from_attribute(found["Item"]["data"])
        return Number(
            workspace,
            number,
            version=data["version"],
            opted_out_at=_at(data.get("opted_out_at")),
            opt_out_reason=data.get("opt_out_reason"),
            made={key: _from_millis(at) for key, at in data["made"].items()},
        )

    def adding(self, number: Number, attempt_id: str, at: datetime) -> dict[str, Any]:
        """The write that adds an attempt to a number, for a transaction: it fails if the number has changed."""
        made = {key: was for key, was in number.made.items() if was > at - MADE_KEPT} | {attempt_id: at}
        newest = dict(sorted(made.items(), key=lambda entry: entry[1])[-MOST_MADE:])
        return {"Put": self._put(number, newest, number.opted_out_at, number.opt_out_reason)}

    def taking_back(self, call: Call, attempt_id: str) -> dict[str, Any]:
        """The write that takes an attempt back which the provider surely did not make."""
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

    def naming(self, call: Call) -> dict[str, Any]:
        """The write by which a new call can be found by its number."""
        item = items.key(_partition(call.workspace, call.to_number), f"CALL#{call.id}")
        item["expires_at"] = to_attribute(items.epoch(call.expires_at + CALLS_KEPT))
        return {"Put": {"TableName": self._table, "Item": item}}

    def calls(self, workspace: str, number: str) -> Iterator[str]:
        """The ids of the calls to a number that may still be alive."""
        found = query_items(
            self._dynamodb,
            TableName=self._table,
            ConsistentRead=True,
            KeyConditionExpression="pk = :number AND begins_with(sk, :call)",
            ExpressionAttributeValues={
                ":number": {"S": _partition(workspace, number)},
                ":call": {"S": "CALL#"},
            },
        )
        for item in found:
            yield item["sk"]["S"].removeprefix("CALL#")

    def set_opt_out(self, workspace: str, number: str, at: datetime | None, reason: str | None) -> Number:
        """Write an opt-out, or with ``at`` None take it back. Returns the number as it then is. Raises TooBusy.

        It rests on nothing that a claim changes, so the claims of a busy number cannot keep it waiting.
        """
        for _ in range(WRITE_TRIES):
            known = self.load(workspace, number)
            if (known.opted_out_at is None) == (at is None):
                return known
            try:
                transact(self._dynamodb, [self._opting(known, at, reason)], OPT_OUT_TRIES)
            except Canceled:
                continue  # the number was first heard of in between
        raise TooBusy("others keep opting the number in and out; try again in a moment")

    def _opting(self, known: Number, at: datetime | None, reason: str | None) -> Write:
        if not known.version:
            return {"Put": self._put(known, known.made, at, reason)}
        said = {"opted_out_at": at.isoformat() if at else None, "opt_out_reason": reason}
        sets = [f"#data.{name} = :{name}" for name, value in said.items() if value is not None]
        gone = [f"#data.{name}" for name, value in said.items() if value is None]
        changes = ", ".join(["#data.version = #data.version + :one", *sets])
        return {
            "Update": {
                "TableName": self._table,
                "Key": _key(known.workspace, known.number),
                "UpdateExpression": f"SET {changes}" + (f" REMOVE {', '.join(gone)}" if gone else ""),
                "ConditionExpression": "attribute_exists(pk)",
                "ExpressionAttributeNames": {"#data": "data"},
                "ExpressionAttributeValues": to_item({":one": 1, **{f":{name}": v for name, v in said.items()}}),
            }
        }

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
            "Item": _key(number.workspace, number.number) | {"data": to_attribute(data)},
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


def _at(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _to_millis(at: datetime) -> int:
    # Rounded up: a cap that is taken to clear too early would let one call too many through.
    return ceil(at.timestamp() * 1000)


def _from_millis(millis: int) -> datetime:
    return datetime.fromtimestamp(millis / 1000, UTC)
