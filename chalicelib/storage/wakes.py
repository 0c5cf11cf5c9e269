"""The minutes that dials are planned in: a counter for each minute, so that no minute gets more than it can dial.

One item holds an hour of one provider account: ``p00`` .. ``p59`` count what is planned in each minute, ``armed``
holds the wakes that somebody has armed for them: those of the hour by their minute (``30``), so that the item of a busy
hour stays below 1 KB, above which each write costs twice as much; others by their whole stamp.

A workspace that has a pace of its own (``workspace:<name>``) is counted in the same way. The items of a day share a
partition, so that a wake reads what lies below it with one query.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.errors import TooBusy
from chalicelib.storage import items
from chalicelib.storage.codec import Attribute, from_item, to_attribute
from chalicelib.storage.query import query_items
from chalicelib.storage.transact import Write, transact, update

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
#: Nothing is planned further ahead than a policy can reach, with room for what spills over.
HORIZON_HOURS = 24 * 62
#: Two writers may see the same free minute; the loser looks again.
RESERVE_TRIES = 50


@dataclass(frozen=True, slots=True)
class Reservation:
    """A place in a minute, and the wakes (``yyyymmddhhmm``) that are known to be armed for that hour."""

    minute: datetime
    armed: frozenset[str]


class WakeStore:
    """The wake items of the table. ``capacity`` is the most dials planned in one minute of one account."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def reserve(self, account: str, wanted: datetime, capacity: int) -> Reservation:
        """A place in the wanted minute, or where that is full in a later one that has room. Raises TooBusy."""
        minute = wanted
        for _ in range(RESERVE_TRIES):
            counters = self._add(account, minute, capacity)
            if not isinstance(counters, _Full):
                return Reservation(minute, _armed(counters, minute))
            minute = _first_free(counters.counters, minute, capacity) or self._gallop(account, minute, capacity)
        raise TooBusy(f"no free minute found from {wanted:%Y-%m-%dT%H:%MZ} on; try again in a moment")

    def release(self, account: str, minute: datetime) -> None:
        """Give a place back that was reserved for nothing; where others keep it out, the place stays empty.

        By a transaction: botocore sends one with a token, so where it repeats a request whose answer was lost,
        DynamoDB knows it. A place given back twice would let the minute be promised to one dial too many.
        """
        with contextlib.suppress(TooBusy):
            transact(self._dynamodb, (), {"place": self.giving_back(account, minute)})

    def giving_back(self, account: str, minute: datetime) -> Write:
        """Return the write that gives a place back, for the transaction in which a call loses its due time."""
        return {
            "Update": {
                "TableName": self._table,
                "Key": _hour_key(account, minute),
                "UpdateExpression": "ADD #p :less",
                "ConditionExpression": "#p > :none",
                "ExpressionAttributeNames": {"#p": _counter(minute)},
                "ExpressionAttributeValues": {":less": to_attribute(-1), ":none": to_attribute(0)},
            }
        }

    def mark_armed(self, account: str, minute: datetime, wakes: set[str]) -> None:
        """Remember that these wakes are armed for the hour that ``minute`` is in. Raises TooBusy."""
        update(
            self._dynamodb,
            TableName=self._table,
            Key=_hour_key(account, minute),
            UpdateExpression="ADD armed :wakes",
            ExpressionAttributeValues={":wakes": {"SS": sorted(_short(wake, minute) for wake in wakes)}},
        )

    def planned(self, first: datetime, last: datetime) -> Iterator[tuple[str, datetime, frozenset[str]]]:
        """Every account's minutes from ``first`` to ``last``, both included, in which anything is planned.

        Yields (account, minute, the wakes armed for its hour); a query for each day in between.
        """
        day = first.replace(hour=0, minute=0)
        while day <= last:
            from_hour = first.hour if day.date() == first.date() else 0
            to_hour = last.hour if day.date() == last.date() else 23
            for item in self._hours(day, from_hour, to_hour):
                hour, _, account = item["sk"]["S"].partition("#")
                counters = from_item(item)
                for number in range(60):
                    minute = day.replace(hour=int(hour), minute=number)
                    if first <= minute <= last and counters.get(_counter(minute), 0) > 0:
                        yield account, minute, _armed(counters, minute)
            day += timedelta(days=1)

    def _hours(self, day: datetime, from_hour: int, to_hour: int) -> Iterator[dict[str, Attribute]]:
        return query_items(
            self._dynamodb,
            TableName=self._table,
            ConsistentRead=True,
            KeyConditionExpression="pk = :day AND sk BETWEEN :first AND :last",
            ExpressionAttributeValues={
                ":day": {"S": f"WAKE#{day:%Y%m%d}"},
                ":first": {"S": f"{from_hour:02d}#"},
                ":last": {"S": f"{to_hour:02d}$"},
            },
        )

    def _add(self, account: str, minute: datetime, capacity: int) -> "dict[str, Any] | _Full":
        has_room = "attribute_not_exists(#p) OR #p < :capacity"
        try:
            answer = update(
                self._dynamodb,
                TableName=self._table,
                Key=_hour_key(account, minute),
                UpdateExpression="ADD #p :one SET expires_at = :expires",
                ConditionExpression=has_room,
                ExpressionAttributeNames={"#p": _counter(minute)},
                ExpressionAttributeValues={
                    ":one": to_attribute(1),
                    ":capacity": to_attribute(capacity),
                    ":expires": to_attribute(items.epoch(minute + timedelta(days=2))),
                },
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return _Full(from_item(error.response.get("Item") or {}))
        return from_item(answer["Attributes"])

    def _gallop(self, account: str, minute: datetime, capacity: int) -> datetime:
        """A free minute behind a run of full hours: strides of 1, 2, 4 ... hours, then halving back.

        The run is long where thousands of calls fell due together; stepping through it would cost each of them a
        request for every full hour.
        """
        full = minute.replace(minute=0)
        stride = 1
        while True:
            ahead = full + stride * HOUR
            if stride > HORIZON_HOURS:
                raise TooBusy(f"every minute up to {ahead:%Y-%m-%dT%H:%MZ} is full")
            if (free := self._free_in(account, ahead, capacity)) is not None:
                break
            full, stride = ahead, stride * 2
        while ahead - full > HOUR:
            middle = full + (ahead - full) // HOUR // 2 * HOUR
            if (between := self._free_in(account, middle, capacity)) is None:
                full = middle
            else:
                ahead, free = middle, between
        return free

    def _free_in(self, account: str, hour: datetime, capacity: int) -> datetime | None:
        found = self._dynamodb.get_item(TableName=self._table, Key=_hour_key(account, hour), ConsistentRead=True).get(
            "Item"
        )
        return _first_free(from_item(found or {}), hour, capacity)


@dataclass(frozen=True, slots=True)
class _Full:
    """A minute had no room; the counters of its hour say which has."""

    counters: dict[str, Any]


def _first_free(counters: dict[str, Any], minute: datetime, capacity: int) -> datetime | None:
    """The first minute with room from ``minute`` to the end of its hour."""
    for number in range(minute.minute, 60):
        candidate = minute.replace(minute=number)
        if counters.get(_counter(candidate), 0) < capacity:
            return candidate
    return None


def _short(wake: str, minute: datetime) -> str:
    """Return what stands for a wake (``yyyymmddhhmm``) in the item of a minute's hour."""
    return wake.removeprefix(_hour_stamp(minute))


def _armed(counters: dict[str, Any], minute: datetime) -> frozenset[str]:
    """Return the wakes that _short() stands for. Items of earlier releases hold whole stamps."""
    hour = _hour_stamp(minute)
    return frozenset(hour + mark if len(mark) == 2 else mark for mark in counters.get("armed", ()))


def _hour_stamp(minute: datetime) -> str:
    return f"{minute.astimezone(UTC):%Y%m%d%H}"


def _counter(minute: datetime) -> str:
    return f"p{minute.minute:02d}"


def _hour_key(account: str, minute: datetime) -> dict[str, Attribute]:
    at = minute.astimezone(UTC)
    return items.key(f"WAKE#{at:%Y%m%d}", f"{at:%H}#{account}")
