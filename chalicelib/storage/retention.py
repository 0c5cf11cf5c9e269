"""The retention of calls, in days after the end of a call.

Each workspace has its own number of days, or the default. DynamoDB deletes an expired item within a few days. Until
then, Redial treats the item as deleted. A call has no expiry before its end. Its attempts, decisions and events, and
its entry in the list of its number's calls, are written before its end is known. Their days start at the latest end
that the call's policy allows.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from chalicelib.domain.call import Call, CallState
from chalicelib.storage import items
from chalicelib.storage.codec import to_item
from chalicelib.storage.items import Item
from chalicelib.storage.workspaces import WorkspaceStore

#: The last attempt of a call begins before its policy expires, and ends at most this long after that.
LAST_ATTEMPT = timedelta(days=1)
#: A provider's events are kept as evidence for at most this long.
EVENT_KEPT = timedelta(days=90)


class Retention:
    """The expiry of items.

    ``default_days`` is the retention of a workspace that sets none. ``now`` returns the present time.
    """

    def __init__(self, workspaces: WorkspaceStore, default_days: int, now: Callable[[], datetime]) -> None:
        self._workspaces = workspaces
        self._default = timedelta(days=default_days)
        self._now = now

    def of(self, workspace: str) -> timedelta:
        """Return how long a workspace keeps a call after its end."""
        days = self._workspaces.load(workspace).retention_days
        return timedelta(days=days) if days is not None else self._default

    def of_call(self, call: Call) -> Item:
        """Return the expiry of a call's own item, or no attributes before its end."""
        if call.state is not CallState.FINAL or call.ended_at is None:
            return {}
        return _expiring(call.ended_at + self.of(call.workspace))

    def of_trail(self, call: Call) -> Item:
        """Return the expiry of a call's attempts, decisions and list entry."""
        return _expiring(self._trail_ends(call))

    def of_event(self, call: Call, at: datetime) -> Item:
        """Return the expiry of a provider's event that came at ``at``."""
        return _expiring(min(at + EVENT_KEPT, self._trail_ends(call)))

    def of_note(self, at: datetime) -> Item:
        """Return the expiry of an event that is written without reading its call.

        The workspace is not known, so this uses the default: see ends_before_notes().
        """
        return _expiring(at + min(EVENT_KEPT, self._default))

    def ends_before_notes(self, call: Call) -> bool:
        """Return whether a call has ended and expires before its noted events."""
        return call.state is CallState.FINAL and self.of(call.workspace) < min(EVENT_KEPT, self._default)

    def is_over(self, item: Item) -> bool:
        """Return whether an item has expired, even if DynamoDB has not deleted it yet."""
        return "expires_at" in item and int(item["expires_at"]["N"]) <= items.epoch(self._now())

    def now(self) -> int:
        """Return the present time in the unit of ``expires_at``: seconds since 1970.

        An item has expired if its ``expires_at`` is not greater.
        """
        return items.epoch(self._now())

    def _trail_ends(self, call: Call) -> datetime:
        ends_by = max(call.expires_at, call.ended_at or call.expires_at) + LAST_ATTEMPT
        return ends_by + self.of(call.workspace)


def _expiring(at: datetime) -> Item:
    return to_item({"expires_at": items.epoch(at)})
