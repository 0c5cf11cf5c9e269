"""How many requests an API key may send: a token bucket for each key, refilled at a steady rate.

A bucket is one number, the time at which it will be full again (the generic cell rate algorithm, ITU-T I.371). A
process keeps a bucket in memory for every request. A request that places calls also goes by the one in the table, which
all processes share, at one small write; a process that was refused there asks again only once there is room.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import TooBusy
from chalicelib.runtime.log import warn
from chalicelib.storage import items
from chalicelib.storage.codec import from_item, to_item
from chalicelib.storage.transact import update

#: A key that was idle for this long may send as many requests at once as it may in this time.
BURST_SEC = 10
#: A bucket that is full further ahead than this was written by a clock that is wrong.
MAX_AHEAD_MS = (BURST_SEC + 60) * 1000
MAX_KEYS = 10_000
KEPT_SEC = 24 * 3600
TRIES = 4


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests a second, in the long run."""

    per_second: int

    @property
    def cost_ms(self) -> int:
        """How much later the bucket is full for one request more."""
        return max(1, 1000 // self.per_second)

    def wait_ms(self, full_at: int, now: int) -> int:
        """Return how long a bucket that is full at ``full_at`` has no room; 0 where it has some."""
        return max(0, full_at + self.cost_ms - now - BURST_SEC * 1000)


class RateStore:
    """The buckets: of this process in memory, of all processes in the table."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._own: dict[str, int] = {}

    def take(self, key_id: str, rate: Rate, at: datetime) -> float:
        """Take a token of the process's own bucket. Return 0.0 where there was one, else the seconds until there is."""
        now = _millis(at)
        full_at = self._known(key_id, now)
        wait = rate.wait_ms(full_at, now)
        if not wait:
            self._remember(key_id, max(full_at, now) + rate.cost_ms)
        return wait / 1000

    def take_shared(self, key_id: str, rate: Rate, at: datetime) -> float:
        """Take a token of the bucket in the table, after one of the process's own. Return as take() does.

        A table that cannot be asked lets the request through: the process's own bucket still limits it.
        """
        now = _millis(at)
        full_at = self._known(key_id, now) - rate.cost_ms
        try:
            for _ in range(TRIES):
                is_full = not now < full_at <= now + MAX_AHEAD_MS
                taken, full_at = self._begin(key_id, rate, now) if is_full else self._add(key_id, rate, now)
                if taken:
                    break
                wait = rate.wait_ms(full_at, now)
                if wait and full_at <= now + MAX_AHEAD_MS:
                    self._remember(key_id, full_at)
                    return wait / 1000
        except (ClientError, BotoCoreError, TooBusy) as error:
            warn("rate-not-counted", error=str(error))
        return 0.0

    def _known(self, key_id: str, now: int) -> int:
        full_at = self._own.get(key_id, 0)
        return full_at if full_at <= now + MAX_AHEAD_MS else 0

    def _remember(self, key_id: str, full_at: int) -> None:
        if len(self._own) >= MAX_KEYS:
            self._own.clear()
        self._own[key_id] = full_at

    def _begin(self, key_id: str, rate: Rate, now: int) -> tuple[bool, int]:
        """Take the first token of a full bucket."""
        is_full = "attribute_not_exists(full_at) OR full_at <= :now OR full_at > :wrong"
        values = {":now": now, ":wrong": now + MAX_AHEAD_MS, ":full": now + rate.cost_ms}
        return self._update(key_id, now, "full_at = :full", is_full, values)

    def _add(self, key_id: str, rate: Rate, now: int) -> tuple[bool, int]:
        """Take a further token of a bucket that has room."""
        has_room = "full_at > :now AND full_at <= :latest"
        values = {":now": now, ":latest": now + BURST_SEC * 1000 - rate.cost_ms, ":cost": rate.cost_ms}
        return self._update(key_id, now, "full_at = full_at + :cost", has_room, values)

    def _update(self, key_id: str, now: int, change: str, condition: str, values: dict[str, int]) -> tuple[bool, int]:
        """Return whether the condition held, and when the bucket is full then."""
        try:
            answer = update(
                self._dynamodb,
                TableName=self._table,
                Key=items.key(f"RATE#{key_id}", "RATE"),
                UpdateExpression=f"SET {change}, expires_at = :expires_at",
                ConditionExpression=condition,
                ExpressionAttributeValues=to_item({**values, ":expires_at": now // 1000 + KEPT_SEC}),
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False, int(from_item(error.response.get("Item") or {}).get("full_at", 0))
        return True, int(from_item(answer["Attributes"])["full_at"])


def _millis(at: datetime) -> int:
    return int(at.timestamp() * 1000)
