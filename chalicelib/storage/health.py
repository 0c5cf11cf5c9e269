"""How a provider answers an account's requests for calls: counted by the minute, for the circuit breaker to read."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from chalicelib.storage import items
from chalicelib.storage.codec import from_item, to_attribute
from chalicelib.storage.query import query_items

#: What is older than the breaker's window is of no more use.
KEPT = timedelta(hours=1)


class Answered(StrEnum):
    """How a provider answered a request for a call, as far as its own health goes."""

    WELL = "well"
    BADLY = "badly"  # not at all, or with an error of its own
    FAULT = "fault"  # the account is to blame


@dataclass(frozen=True, slots=True)
class Health:
    """The answers of a stretch of time, by kind."""

    well: int = 0
    badly: int = 0
    fault: int = 0


class HealthStore:
    """The health items of the table."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def count(self, account: str, answered: Answered, now: datetime) -> None:
        """Count one answer in the minute that it came in."""
        self._dynamodb.update_item(
            TableName=self._table,
            Key=items.key(f"HEALTH#{account}", _minute(now)),
            UpdateExpression="ADD #kind :one SET expires_at = :expires",
            ExpressionAttributeNames={"#kind": answered},
            ExpressionAttributeValues={
                ":one": to_attribute(1),
                ":expires": to_attribute(items.epoch(now + KEPT)),
            },
        )

    def load(self, account: str, since: datetime) -> Health:
        """The answers from the minute of ``since`` on."""
        found = query_items(
            self._dynamodb,
            TableName=self._table,
            ConsistentRead=True,
            KeyConditionExpression="pk = :account AND sk >= :since",
            ExpressionAttributeValues={
                ":account": to_attribute(f"HEALTH#{account}"),
                ":since": to_attribute(_minute(since)),
            },
        )
        minutes = [from_item(item) for item in found]
        return Health(*(sum(minute.get(kind, 0) for minute in minutes) for kind in Answered))


def _minute(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%d%H%M}"
