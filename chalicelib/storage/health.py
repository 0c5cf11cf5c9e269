"""The counts of a provider's answers to an account's create-call requests.

Redial counts the answers of each minute. The circuit breaker reads the counts.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from chalicelib.storage import items
from chalicelib.storage.codec import from_item, to_attribute
from chalicelib.storage.query import query_items

#: A minute's counts are kept this long. The breaker reads only the minutes of its window, which is shorter.
KEPT = timedelta(hours=1)


class Answered(StrEnum):
    """The kinds of answers to a create-call request, as signs of a provider's health."""

    WELL = "well"
    BADLY = "badly"  # no answer, or an error in the provider itself
    FAULT = "fault"  # an error that the account caused


@dataclass(frozen=True, slots=True)
class Health:
    """The number of answers in a stretch of time, by kind."""

    well: int = 0
    badly: int = 0
    fault: int = 0


class HealthStore:
    """The health items of the table. ``dynamodb`` is a botocore client."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def count(self, account: str, answered: Answered, now: datetime) -> None:
        """Count one answer in the minute of ``now``."""
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
        """Return the counts from the minute of ``since`` on, as last committed."""
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
