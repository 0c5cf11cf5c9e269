"""How long a call and what belongs to it are kept: so many days from its end on, as its workspace says.

DynamoDB deletes what has expired within a few days, so whoever reads treats it as gone before that. A call has no
expiry while it lives. Its attempts, decisions and events, and the entry by which it is found by its number, are
written before its end is known: they are kept from the last moment at which its policy lets it end.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from chalicelib.domain.call import Call, CallState
from chalicelib.storage import items
from chalicelib.storage.codec import to_item
from chalicelib.storage.items import Item
from chalicelib.storage.workspaces import WorkspaceStore

#: The last attempt of a call begins before its policy expires, and has ended within this of that.
LAST_ATTEMPT = timedelta(days=1)
#: A provider's events are kept as evidence for this long at most.
EVENT_KEPT = timedelta(days=90)


class Retention:
    """When items expire. ``default_days`` goes for workspaces that say nothing else, ``now`` is the clock's."""

    def __init__(self, workspaces: WorkspaceStore, default_days: int, now: Callable[[], datetime]) -> None:
        self._workspaces = workspaces
        self._default = timedelta(days=default_days)
        self._now = now

    def of(self, workspace: str) -> timedelta:
        """How long a workspace's calls are kept after their end."""
        days = self._workspaces.load(workspace).retention_days
        return timedelta(days=days) if days is not None else self._default

    def of_call(self, call: Call) -> Item:
        """The expiry of a call's own item; nothing while it lives."""
        if call.state is not CallState.FINAL or call.ended_at is None:
            return {}
        return _expiring(call.ended_at + self.of(call.workspace))

    def of_trail(self, call: Call) -> Item:
        """The expiry of what belongs to a call."""
        return _expiring(self._trail_ends(call))

    def of_event(self, call: Call, at: datetime) -> Item:
        """The expiry of a provider's event that came at that time."""
        return _expiring(min(at + EVENT_KEPT, self._trail_ends(call)))

    def of_note(self, at: datetime) -> Item:
        """The expiry of an event of which only the attempt is known: see ends_before_notes()."""
        return _expiring(at + min(EVENT_KEPT, self._default))

    def ends_before_notes(self, call: Call) -> bool:
        """True where the call's events were noted for longer than its workspace keeps them."""
        return call.state is CallState.FINAL and self.of(call.workspace) < min(EVENT_KEPT, self._default)

    def is_over(self, item: Item) -> bool:
        """True where an item has expired, whether DynamoDB has deleted it or is going to."""
        return "expires_at" in item and int(item["expires_at"]["N"]) <= items.epoch(self._now())

    def now(self) -> int:
        """The time as ``expires_at`` has it: what has not expired is above."""
        return items.epoch(self._now())

    def _trail_ends(self, call: Call) -> datetime:
        ends_by = max(call.expires_at, call.ended_at or call.expires_at) + LAST_ATTEMPT
        return ends_by + self.of(call.workspace)


def _expiring(at: datetime) -> Item:
    return to_item({"expires_at": items.epoch(at)})
