"""The rate limits of API keys: one token bucket for each key.

A bucket is refilled at a steady rate. It is one number, the time at which it will be full again (the generic cell rate
algorithm, ITU-T I.371). Each process has its own buckets in memory, and each request takes a token from one of them. A
request that places calls also takes a token from a bucket in the table, which all processes share. This costs one small
write. If the bucket in the table has no room, the process does not ask the table again before there is room.
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

#: The size of a bucket. After this idle time, a key may send the requests of this time in one burst.
BURST_SEC = 10
#: If a bucket will be full later than this, a wrong clock wrote it.
MAX_AHEAD_MS = (BURST_SEC + 60) * 1000
#: A process keeps at most this many buckets in memory.
MAX_KEYS = 10_000
#: A bucket is kept in the table this long after its last use.
KEPT_SEC = 24 * 3600
#: Redial tries a write this often if other processes change the bucket meanwhile.
TRIES = 4


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate limit: ``per_second`` requests a second in the long run."""

    per_second: int

    @property
    def cost_ms(self) -> int:
        """The milliseconds by which one more request delays the full bucket."""
        return max(1, 1000 // self.per_second)

    def wait_ms(self, full_at: int, now: int) -> int:
        """Return the milliseconds until a bucket has room, 0 if it has room now.

        The bucket is full at ``full_at``. Both times are milliseconds since 1970.
        """
        return max(0, full_at + self.cost_ms - now - BURST_SEC * 1000)


class RateStore:
    """The token buckets: a process's own in memory, the shared ones in the table."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._own: dict[str, int] = {}

    def take(self, key_id: str, rate: Rate, at: datetime) -> float:
        """Take a token from the process's own bucket.

        Returns 0.0 if it had a token, else the seconds until it has one.
        """
        now = _millis(at)
        full_at = self._own_full_at(key_id, now)
        wait = rate.wait_ms(full_at, now)
        if not wait:
            self._remember(key_id, max(full_at, now) + rate.cost_ms)
        return wait / 1000

    def take_shared(self, key_id: str, rate: Rate, at: datetime) -> float:
        """Take a token from the bucket in the table. Call take() first.

        Returns 0.0 if it had a token, else the seconds until it has one. If AWS answers with an error, the request
        passes: the process's own bucket still limits the key.
        """
        now = _millis(at)
        full_at = self._own_full_at(key_id, now) - rate.cost_ms
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

    def _own_full_at(self, key_id: str, now: int) -> int:
        full_at = self._own.get(key_id, 0)
        return full_at if full_at <= now + MAX_AHEAD_MS else 0

    def _remember(self, key_id: str, full_at: int) -> None:
        if len(self._own) >= MAX_KEYS:
            self._own.clear()
        self._own[key_id] = full_at

    def _begin(self, key_id: str, rate: Rate, now: int) -> tuple[bool, int]:
        """Take the first token from a full bucket."""
        is_full = "attribute_not_exists(full_at) OR full_at <= :now OR full_at > :wrong"
        values = {":now": now, ":wrong": now + MAX_AHEAD_MS, ":full": now + rate.cost_ms}
        return self._update(key_id, now, "full_at = :full", is_full, values)

    def _add(self, key_id: str, rate: Rate, now: int) -> tuple[bool, int]:
        """Take a token from a bucket that is not full but has room."""
        has_room = "full_at > :now AND full_at <= :latest"
        values = {":now": now, ":latest": now + BURST_SEC * 1000 - rate.cost_ms, ":cost": rate.cost_ms}
        return self._update(key_id, now, "full_at = full_at + :cost", has_room, values)

    def _update(self, key_id: str, now: int, change: str, condition: str, values: dict[str, int]) -> tuple[bool, int]:
        """Change a bucket if the condition is true.

        Returns whether it was true, and the time at which the bucket is full.
        """
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
