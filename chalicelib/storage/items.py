"""The items of the table: their keys, and the conversion of domain values.

    pk                          sk                      what
    CALL#<call>                 CALL                    a call
    CALL#<call>                 ATTEMPT#<nnnn>          an attempt
    CALL#<call>                 EVENT#<nnnn>#<event>    a provider's event that changed something
    CALL#<call>                 DECISION#<nnnnnn>       a decision, numbered by the call's version
    WAKE#<yyyymmdd>             <hh>#<account>          the minutes of an hour: the planned dials, and the armed wakes
    PLACED#<provider>#<id>      PLACED                  the attempt that owns a provider's call: see owners.py
    ADOPTED#<p>#<account>#<id>  ADOPTED                 the same, written by earlier releases
    ADOPTION#<ws>               <policy>                the hash of a policy's adoption token
    ADOPTTOKEN#<hash>           ADOPTTOKEN              the policy of an adoption token
    LEG#<p>#<account>#<id>      LEG                     a call that is inbound or another leg: see adoptions.py
    SESSION#<p>#<account>#<id>  SESSION                 the leg that began a provider's session
    PENDING                     <ws>#<provider>#<id>    a call that the sweep must confirm before its adoption
    PENDINGCOUNT#<ws>           PENDINGCOUNT            how many such calls a workspace has
    UNADOPTED#<ws>              <nnn>                   a callback that led to no adoption
    NUMBER#<ws>#<e164>          NUMBER                  a number's opt-out and its recent attempts
    NUMBER#<ws>#<e164>          CALL#<call>             a call to the number
    ERASED#<ws>#<hash>          ERASED                  an erased number, which must not be called
    POLICIES#<ws>               <name>                  a named policy
    IDEMPOTENCY#<ws>#<hash>     IDEMPOTENCY             the call that a POST with this Idempotency-Key made
    KEY#<sha256>                KEY                     an API key
    WORKSPACE#<ws>              WORKSPACE               the settings of a workspace
    WORKSPACE#<ws>              SALT                    the salt for the hashes of its erased numbers
    SLOTS#<scope>               <nnnnnn>                a taken slot of a concurrency limit
    SLOTS#<scope>               WAITING                 the retries that wait for a slot, with a deadline
    SLOTS#<scope>               LIMIT                   the highest of the large limits that a scope had
    GATE#<scope>                GATE                    a closed gate: nothing is dialled in the scope, and why
    GATE#<scope>                <nn>                    a copy of the gate, which claims check
    RATE#<key>                  RATE                    the token bucket of an API key's requests
    PACE#<scope>                PACE                    the calls of a rate limit in its latest stretch of time
    BUDGET#<ws>#<date>          DIALS#<nn>              a shard of the dials of a day
    BUDGET#<ws>#<date>          MINUTES#<nn>            a shard of the minutes of a day
    HEALTH#<account>            <yyyymmddhhmm>          how an account's provider answered in a minute
    RESTORE                     RESTORE                 how far a restore into this table is (written by ops)

``<ws>`` is a workspace and ``<p>`` a provider. A scope is an account or a workspace; a gate may have the scope
``everything``. Some items are also in an index: ``due`` has the partitions ``<kind>#<shard>``, and ``history`` has
``WS#<ws>`` (attempts and calls), ``KEYS#<ws>`` and ``WORKSPACES``.

An item has the domain value in the map ``data``, and the version of its shape in ``v``. The other attributes are for
DynamoDB: keys, indexes, expiry.
"""

import json
import zlib
from datetime import datetime
from typing import Any

from chalicelib import ids
from chalicelib.domain.call import Attempt, Call, CallState
from chalicelib.domain.decide import Decision
from chalicelib.domain.events import CallEvent
from chalicelib.storage.adapters import adapter
from chalicelib.storage.codec import Attribute, to_item
from chalicelib.storage.versions import Kind, data_of, stored

DUE_INDEX = "due"
HISTORY_INDEX = "history"

#: The due index has this many partitions for each kind of due call, because one takes 1,000 writes a second.
DUE_SHARDS = 8
RETRY = "retry"
FRESH = "fresh"  # a first attempt
DEADLINE = "deadline"


Item = dict[str, Attribute]


def key(pk: str, sk: str) -> Item:
    """Return the key attributes of an item."""
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def call_key(call_id: str) -> Item:
    """Return the key of a call's item."""
    return key(f"CALL#{call_id}", "CALL")


def attempt_key(call_id: str, number: int) -> Item:
    """Return the key of an attempt's item. A call's first attempt has the number 1."""
    return key(f"CALL#{call_id}", f"ATTEMPT#{number:04d}")


def idempotency_key(workspace: str, given: str) -> Item:
    """Return the key of the item that binds an Idempotency-Key to a call.

    It has only a hash of the Idempotency-Key, because some users put phone numbers into these keys.
    """
    return key(f"IDEMPOTENCY#{workspace}#{ids.hashed(given)}", "IDEMPOTENCY")


def shard(call_id: str) -> int:
    """Return the partition of the due index for a call. It never changes."""
    return zlib.crc32(call_id.encode()) % DUE_SHARDS


def epoch(at: datetime) -> int:
    """Return the whole seconds since 1970."""
    return int(at.timestamp())


def as_text(at: datetime) -> str:
    """Return a time in the form in which ``data`` has it."""
    text: str = adapter(datetime).dump_python(at, mode="json")
    return text


def call_item(call: Call) -> Item:
    """Return a call's item.

    While the call waits for a dial or for the end of a dial, the item is in the due index.
    """
    data = adapter(Call).dump_python(call, mode="json")
    # As text, because DynamoDB's numbers and nulls differ from JSON's. So users get exactly the metadata that they
    # sent.
    data["metadata"] = json.dumps(data["metadata"])
    item = call_key(call.id) | stored(Kind.CALL, data)
    if call.state is CallState.SCHEDULED and call.due_at:
        kind = RETRY if call.attempt else FRESH
        item |= to_item({"due_shard": f"{kind}#{shard(call.id)}", "due_at": epoch(call.due_at)})
    elif call.deadline_at:
        item |= to_item({"due_shard": f"{DEADLINE}#{shard(call.id)}", "due_at": epoch(call.deadline_at)})
    if call.attempt == 0:
        # A call without attempts is itself an entry of the history.
        item |= _history(call, call.created_at, call.id)
    return item


def attempt_item(call: Call, attempt: Attempt) -> Item:
    """Return an attempt's item. It is in the workspace's history, by its claim's time."""
    item = attempt_key(call.id, attempt.number)
    item |= stored(Kind.ATTEMPT, adapter(Attempt).dump_python(attempt, mode="json"))
    return item | _history(call, attempt.claimed_at, f"{call.id}#{attempt.number:04d}")


def _history(call: Call, at: datetime, tail: str) -> Item:
    return to_item({"history_pk": f"WS#{call.workspace}", "history_sk": f"{at:%Y-%m-%dT%H:%M:%S.%fZ}#{tail}"})


def event_item(call_id: str, number: int, event: CallEvent, at: datetime) -> Item:
    """Return the item of a provider's event, which Redial keeps as evidence."""
    item = key(f"CALL#{call_id}", f"EVENT#{number:04d}#{event.event_id}")
    data = adapter(CallEvent).dump_python(event, mode="json") | {"received_at": at.isoformat()}
    return item | stored(Kind.EVENT, data)


def decision_item(call: Call, number: int, decision: Decision, at: datetime) -> Item:
    """Return the item of a decision that Redial made after attempt ``number``.

    The item's ``due_at`` is the minute in which the wheel had room for the dial.
    """
    data: dict[str, Any] = adapter(Decision).dump_python(decision, mode="json")
    data |= {
        "attempt": number,
        "at": at.isoformat(),
        "due_at": call.due_at.isoformat() if call.due_at else None,
    }
    return key(f"CALL#{call.id}", f"DECISION#{call.version:06d}") | stored(Kind.DECISION, data)


def read_call(item: Item) -> Call:
    """Read a call from an item of call_item()."""
    data = data_of(Kind.CALL, item)
    data["metadata"] = json.loads(data["metadata"])
    return adapter(Call).validate_python(data)


def read_attempt(item: Item) -> Attempt:
    """Read an attempt from an item of attempt_item()."""
    return adapter(Attempt).validate_python(data_of(Kind.ATTEMPT, item))


def read_decision(item: Item) -> dict[str, Any]:
    """Read a decision from an item of decision_item().

    Raises ValueError or LookupError if the item has another shape.
    """
    data = data_of(Kind.DECISION, item)
    adapter(Decision).validate_python({"summary_status": None, "retry_at": None} | data)
    datetime.fromisoformat(data["at"])
    if data.get("due_at"):
        datetime.fromisoformat(data["due_at"])
    int(data["attempt"])
    return data
