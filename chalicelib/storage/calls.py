"""Calls and attempts in DynamoDB: every change one conditional transaction on what it was computed from."""

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.domain.call import Attempt, AttemptPhase, CallRecord, CallState
from chalicelib.domain.events import CallEvent, Progress
from chalicelib.domain.lifecycle import Transition
from chalicelib.errors import TooBusy
from chalicelib.storage import items
from chalicelib.storage.codec import from_attribute, to_attribute
from chalicelib.storage.items import Item
from chalicelib.storage.query import query_items, query_pages

#: Two transactions that meet on one item cancel each other; the loser tries again after a moment.
CONFLICT_TRIES = 6


#: One write of a transaction, as botocore takes it
Write = dict[str, Any]


class StaleWrite(Exception):
    """Somebody changed the record first: load it again and compute anew."""


class IdempotencyKeyUsed(Exception):
    """A call was already made under this Idempotency-Key; ``stored`` says which and by what request."""

    def __init__(self, stored: dict[str, Any]) -> None:
        super().__init__("this Idempotency-Key was used before")
        self.stored = stored


class Noted(StrEnum):
    """What became of a progress event."""

    NOTED = "noted"
    KEPT = "kept"
    NO_SUCH_ATTEMPT = "no-such-attempt"
    NOTHING_NEW = "nothing-new"
    AFTER_THE_END = "after-the-end"


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A workspace's Idempotency-Key and a hash of the request that it came with."""

    workspace: str
    key: str
    request_hash: str
    expires_at: datetime


class CallStore:
    """The table, as far as calls go. ``dynamodb`` is a botocore client."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def load(self, call_id: str) -> CallRecord | None:
        """A call with its attempts, as last committed; None where there is none."""
        found = list(
            query_items(
                self._dynamodb,
                TableName=self._table,
                ConsistentRead=True,
                KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
                ExpressionAttributeValues={
                    ":pk": {"S": f"CALL#{call_id}"},
                    ":first": {"S": "ATTEMPT#"},
                    ":last": {"S": "CALL"},
                },
            )
        )
        if not found or found[-1]["sk"]["S"] != "CALL":
            return None
        return CallRecord(items.read_call(found[-1]), tuple(items.read_attempt(i) for i in found[:-1]))

    def create(
        self, transition: Transition, idempotency: Idempotency | None = None, also: Sequence[Write] = ()
    ) -> None:
        """Write a new call, claimed or scheduled, and ``also`` what belongs to it.

        Raises IdempotencyKeyUsed, or StaleWrite where a condition of ``also`` failed; nothing is written then.
        """
        call = transition.call
        writes = [self._put(items.call_item(call), "attribute_not_exists(pk)")]
        writes += [*self._attempt_writes(transition), *self._trail(transition), *also]
        if idempotency is not None:
            item = items.key(f"IDEMPOTENCY#{idempotency.workspace}#{idempotency.key}", "IDEMPOTENCY")
            item["expires_at"] = to_attribute(items.epoch(idempotency.expires_at))
            item["data"] = to_attribute({"call_id": call.id, "request_hash": idempotency.request_hash})
            writes.append(self._put(item, "attribute_not_exists(pk)"))
        try:
            self._transact(writes)
        except _Canceled as canceled:
            stored = canceled.items[-1] if idempotency is not None else None
            if stored is not None:
                raise IdempotencyKeyUsed(from_attribute(stored["data"])) from canceled
            raise StaleWrite(call.id) from canceled

    def commit(self, transition: Transition, also: Sequence[Write] = ()) -> None:
        """Write a transition, and ``also`` what belongs to it, if nothing has changed since its ``before``.

        Raises StaleWrite, TooBusy.
        """
        before = transition.before.call
        same_version = {":version": to_attribute(before.version)}
        writes = [self._put(items.call_item(transition.call), "#data.version = :version", same_version)]
        try:
            self._transact([*writes, *self._attempt_writes(transition), *self._trail(transition), *also])
        except _Canceled as canceled:
            raise StaleWrite(before.id) from canceled

    def note(self, call_id: str, number: int, token: str, event: CallEvent, at: datetime) -> Noted:
        """Write a progress or AMD event in one request, without reading first.

        Only news is written: a progress that outranks what is there, or a first AMD result, of a live attempt.
        An event that says neither (a word we do not know) is kept as evidence and changes nothing.
        """
        if event.progress is None and event.amd is None:
            return self._keep(call_id, number, token, event, at)
        attempt = self._note_on_attempt(call_id, number, token, event, at)
        writes = [attempt, self._put(items.event_item(call_id, number, event, at))]
        if event.progress is Progress.IN_PROGRESS:
            writes.append(self._note_answered(call_id, number))
        try:
            self._transact(writes)
        except _Canceled as canceled:
            if canceled.codes[0] != "ConditionalCheckFailed":
                # The call moved on (a cancel, say) while its attempt lives: the attempt is noted by itself.
                return self._note_alone(attempt)
            return _why_not_noted(canceled.items[0], token, event)
        return Noted.NOTED

    def _note_alone(self, attempt: Write) -> Noted:
        try:
            self._transact([attempt])
        except _Canceled:
            return Noted.NOTHING_NEW  # it has ended meanwhile
        return Noted.NOTED

    def _keep(self, call_id: str, number: int, token: str, event: CallEvent, at: datetime) -> Noted:
        named = {
            "TableName": self._table,
            "Key": items.attempt_key(call_id, number),
            "ConditionExpression": "#data.#token = :token",
            "ExpressionAttributeNames": {"#data": "data", "#token": "token"},
            "ExpressionAttributeValues": {":token": to_attribute(token)},
        }
        try:
            self._transact([{"ConditionCheck": named}, self._put(items.event_item(call_id, number, event, at))])
        except _Canceled:
            return Noted.NO_SUCH_ATTEMPT
        return Noted.KEPT

    def _note_on_attempt(self, call_id: str, number: int, token: str, event: CallEvent, at: datetime) -> dict[str, Any]:
        ours = "#data.#token = :token"
        lives = "attribute_not_exists(#data.outcome)"
        same_leg = "(attribute_not_exists(#data.provider_call_id) OR #data.provider_call_id = :sid)"
        sets = [
            "#data.provider_call_id = :sid",
            "#data.phase = :placed",
            "#data.version = #data.version + :one",
        ]
        values: dict[str, Any] = {
            ":token": token,
            ":sid": event.provider_call_id,
            ":placed": AttemptPhase.PLACED,
            ":one": 1,
        }
        if event.progress is not None:
            news = "#data.progress_rank < :rank"
            sets += ["#data.progress = :progress", "#data.progress_rank = :rank"]
            values |= {":progress": event.progress, ":rank": event.progress.rank}
            if event.progress is Progress.IN_PROGRESS:
                sets.append("#data.answered_at = :at")
                values[":at"] = (event.occurred_at or at).isoformat()
        else:
            news = "attribute_not_exists(#data.amd)"
            sets.append("#data.amd = :amd")
            values[":amd"] = event.amd or ""
        return {
            "Update": {
                "TableName": self._table,
                "Key": items.attempt_key(call_id, number),
                "UpdateExpression": "SET " + ", ".join(sets),
                "ConditionExpression": f"{ours} AND {lives} AND {same_leg} AND {news}",
                "ExpressionAttributeNames": {"#data": "data", "#token": "token"},
                "ExpressionAttributeValues": {name: to_attribute(v) for name, v in values.items()},
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }

    def _note_answered(self, call_id: str, number: int) -> dict[str, Any]:
        return {
            "Update": {
                "TableName": self._table,
                "Key": items.call_key(call_id),
                "UpdateExpression": "SET #data.#state = :answered, #data.version = #data.version + :one",
                "ConditionExpression": "#data.attempt = :number AND #data.#state = :dialing",
                "ExpressionAttributeNames": {"#data": "data", "#state": "state"},
                "ExpressionAttributeValues": {
                    ":answered": to_attribute(CallState.IN_PROGRESS),
                    ":dialing": to_attribute(CallState.DIALING),
                    ":number": to_attribute(number),
                    ":one": to_attribute(1),
                },
            }
        }

    def record_placement(
        self,
        attempt: Attempt,
        phase: AttemptPhase,
        provider_call_id: str | None,
        cause: str | None,
        also: Sequence[Write] = (),
    ) -> bool:
        """Write how the provider answered our request. False where a callback or the sweep was there first."""
        still_asking = "#data.phase = :dialing"
        sets = ["#data.phase = :phase", "#data.version = #data.version + :one"]
        values: dict[str, Any] = {":dialing": AttemptPhase.DIALING, ":phase": phase, ":one": 1}
        for name, value in (("provider_call_id", provider_call_id), ("cause", cause)):
            if value is not None:
                sets.append(f"#data.{name} = :{name}")
                values[f":{name}"] = value
        update = {
            "TableName": self._table,
            "Key": items.attempt_key(attempt.call_id, attempt.number),
            "UpdateExpression": "SET " + ", ".join(sets),
            "ConditionExpression": still_asking,
            "ExpressionAttributeNames": {"#data": "data"},
            "ExpressionAttributeValues": {name: to_attribute(v) for name, v in values.items()},
        }
        try:
            self._transact([{"Update": update}, *also])
        except _Canceled:
            return False
        return True

    def naming(self, attempt: Attempt, provider_call_id: str, expires_at: datetime) -> Write:
        """The write by which an attempt can be found by its provider's id, where callbacks name nothing else."""
        item = _placed_key(attempt.provider, provider_call_id)
        item["data"] = to_attribute({"token": attempt.token})
        item["expires_at"] = to_attribute(items.epoch(expires_at))
        return self._put(item)

    def token_of(self, provider: str, provider_call_id: str) -> str | None:
        """The callback token of the attempt that a provider knows by this id; None where naming() wrote none."""
        found = self._dynamodb.get_item(
            TableName=self._table, Key=_placed_key(provider, provider_call_id), ConsistentRead=True
        ).get("Item")
        return str(from_attribute(found["data"])["token"]) if found else None

    def due(self, kind: str, before: datetime) -> Iterator[list[str]]:
        """Pages of ids of the calls whose retry or deadline (``kind``) is due by ``before``, oldest first a shard.

        The index trails the table by a moment, so what it says must be checked on the call itself.
        """
        for shard in range(items.DUE_SHARDS):
            pages = query_pages(
                self._dynamodb,
                TableName=self._table,
                IndexName=items.DUE_INDEX,
                KeyConditionExpression="due_shard = :shard AND due_at <= :before",
                ExpressionAttributeValues={
                    ":shard": {"S": f"{kind}#{shard}"},
                    ":before": {"N": str(items.epoch(before))},
                },
            )
            for page in pages:
                yield [item["pk"]["S"].removeprefix("CALL#") for item in page]

    def decisions(self, call_id: str) -> list[dict[str, Any]]:
        """Every decision about a call, in order: reason, steps, attempt, at, retry_at, due_at, summary_status."""
        found = query_items(
            self._dynamodb,
            TableName=self._table,
            ConsistentRead=True,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :decision)",
            ExpressionAttributeValues={":pk": {"S": f"CALL#{call_id}"}, ":decision": {"S": "DECISION#"}},
        )
        return [from_attribute(item["data"]) for item in found]

    def _put(self, item: Item, condition: str | None = None, values: Item | None = None) -> dict[str, Any]:
        put: dict[str, Any] = {"TableName": self._table, "Item": item}
        if condition:
            put |= {"ConditionExpression": condition, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
        if values:
            put |= {"ExpressionAttributeValues": values, "ExpressionAttributeNames": {"#data": "data"}}
        return {"Put": put}

    def _attempt_writes(self, transition: Transition) -> list[dict[str, Any]]:
        attempt = transition.attempt
        if attempt is None:
            return []
        stored = transition.before.attempt(attempt.number)
        if stored is None:
            return [self._put(items.attempt_item(transition.call, attempt), "attribute_not_exists(pk)")]
        same_version = {":version": to_attribute(stored.version)}
        if transition.dropped:
            delete = {
                "TableName": self._table,
                "Key": items.attempt_key(attempt.call_id, attempt.number),
                "ConditionExpression": "#data.version = :version",
                "ExpressionAttributeNames": {"#data": "data"},
                "ExpressionAttributeValues": same_version,
            }
            return [{"Delete": delete}]
        item = items.attempt_item(transition.call, attempt)
        return [self._put(item, "#data.version = :version", same_version)]

    def _trail(self, transition: Transition) -> list[dict[str, Any]]:
        """The evidence of a transition: the event that caused it and the decision that was taken."""
        writes = []
        call, at = transition.call, transition.at
        number = transition.attempt.number if transition.attempt else call.attempt
        if transition.event is not None:
            writes.append(self._put(items.event_item(call.id, number, transition.event, at)))
        if transition.decision is not None:
            writes.append(self._put(items.decision_item(call, number, transition.decision, at)))
        return writes

    def _transact(self, writes: Sequence[dict[str, Any]]) -> None:
        for attempt in range(CONFLICT_TRIES):
            try:
                self._dynamodb.transact_write_items(TransactItems=list(writes))
                return
            except ClientError as error:
                canceled = _Canceled.read(error)
            if "ConditionalCheckFailed" in canceled.codes:
                raise canceled
            time.sleep(random.uniform(0, 0.02 * 2**attempt))  # noqa: S311 - jitter, no secret
        raise TooBusy("others keep changing the same call; try again in a moment")


class _Canceled(Exception):
    """A canceled transaction: for each write its code and, where asked for, the item that was in the way."""

    def __init__(self, reasons: Sequence[dict[str, Any]]) -> None:
        super().__init__(", ".join(r.get("Code", "None") for r in reasons))
        self.codes = [r.get("Code", "None") for r in reasons]
        self.items: list[Item | None] = [r.get("Item") for r in reasons]

    @classmethod
    def read(cls, error: ClientError) -> "_Canceled":
        """From botocore's error; any other error than a cancellation is raised as it is."""
        response: dict[str, Any] = error.response
        if response["Error"]["Code"] != "TransactionCanceledException":
            raise error
        return cls(response.get("CancellationReasons") or [])


def _placed_key(provider: str, provider_call_id: str) -> Item:
    return items.key(f"PLACED#{provider}#{provider_call_id}", "PLACED")


def _why_not_noted(stored: Item | None, token: str, event: CallEvent) -> Noted:
    if not stored:
        return Noted.NO_SUCH_ATTEMPT
    attempt = items.read_attempt(stored)
    if attempt.token != token:
        return Noted.NO_SUCH_ATTEMPT
    if attempt.outcome is not None and event.amd is not None and attempt.amd is None:
        return Noted.AFTER_THE_END
    return Noted.NOTHING_NEW
