"""How many calls an account or a workspace may start in a stretch of time.

Counted in the table, so that every process keeps to it.
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

#: A counter that lies further ahead than this was written by a clock that is wrong. One that lies less far ahead was
#: written while a slow request was on its way, which must not begin the stretch that it was made in again.
MAX_AHEAD_SEC = 60
#: The dialers of a pool all wait for the next stretch: one of them begins it, and the others are in it then.
BEGIN_TRIES = 3


@dataclass(frozen=True, slots=True)
class Pace:
    """At most ``most`` calls started in each stretch of ``seconds``."""

    most: int
    seconds: int

    @classmethod
    def of(cls, per_second: float) -> "Pace":
        """The pace that comes closest to so many calls a second from below, in stretches of whole seconds."""
        if per_second < 1:
            return cls(1, ceil(1 / per_second))
        seconds = 1 if per_second == int(per_second) else 2
        return cls(int(per_second * seconds), seconds)

    @property
    def a_minute(self) -> int:
        """How many calls a minute takes."""
        return max(1, 60 * self.most // self.seconds)


class PaceStore:
    """The pace items of the table: each holds the latest stretch of its scope and the calls started in it.

    A scope is an account, or a workspace (``workspace:<name>``).
    """

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def start(self, scope: str, pace: Pace, now: datetime) -> float:
        """Count one more call as started: 0.0 where it may start now, else the seconds until it may be asked again."""
        stretch = items.epoch(now) // pace.seconds
        current = -1
        # Whoever finds the stretch begun by somebody else meanwhile asks for a place in it like everybody.
        for _ in range(BEGIN_TRIES):
            found = self._add(scope, "#in = :stretch AND #n < :most", "ADD #n :one", stretch, pace.most)
            if found is None:
                return 0.0
            current = found.get("stretch", -1)
            if stretch <= current <= stretch + MAX_AHEAD_SEC:
                break
            anew = "attribute_not_exists(#in) OR #in = :current"
            if self._add(scope, anew, "SET #in = :stretch, #n = :one", stretch, pace.most, current) is None:
                return 0.0
        ends_at: float = (max(current, stretch) + 1) * pace.seconds
        return max(0.05, ends_at - now.timestamp())

    def give_back(self, scope: str, pace: Pace, now: datetime) -> None:
        """Take back what start() counted, for a call that is not started after all; too late, that does nothing.

        By a transaction, which DynamoDB knows when botocore repeats it: nothing is given back twice.
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
        """Count, where the condition holds, and return None; else the counter as it is."""
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
