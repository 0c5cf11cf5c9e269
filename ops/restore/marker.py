"""The progress of a restore, as an item of the restored table: RESTORE / RESTORE."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from chalicelib.storage import items
from chalicelib.storage.codec import from_attribute, to_attribute

KEY = items.key("RESTORE", "RESTORE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """A restore of the table ``old`` as ``table`` to the time ``point``.

    ``old`` is None if that table is lost.

    Since ``stopped_at`` nothing is dialled from either table. ``carried_at`` is when the first carrying began that came
    to its end, and ``finished_at`` when the last one ended. Times are UTC.
    """

    table: str
    old: str | None
    point: datetime
    stopped_at: datetime
    carried_at: datetime | None = None
    finished_at: datetime | None = None


def load(dynamodb: Any, table: str) -> Marker | None:
    """Return the marker of a table, or None if no restore made the table.

    A table that was restored from a restored one has the marker of that, too.
    """
    found = dynamodb.get_item(TableName=table, Key=KEY, ConsistentRead=True).get("Item")
    if found is None:
        return None
    data = from_attribute(found["data"])
    if data["table"] != table:
        return None
    times = {name: _at(data.get(name)) for name in ("point", "stopped_at", "carried_at", "finished_at")}
    return Marker(table=table, old=data.get("old"), **times)  # type: ignore[arg-type]


def save(dynamodb: Any, table: str, marker: Marker) -> None:
    """Write the marker of a table over what it was."""
    data = {name: _text(each) for name, each in asdict(marker).items() if each is not None}
    dynamodb.put_item(TableName=table, Item=KEY | {"data": to_attribute(data)})


def _text(value: datetime | str) -> str:
    return value.isoformat() if isinstance(value, datetime) else value


def _at(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
