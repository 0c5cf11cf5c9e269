"""The notes of progress and AMD events on an attempt.

Redial notes an event with one request and does not read the attempt first.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from chalicelib import ids
from chalicelib.domain.call import AttemptPhase, CallState
from chalicelib.domain.events import CallEvent, Progress
from chalicelib.domain.late_callbacks import changes_ended
from chalicelib.errors import NotFound
from chalicelib.storage import items
from chalicelib.storage.codec import to_attribute, to_item
from chalicelib.storage.items import Item
from chalicelib.storage.retention import Retention
from chalicelib.storage.transact import Canceled, Write, transact

#: The condition that an attempt is the one that a callback names. The token alone is not enough: the callback must
#: come to the address of the attempt's own provider, because Redial checked this provider's signature.
OURS = "#data.#token = :token AND #data.#provider = :provider"
#: The names that OURS needs.
NAMES = {"#data": "data", "#token": "token", "#provider": "provider"}


@dataclass(frozen=True, slots=True)
class Named:
    """The attempt that a callback names by its token.

    ``provider`` is the provider whose callback address got the callback.
    """

    provider: str
    call_id: str
    number: int
    token: str

    @classmethod
    def by_token(cls, provider: str, token: str) -> "Named":
        """Return the attempt that a token names.

        Raises NotFound if Redial cannot have made the token.
        """
        named = ids.split_callback_token(token)
        if named is None:
            raise NotFound("unknown callback token")
        return cls(provider, *named, token)


class Noted(StrEnum):
    """The result of noting an event.

    - NOTED: the event is written on its attempt.
    - KEPT: the event has a word that Redial does not know. It is stored only as evidence.
    - NO_SUCH_ATTEMPT: the table has no attempt with this token and provider.
    - NOTHING_NEW: the event adds nothing to the attempt, or it belongs to another leg.
    - AFTER_THE_END: the attempt has ended, and the event changes it.
    """

    NOTED = "noted"
    KEPT = "kept"
    NO_SUCH_ATTEMPT = "no-such-attempt"
    NOTHING_NEW = "nothing-new"
    AFTER_THE_END = "after-the-end"


class NoteStore:
    """The progress and AMD events of the table. ``dynamodb`` is a botocore client."""

    def __init__(self, dynamodb: Any, table: str, retention: Retention) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._retention = retention

    def note(self, named: Named, event: CallEvent, at: datetime) -> Noted:
        """Write a progress or AMD event in one request, without reading first.

        This writes only new facts about a live attempt: a progress that outranks the stored progress, or a first AMD
        result. An event with neither (the provider used a word that Redial does not know) is stored as evidence and
        changes nothing.
        """
        if event.progress is None and event.amd is None:
            return self._keep(named, event, at)
        attempt = self._note_on_attempt(named, event, at)
        # The call's own write is optional: the call may have changed (a cancel, for example) while its attempt lives.
        answered = {"answered": self._note_answered(named)} if event.progress is Progress.IN_PROGRESS else {}
        try:
            transact(self._dynamodb, [attempt, self._evidence(named, event, at)], answered)
        except Canceled as canceled:
            why = _why_not_noted(canceled.item_of(attempt), named, event)
            if why is Noted.NOTHING_NEW and event.progress is not None and event.amd is not None:
                return self.note(named, replace(event, progress=None), at)  # the AMD result may still be new
            return why
        return Noted.NOTED

    def _keep(self, named: Named, event: CallEvent, at: datetime) -> Noted:
        check = {
            "TableName": self._table,
            "Key": items.attempt_key(named.call_id, named.number),
            "ConditionExpression": OURS,
            "ExpressionAttributeNames": NAMES,
            "ExpressionAttributeValues": to_item({":token": named.token, ":provider": named.provider}),
        }
        try:
            transact(self._dynamodb, [{"ConditionCheck": check}, self._evidence(named, event, at)])
        except Canceled:
            return Noted.NO_SUCH_ATTEMPT
        return Noted.KEPT

    def _note_on_attempt(self, named: Named, event: CallEvent, at: datetime) -> Write:
        lives = "attribute_not_exists(#data.outcome)"
        same_leg = "(attribute_not_exists(#data.provider_call_id) OR #data.provider_call_id = :sid)"
        sets = [
            "#data.provider_call_id = :sid",
            "#data.phase = :placed",
            "#data.version = #data.version + :one",
        ]
        values: dict[str, Any] = {
            ":token": named.token,
            ":provider": named.provider,
            ":sid": event.provider_call_id,
            ":placed": AttemptPhase.PLACED,
            ":one": 1,
        }
        if event.progress is not None:
            is_new = "#data.progress_rank < :rank"
            sets += ["#data.progress = :progress", "#data.progress_rank = :rank"]
            values |= {":progress": event.progress, ":rank": event.progress.rank}
            if event.progress is Progress.IN_PROGRESS:
                sets.append("#data.answered_at = :at")
                values[":at"] = (event.occurred_at or at).isoformat()
        else:
            is_new = "attribute_not_exists(#data.amd)"
        if event.amd is not None:
            sets.append("#data.amd = if_not_exists(#data.amd, :amd)")
            values[":amd"] = event.amd
        return {
            "Update": {
                "TableName": self._table,
                "Key": items.attempt_key(named.call_id, named.number),
                "UpdateExpression": "SET " + ", ".join(sets),
                "ConditionExpression": f"{OURS} AND {lives} AND {same_leg} AND {is_new}",
                "ExpressionAttributeNames": NAMES,
                "ExpressionAttributeValues": {name: to_attribute(v) for name, v in values.items()},
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }

    def _note_answered(self, named: Named) -> Write:
        return {
            "Update": {
                "TableName": self._table,
                "Key": items.call_key(named.call_id),
                "UpdateExpression": "SET #data.#state = :answered, #data.version = #data.version + :one",
                "ConditionExpression": "#data.attempt = :number AND #data.#state = :dialing",
                "ExpressionAttributeNames": {"#data": "data", "#state": "state"},
                "ExpressionAttributeValues": {
                    ":answered": to_attribute(CallState.IN_PROGRESS),
                    ":dialing": to_attribute(CallState.DIALING),
                    ":number": to_attribute(named.number),
                    ":one": to_attribute(1),
                },
            }
        }

    def _evidence(self, named: Named, event: CallEvent, at: datetime) -> Write:
        item = items.event_item(named.call_id, named.number, event, at) | self._retention.of_note(at)
        return {"Put": {"TableName": self._table, "Item": item}}


def _why_not_noted(stored: Item | None, named: Named, event: CallEvent) -> Noted:
    if not stored:
        return Noted.NO_SUCH_ATTEMPT
    attempt = items.read_attempt(stored)
    if (attempt.token, attempt.provider) != (named.token, named.provider):
        return Noted.NO_SUCH_ATTEMPT
    if attempt.outcome is not None and changes_ended(attempt, event):
        return Noted.AFTER_THE_END
    return Noted.NOTHING_NEW
