"""The call history of a workspace, newest first.

Each attempt has one entry, together with its call.
"""

import base64
import json
import re
from dataclasses import dataclass
from typing import Any

from chalicelib.domain.call import Attempt, Call
from chalicelib.errors import FieldError, Invalid
from chalicelib.storage import items
from chalicelib.storage.batch import get_items
from chalicelib.storage.items import Item
from chalicelib.storage.reading import read_each
from chalicelib.storage.retention import Retention

#: A page has at most this many entries. An entry needs two keys, its attempt and its call, and one BatchGetItem takes
#: at most 100 keys.
MAX_ENTRIES = 50
#: The names in a cursor, each with the pattern of its values.
CURSOR = {
    "pk": re.compile(r"CALL#call_[0-9a-z]{1,64}"),
    "sk": re.compile(r"CALL|ATTEMPT#[0-9]{4,6}"),
    "history_sk": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{15}Z#call_[0-9a-z]{1,64}(#[0-9]{4,6})?"),
}
MAX_CURSOR_CHARS = 2048


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the history.

    A call that was never dialled has one entry without an attempt.
    """

    call: Call
    attempt: Attempt | None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the history.

    ``cursor`` is the cursor of the next page. ``unreadable`` has the ids of the entries that cannot be read, which the
    page leaves out.
    """

    entries: list[Entry]
    cursor: str | None
    unreadable: list[str]


class HistoryStore:
    """The history index of the table. The index is a moment behind the table."""

    def __init__(self, dynamodb: Any, table: str, retention: Retention) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._retention = retention

    def page(self, workspace: str, limit: int, cursor: str | None) -> Page:
        """Return at most ``limit`` entries, and at most MAX_ENTRIES.

        The page has a cursor if there may be more entries. Raises Invalid if ``cursor`` is not a cursor of this
        workspace's history, and TooBusy if the table is throttled.
        """
        query: dict[str, Any] = {
            "TableName": self._table,
            "IndexName": items.HISTORY_INDEX,
            "KeyConditionExpression": "history_pk = :workspace",
            "ExpressionAttributeValues": {":workspace": {"S": f"WS#{workspace}"}},
            "ScanIndexForward": False,
            "Limit": min(limit, MAX_ENTRIES),
        }
        if cursor is not None:
            query["ExclusiveStartKey"] = _read_cursor(cursor, workspace)
        page = self._dynamodb.query(**query)
        found = self._fetch(page["Items"])
        unreadable: list[str] = []
        read = read_each(page["Items"], lambda key: _entry(key, found), _entry_id, unreadable.append)
        entries = [entry for entry in read if entry is not None]
        last = page.get("LastEvaluatedKey")
        return Page(entries, _write_cursor(last) if last else None, unreadable)

    def _fetch(self, keys: list[Item]) -> dict[tuple[str, str], Item]:
        wanted = {(k["pk"]["S"], k["sk"]["S"]) for k in keys} | {(k["pk"]["S"], "CALL") for k in keys}
        found = get_items(self._dynamodb, self._table, [items.key(*pair) for pair in sorted(wanted)])
        return {(i["pk"]["S"], i["sk"]["S"]): i for i in found if not self._retention.is_over(i)}


def _entry(key: Item, found: dict[tuple[str, str], Item]) -> Entry | None:
    pk, sk = key["pk"]["S"], key["sk"]["S"]
    call, item = found.get((pk, "CALL")), found.get((pk, sk))
    if call is None or item is None:
        return None  # taken back since the index was written, or expired
    return Entry(items.read_call(call), None if sk == "CALL" else items.read_attempt(item))


def _entry_id(key: Item) -> str:
    """Return the id of an entry's attempt, or of its call if it has no attempt."""
    call_id, _, attempt = key["history_sk"]["S"].partition("#")[2].partition("#")
    return f"{call_id}-{int(attempt)}" if attempt else call_id


def _write_cursor(key: Item) -> str:
    plain = {name: attribute["S"] for name, attribute in key.items()}
    return base64.urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip("=")


def _read_cursor(cursor: str, workspace: str) -> Item:
    plain = _decoded(cursor) if len(cursor) <= MAX_CURSOR_CHARS else {}
    ours = all(pattern.fullmatch(str(plain.get(name))) for name, pattern in CURSOR.items())
    if not ours or plain.get("history_pk") != f"WS#{workspace}":
        raise Invalid([FieldError("/cursor", "not a cursor of this list; start without one")])
    return {name: {"S": str(plain[name])} for name in ("history_pk", *CURSOR)}


def _decoded(cursor: str) -> dict[str, Any]:
    try:
        plain = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, RecursionError):
        return {}
    return plain if isinstance(plain, dict) else {}
