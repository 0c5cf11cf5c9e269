"""The calls and attempts in DynamoDB.

Every change is one transaction. Its condition is that the records from which the change was computed are unchanged.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.domain.call import Attempt, AttemptPhase, Call, CallRecord
from chalicelib.domain.transition import Transition
from chalicelib.errors import Unreadable
from chalicelib.runtime.log import warn
from chalicelib.storage import items
from chalicelib.storage.codec import from_attribute, to_attribute, to_item
from chalicelib.storage.items import Item
from chalicelib.storage.query import query_items
from chalicelib.storage.reading import UNREADABLE, read_each
from chalicelib.storage.retention import Retention
from chalicelib.storage.transact import (
    Canceled,
    StaleWrite,
    Write,
    suppress_failed_condition,
    transact,
    update,
)

#: Redial tries a call that keeps raising errors again after this long at the latest.
MAX_SET_BACK = timedelta(minutes=10)


class IdempotencyKeyUsed(Exception):
    """A second request with one Idempotency-Key.

    ``stored`` has the ``call_id`` of the first request and its ``request_hash``.
    """

    def __init__(self, stored: dict[str, Any]) -> None:
        super().__init__("this Idempotency-Key was used before")
        self.stored = stored


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A workspace's Idempotency-Key, with a hash of the request that brought the key."""

    workspace: str
    key: str
    request_hash: str
    expires_at: datetime


class CallStore:
    """The call and attempt items of the table. ``dynamodb`` is a botocore client."""

    def __init__(self, dynamodb: Any, table: str, retention: Retention) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._retention = retention

    def load(self, call_id: str) -> CallRecord | None:
        """Return a call with its attempts, as last committed.

        Returns None if the call does not exist or has expired. Raises Unreadable if the data of the call or of an
        attempt cannot be read.
        """
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
        if not found or found[-1]["sk"]["S"] != "CALL" or self._retention.is_over(found[-1]):
            return None
        try:
            return CallRecord(items.read_call(found[-1]), tuple(items.read_attempt(i) for i in found[:-1]))
        except UNREADABLE as error:
            raise Unreadable(call_id) from error

    def create(
        self, transition: Transition, idempotency: Idempotency | None = None, also: Sequence[Write] = ()
    ) -> None:
        """Write a new call, claimed or scheduled, together with the writes in ``also``.

        Raises IdempotencyKeyUsed if a call was made with this key, and StaleWrite if another condition failed, such as
        one in ``also``. Nothing is written then.
        """
        call = transition.call
        writes = [self._put(items.call_item(call) | self._retention.of_call(call), "attribute_not_exists(pk)")]
        writes += [*self._attempt_writes(transition), *self._trail(transition), *also]
        binding = self._binding(call, idempotency) if idempotency else None
        try:
            transact(self._dynamodb, [*writes, binding] if binding else writes)
        except Canceled as canceled:
            stored = canceled.item_of(binding) if binding else None
            if stored is not None:
                raise IdempotencyKeyUsed(from_attribute(stored["data"])) from canceled
            raise StaleWrite(call.id) from canceled

    def _binding(self, call: Call, idempotency: Idempotency) -> Write:
        """Return the write that binds an Idempotency-Key to a new call.

        The write fails if the key is bound already.
        """
        item = items.idempotency_key(idempotency.workspace, idempotency.key)
        item["expires_at"] = to_attribute(items.epoch(idempotency.expires_at))
        item["data"] = to_attribute({"call_id": call.id, "request_hash": idempotency.request_hash})
        not_bound = "attribute_not_exists(pk) OR expires_at <= :now"
        return self._put(item, not_bound, {":now": to_attribute(self._retention.now())})

    def check_unused(self, workspace: str, key: str) -> None:
        """Raise IdempotencyKeyUsed if a call was already made with this key."""
        found = self._dynamodb.get_item(
            TableName=self._table, Key=items.idempotency_key(workspace, key), ConsistentRead=True
        ).get("Item")
        if found is not None and not self._retention.is_over(found):
            raise IdempotencyKeyUsed(from_attribute(found["data"]))

    def commit(
        self, transition: Transition, also: Sequence[Write] = (), optional: Mapping[str, Write] | None = None
    ) -> None:
        """Write a transition together with the writes in ``also``.

        An ``optional`` write is left out if its own condition fails. Raises StaleWrite if the call or the attempt has
        changed since the transition's ``before``, or if a condition in ``also`` failed. Raises TooBusy if other
        transactions kept changing the same items.
        """
        before = transition.before.call
        same_version = {":version": to_attribute(before.version)}
        item = items.call_item(transition.call) | self._retention.of_call(transition.call)
        writes = [self._put(item, "#data.version = :version", same_version)]
        writes += [*self._attempt_writes(transition), *self._trail(transition), *also]
        try:
            transact(self._dynamodb, writes, optional)
        except Canceled as canceled:
            raise StaleWrite(before.id) from canceled
        if self._retention.ends_before_notes(transition.call):
            self._shorten_notes(transition.call)

    def holds(self, transition: Transition) -> bool:
        """Return whether the table has a claim whose commit got no answer.

        It has the claim if the stored attempt has the claim's token.
        """
        claimed = transition.attempt
        record = self.load(transition.call.id)
        stored = record.attempt(claimed.number) if record and claimed else None
        return stored is not None and claimed is not None and stored.token == claimed.token

    def unchanged(self, attempt: Attempt) -> Write:
        """Return the check that an attempt has not changed since it was read."""
        return {
            "ConditionCheck": {
                "TableName": self._table,
                "Key": items.attempt_key(attempt.call_id, attempt.number),
                "ConditionExpression": "#data.version = :version",
                "ExpressionAttributeNames": {"#data": "data"},
                "ExpressionAttributeValues": {":version": to_attribute(attempt.version)},
            }
        }

    def record_placement(
        self,
        attempt: Attempt,
        phase: AttemptPhase,
        provider_call_id: str | None,
        cause: str | None,
        deadline_at: datetime,
        also: Mapping[str, Write] | None = None,
    ) -> frozenset[str]:
        """Write the provider's answer to a create-call request.

        Also write ``deadline_at``, the deadline for the attempt's end.

        Returns the names of the writes that were left out: ``placed`` if a callback or the sweep wrote the attempt
        first, ``waiting`` if the call is canceled or the attempt has ended, and names of ``also``.
        """
        writes = {
            "placed": self._placement(attempt, phase, provider_call_id, cause),
            "waiting": self._waiting(attempt, deadline_at),
            **(also or {}),
        }
        return transact(self._dynamodb, (), writes)

    def _placement(
        self, attempt: Attempt, phase: AttemptPhase, provider_call_id: str | None, cause: str | None
    ) -> Write:
        not_answered_yet = "#data.phase IN (:dialing, :unknown)"
        sets = ["#data.phase = :phase", "#data.version = #data.version + :one"]
        values: dict[str, Any] = {
            ":dialing": AttemptPhase.DIALING,
            ":unknown": AttemptPhase.PLACEMENT_UNKNOWN,
            ":phase": phase,
            ":one": 1,
        }
        for name, value in (("provider_call_id", provider_call_id), ("cause", cause)):
            if value is not None:
                sets.append(f"#data.{name} = :{name}")
                values[f":{name}"] = value
        return {
            "Update": {
                "TableName": self._table,
                "Key": items.attempt_key(attempt.call_id, attempt.number),
                "UpdateExpression": "SET " + ", ".join(sets),
                "ConditionExpression": not_answered_yet,
                "ExpressionAttributeNames": {"#data": "data"},
                "ExpressionAttributeValues": {name: to_attribute(v) for name, v in values.items()},
            }
        }

    def _waiting(self, attempt: Attempt, deadline_at: datetime) -> Write:
        """Return the write that sets the deadline of a call's live attempt.

        The write fails if the call is canceled or the attempt has ended.
        """
        attempt_lives = "#data.attempt = :number AND attribute_exists(#data.deadline_at)"
        not_canceled = "attribute_not_exists(#data.canceled_at)"
        return {
            "Update": {
                "TableName": self._table,
                "Key": items.call_key(attempt.call_id),
                "UpdateExpression": "SET #data.deadline_at = :at, due_at = :due, #data.version = #data.version + :one",
                "ConditionExpression": f"{attempt_lives} AND {not_canceled}",
                "ExpressionAttributeNames": {"#data": "data"},
                "ExpressionAttributeValues": {
                    ":number": to_attribute(attempt.number),
                    ":at": to_attribute(items.as_text(deadline_at)),
                    ":due": to_attribute(items.epoch(deadline_at)),
                    ":one": to_attribute(1),
                },
            }
        }

    def due(self, kind: str, before: datetime) -> Iterator[list[str]]:
        """Yield the ids of the calls that are due by ``before``, the longest due first.

        ``kind`` is RETRY, FRESH or DEADLINE of items.py. Calls with the same due time are in one list. The index is a
        moment behind the table, so the caller must check the call itself.
        """
        shards = [self._due_in(f"{kind}#{shard}", before) for shard in range(items.DUE_SHARDS)]
        for _, same_time in groupby(merge(*shards, key=itemgetter(0)), key=itemgetter(0)):
            yield [call_id for _, call_id in same_time]

    def _due_in(self, shard: str, before: datetime) -> Iterator[tuple[int, str]]:
        found = query_items(
            self._dynamodb,
            TableName=self._table,
            IndexName=items.DUE_INDEX,
            KeyConditionExpression="due_shard = :shard AND due_at <= :before",
            ExpressionAttributeValues={":shard": {"S": shard}, ":before": {"N": str(items.epoch(before))}},
        )
        for item in found:
            yield int(item["due_at"]["N"]), item["pk"]["S"].removeprefix("CALL#")

    def set_back(self, call_id: str, now: datetime) -> None:
        """Move a due call whose handling raised an error behind the other due calls.

        After the first error the call is due again at once, then after 1, 3, 7 ... minutes, at most MAX_SET_BACK. Only
        the due index changes. The call's own due time stays, and the next change of the call writes both. A call that
        is not due in the index stays as it is: the error came after the call was rescheduled, claimed or ended.
        """
        is_due = {
            "TableName": self._table,
            "Key": items.call_key(call_id),
            "ConditionExpression": "attribute_exists(due_shard) AND due_at <= :now",
        }
        values = {":now": items.epoch(now)}
        with suppress_failed_condition():
            counted = update(
                self._dynamodb,
                **is_due,
                UpdateExpression="ADD broken :one",
                ExpressionAttributeValues=to_item(values | {":one": 1}),
                ReturnValues="UPDATED_NEW",
            )
            times = int(from_attribute(counted["Attributes"]["broken"]))
            later = now + min(timedelta(minutes=2 ** min(times - 1, 10) - 1), MAX_SET_BACK)
            update(
                self._dynamodb,
                **is_due,
                UpdateExpression="SET due_at = :later",
                ExpressionAttributeValues=to_item(values | {":later": items.epoch(later)}),
            )

    def move_behind(self, call_id: str, before: datetime) -> None:
        """Move a call behind the other calls that were due by ``before``.

        Only the due index changes. A call that is due later in the index stays as it is.
        """
        with suppress_failed_condition():
            update(
                self._dynamodb,
                TableName=self._table,
                Key=items.call_key(call_id),
                ConditionExpression="attribute_exists(due_shard) AND due_at <= :before",
                UpdateExpression="SET due_at = :before",
                ExpressionAttributeValues=to_item({":before": items.epoch(before)}),
            )

    def decisions(self, call_id: str, skipped: Callable[[str], None] = lambda _: None) -> list[dict[str, Any]]:
        """Return every decision about a call, in order.

        A decision has ``reason``, ``steps``, ``attempt``, ``at``, ``retry_at``, ``due_at`` and ``summary_status``. This
        method calls ``skipped`` with the name of each decision that cannot be read.
        """
        found = self._items_of(call_id, "DECISION#")
        return list(read_each(found, items.read_decision, lambda item: f"{call_id} {item['sk']['S']}", skipped))

    def _put(self, item: Item, condition: str | None = None, values: Item | None = None) -> dict[str, Any]:
        put: dict[str, Any] = {"TableName": self._table, "Item": item}
        if condition:
            put |= {"ConditionExpression": condition, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
        if values:
            put["ExpressionAttributeValues"] = values
        if condition and "#data" in condition:
            put["ExpressionAttributeNames"] = {"#data": "data"}
        return {"Put": put}

    def _attempt_writes(self, transition: Transition) -> list[dict[str, Any]]:
        attempt = transition.attempt
        if attempt is None:
            return []
        stored = transition.before.attempt(attempt.number)
        if stored is None:
            return [self._put(self._attempt_item(transition.call, attempt), "attribute_not_exists(pk)")]
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
        item = self._attempt_item(transition.call, attempt)
        return [self._put(item, "#data.version = :version", same_version)]

    def _attempt_item(self, call: Call, attempt: Attempt) -> Item:
        return items.attempt_item(call, attempt) | self._retention.of_trail(call)

    def _shorten_notes(self, call: Call) -> None:
        """Let the noted events of a final call expire with the call.

        The end of the call was not known when an event was noted.
        """
        expiry = self._retention.of_trail(call)["expires_at"]
        try:
            for item in self._items_of(call.id, "EVENT#"):
                if int(item["expires_at"]["N"]) <= int(expiry["N"]):
                    continue
                self._dynamodb.update_item(
                    TableName=self._table,
                    Key={name: item[name] for name in ("pk", "sk")},
                    UpdateExpression="SET expires_at = :at",
                    ConditionExpression="attribute_exists(pk)",
                    ExpressionAttributeValues={":at": expiry},
                )
        except (ClientError, BotoCoreError) as error:
            # The change itself is written. The noted events keep their expiry, which may be some weeks later.
            warn("events-not-shortened", call=call.id, error=str(error))

    def _items_of(self, call_id: str, kind: str) -> Iterator[Item]:
        return query_items(
            self._dynamodb,
            TableName=self._table,
            ConsistentRead=True,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :kind)",
            ExpressionAttributeValues={":pk": {"S": f"CALL#{call_id}"}, ":kind": {"S": kind}},
        )

    def _trail(self, transition: Transition) -> list[dict[str, Any]]:
        """Return the writes of a transition's evidence: its event and its decision."""
        writes = []
        call, at = transition.call, transition.at
        number = transition.attempt.number if transition.attempt else call.attempt
        if transition.event is not None:
            event = items.event_item(call.id, number, transition.event, at)
            writes.append(self._put(event | self._retention.of_event(call, at)))
        if transition.decision is not None:
            decision = items.decision_item(call, number, transition.decision, at)
            writes.append(self._put(decision | self._retention.of_trail(call)))
        return writes
