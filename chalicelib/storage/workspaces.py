"""The settings of a workspace: its retention, and its limits on calls and on cost."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from chalicelib.domain.limits import NO_LIMITS, Limits
from chalicelib.storage import items
from chalicelib.storage.codec import from_attribute, to_attribute, to_item
from chalicelib.storage.query import query_items
from chalicelib.storage.reading import read_each

#: A process uses the settings that it has read for this long.
CACHED = timedelta(minutes=1)
#: A process keeps the settings of at most this many workspaces.
MAX_CACHED = 1_000


@dataclass(frozen=True, slots=True)
class Workspace:
    """The settings of a workspace. None means the deployment's default."""

    name: str
    retention_days: int | None = None
    max_concurrent_calls: int | None = None
    calls_per_second: float | None = None
    limits: Limits = NO_LIMITS


class WorkspaceStore:
    """The workspace items of the table, each cached for a minute.

    ``dynamodb`` is a botocore client. ``now`` returns the present time.
    """

    def __init__(self, dynamodb: Any, table: str, now: Callable[[], datetime]) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._now = now
        self._cached: dict[str, tuple[datetime, Workspace]] = {}

    def load(self, name: str) -> Workspace:
        """Return a workspace's settings, at most a minute old.

        A workspace without stored settings has the defaults.
        """
        now = self._now()
        read_at, cached = self._cached.get(name, (None, None))
        if read_at is not None and cached is not None and now - read_at < CACHED:
            return cached
        found = self._dynamodb.get_item(TableName=self._table, Key=_key(name))
        workspace = _read(found["Item"]) if "Item" in found else Workspace(name)
        if len(self._cached) >= MAX_CACHED:
            self._cached.clear()
        self._cached[name] = now, workspace
        return workspace

    def put(self, workspace: Workspace) -> None:
        """Replace a workspace's settings. Other processes use them within a minute."""
        plain = asdict(workspace)
        data = {name: value for name, value in {**plain, **plain["limits"]}.items() if name not in ("name", "limits")}
        item = _key(workspace.name) | {"data": to_attribute(data)}
        item |= to_item({"history_pk": "WORKSPACES", "history_sk": workspace.name})
        self._dynamodb.put_item(TableName=self._table, Item=item)
        self._cached.pop(workspace.name, None)

    def all(self) -> Iterator[Workspace]:
        """Yield every workspace that has stored settings, sorted by name."""
        listed = query_items(
            self._dynamodb,
            TableName=self._table,
            IndexName=items.HISTORY_INDEX,
            KeyConditionExpression="history_pk = :workspaces",
            ExpressionAttributeValues={":workspaces": {"S": "WORKSPACES"}},
        )
        names = (str(entry["history_sk"]["S"]) for entry in listed)
        yield from read_each(names, self.load, lambda name: f"workspace {name}")


def _key(name: str) -> items.Item:
    return items.key(f"WORKSPACE#{name}", "WORKSPACE")


def _read(item: items.Item) -> Workspace:
    data = from_attribute(item["data"])
    name = item["pk"]["S"].removeprefix("WORKSPACE#")
    rate, allow = data.get("calls_per_second"), data.get("allow")
    return Workspace(
        name,
        data.get("retention_days"),
        data.get("max_concurrent_calls"),
        None if rate is None else float(rate),
        Limits(None if allow is None else tuple(allow), data.get("daily_dials"), data.get("daily_minutes")),
    )
