"""The rate limits of accounts and workspaces: the calls that they may start.

The table counts the calls of each stretch of time, so the limit holds for all processes together.
"""

import contextlib
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.errors import TooBusy
from chalicelib.storage import items
from chalicelib.storage.codec import from_item, to_item
from chalicelib.storage.transact import Canceled, transact, update

#: If the counter of the table is more stretches ahead than this, a wrong clock wrote it, and Redial replaces it. If the
#: counter is less far ahead, this request was slow: another process has begun a later stretch meanwhile. The slow
#: request must not begin its own stretch again, and counts its call in the later one.
MAX_AHEAD = 60
#: All dialers of a pool wait for the next stretch. One of them begins the stretch, and the others try again in it. On a
#: busy table, a stretch may end before the next try.
BEGIN_TRIES = 5


@dataclass(frozen=True, slots=True)
class Pace:
    """A pace: at most ``most`` calls start in each stretch of ``seconds``."""

    most: int
    seconds: int

    @classmethod
    def of(cls, per_second: float) -> "Pace":
        """Return the pace for a rate limit in calls per second, rounded down.

        A stretch is one second, or two seconds if the rate limit is not a whole number. Below one call per second, a
        stretch is the time for one call, rounded up to whole seconds.
        """
        if per_second < 1:
            return cls(1, ceil(1 / per_second))
        seconds = 1 if per_second == int(per_second) else 2
        return cls(int(per_second * seconds), seconds)

    @property
    def a_minute(self) -> int:
        """The number of calls in a minute, at least 1."""
        return max(1, 60 * self.most // self.seconds)


class PaceStore:
    """The pace items of the table. ``dynamodb`` is a botocore client.

    An item has the latest stretch of its scope, and the number of calls that were started in it. A scope is an account,
    or a workspace (``workspace:<name>``).
    """

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def start(self, scope: str, pace: Pace, now: datetime) -> float:
        """Count one more call, if it may start now.

        Returns 0.0 if it may start, else the seconds until the caller may try again.
        """
        stretch = items.epoch(now) // pace.seconds
        current = -1
        # If another process has begun the stretch meanwhile, this one tries to get a place in it.
        for _ in range(BEGIN_TRIES):
            found = self._add(scope, "#in = :stretch AND #n < :most", "ADD #n :one", stretch, pace.most)
            if found is None:
                return 0.0
            current = found.get("stretch", -1)
            if current == stretch:
                break
            if stretch < current <= stretch + MAX_AHEAD:
                stretch = current
                continue
            not_begun = "attribute_not_exists(#in) OR #in = :current"
            if self._add(scope, not_begun, "SET #in = :stretch, #n = :one", stretch, pace.most, current) is None:
                return 0.0
        ends_at: float = (max(current, stretch) + 1) * pace.seconds
        return max(0.05, ends_at - now.timestamp())

    def give_back(self, scope: str, pace: Pace, now: datetime) -> None:
        """Give back the place that start() counted, for a call that does not start.

        If a later stretch has begun, this does nothing. It is a transaction, so DynamoDB recognizes a request that
        botocore repeats, and no place is given back twice.
        """
        write = {
            "TableName": self._table,
            "Key": _key(scope),
            "UpdateExpression": "ADD #n :less",
            "ConditionExpression": "#in = :stretch",
            "ExpressionAttributeNames": {"#in": "stretch", "#n": "started"},
            "ExpressionAttributeValues": to_item({":less": -1, ":stretch": items.epoch(now) // pace.seconds}),
        }
        with contextlib.suppress(Canceled, TooBusy):
            transact(self._dynamodb, [{"Update": write}])

    def _add(
        self, scope: str, condition: str, change: str, stretch: int, most: int, current: int | None = None
    ) -> dict[str, Any] | None:
        """Change the counter and return None. If the condition fails, return the counter."""
        values = {":stretch": stretch, ":one": 1, ":most": most, ":current": current}
        used = {name: value for name, value in values.items() if name in condition + change}
        try:
            update(
                self._dynamodb,
                TableName=self._table,
                Key=_key(scope),
                UpdateExpression=change,
                ConditionExpression=condition,
                ExpressionAttributeNames={"#in": "stretch", "#n": "started"},
                ExpressionAttributeValues=to_item(used),
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return from_item(error.response.get("Item") or {})
        return None


def _key(scope: str) -> items.Item:
    return items.key(f"PACE#{scope}", "PACE")
