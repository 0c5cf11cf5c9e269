"""The daily budgets of a workspace: its dials and their minutes on a UTC day.

Only a workspace with a budget has these items. The dials of a day are counted in SHARDS items, so two claims seldom
write the same item. The limit of each item is its share of the budget, so the sum never passes the budget.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import ceil
from typing import Any

from chalicelib.domain.call import Attempt
from chalicelib.domain.transition import Transition
from chalicelib.storage import items
from chalicelib.storage.codec import from_item, to_item
from chalicelib.storage.query import query_items
from chalicelib.storage.transact import Write

#: The dials of a day are counted in this many items, and so are its minutes.
SHARDS = 16
#: A day's items are kept this long. An attempt that began on one day may end, and give its dial back, on the next day.
DAY_KEPT = timedelta(days=3)
DIALS, MINUTES = "DIALS", "MINUTES"


@dataclass(frozen=True, slots=True)
class Spent:
    """A workspace's used budget of a day: dials by shard, and minutes."""

    workspace: str
    day: date
    dials: Mapping[int, int]
    minutes: int

    def room(self, daily_dials: int) -> int | None:
        """Return a random shard with room for a dial, or None if the budget is used up."""
        if sum(self.dials.values()) >= daily_dials:
            # If the budget was lowered during the day, a shard may have room although the budget is used up.
            return None
        free = [shard for shard in range(SHARDS) if self.dials.get(shard, 0) < share(daily_dials, shard)]
        return random.choice(free) if free else None  # noqa: S311 - spreads, hides nothing


def share(daily_dials: int, shard: int) -> int:
    """Return how many dials of a day one shard may count.

    The sum of all shares is the budget.
    """
    return daily_dials // SHARDS + (shard < daily_dials % SHARDS)


class BudgetStore:
    """The budget items of the table. ``dynamodb`` is a botocore client."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def load(self, workspace: str, now: datetime) -> Spent:
        """Return the used budget of the UTC day, as last committed."""
        found = query_items(
            self._dynamodb,
            TableName=self._table,
            ConsistentRead=True,
            KeyConditionExpression="pk = :day",
            ExpressionAttributeValues={":day": _key(workspace, now.date(), DIALS, 0)["pk"]},
        )
        dials: dict[int, int] = {}
        minutes = 0
        for item in found:
            values = from_item(item)
            kind, _, shard = values["sk"].partition("#")
            if kind == DIALS:
                dials[int(shard)] = values["used"]
            else:
                minutes += values["used"]
        return Spent(workspace, now.date(), dials, minutes)

    def taking(self, spent: Spent, shard: int, daily_dials: int) -> Write:
        """Return the write that counts a dial in a shard.

        The write fails if others have filled the shard meanwhile.
        """
        return self._adding(
            _key(spent.workspace, spent.day, DIALS, shard),
            1,
            spent.day,
            condition="attribute_not_exists(used) OR used < :share",
            share=share(daily_dials, shard),
        )

    def giving_back(self, workspace: str, attempt: Attempt) -> list[Write]:
        """Return the writes that take back the count of a dial that was not made."""
        return self._changing(workspace, attempt, -1, condition="used > :none", none=0)

    def counting_again(self, workspace: str, attempt: Attempt) -> list[Write]:
        """Return the writes that count a dial again because it was made after all.

        They succeed even if the count then passes the budget.
        """
        return self._changing(workspace, attempt, 1)

    def _changing(
        self, workspace: str, attempt: Attempt, number: int, condition: str | None = None, **values: int
    ) -> list[Write]:
        if attempt.budget is None:
            return []
        name, _, shard = attempt.budget.partition("#")
        day = date.fromisoformat(name)
        return [self._adding(_key(workspace, day, DIALS, int(shard)), number, day, condition, **values)]

    def adding_minutes(self, transition: Transition) -> list[Write]:
        """Return the writes that add the minutes of a transition's attempt.

        They add only the minutes that are not counted yet. The list is empty if there are none. A started minute counts
        as a full minute, as most providers bill it.
        """
        attempt, workspace = transition.attempt, transition.call.workspace
        if attempt is None or transition.dropped:
            return []
        before = transition.before.attempt(attempt.number)
        added = _minutes(attempt) - (_minutes(before) if before else 0)
        key = _key(workspace, transition.at.date(), MINUTES, random.randrange(SHARDS))  # noqa: S311 - spreads only
        return [self._adding(key, added, transition.at.date())] if added else []

    def _adding(self, key: items.Item, number: int, day: date, condition: str | None = None, **values: int) -> Write:
        expires_at = items.epoch(datetime.combine(day, datetime.min.time(), UTC) + DAY_KEPT)
        named = {f":{name}": value for name, value in values.items()}
        write: dict[str, Any] = {
            "TableName": self._table,
            "Key": key,
            "UpdateExpression": "ADD used :number SET expires_at = :expires_at",
            "ExpressionAttributeValues": to_item({":number": number, ":expires_at": expires_at, **named}),
        }
        if condition is not None:
            write["ConditionExpression"] = condition
        return {"Update": write}


def budget_name(spent: Spent, shard: int) -> str:
    """Return the name of a day's shard, which an attempt keeps to give its dial back."""
    return f"{spent.day.isoformat()}#{shard:02d}"


def _minutes(attempt: Attempt) -> int:
    return ceil((attempt.duration_sec or 0) / 60)


def _key(workspace: str, day: date, kind: str, shard: int) -> items.Item:
    return items.key(f"BUDGET#{workspace}#{day.isoformat()}", f"{kind}#{shard:02d}")
