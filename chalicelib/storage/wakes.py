"""The planned dials of each minute, and the wakes that are armed for them.

Redial counts the dials of each minute, so that no minute gets more dials than the account can make in it.

One item holds one hour of one provider account:

- ``p00`` to ``p59`` count the dials that are planned in each minute.
- ``armed`` holds the wakes whose triggers are set for these minutes. A wake of the same hour is stored as its minute
  (``30``), any other wake as its whole stamp (``yyyymmddhhmm``). So the item of a busy hour stays below 1 KB. Above
  1 KB each write costs twice as much.

A workspace that has its own rate limit has items of the same form, with ``workspace:<name>`` in place of the account.
The items of a day share a partition, so a wake reads all minutes below it with one query.
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
#: A search for a free minute ends this far ahead: the longest policy, and room for dials that full minutes push back.
HORIZON_HOURS = 24 * 62
#: Two processes may see the same free minute. The one that fails to reserve it searches again, at most this often.
RESERVE_TRIES = 50


@dataclass(frozen=True, slots=True)
class Reservation:
    """A reserved place in a minute.

    ``armed`` has the stamps (``yyyymmddhhmm``) of the wakes that are known to be armed for the hour of ``minute``.
    """

    minute: datetime
    armed: frozenset[str]


class WakeStore:
    """The wake items of the table. ``dynamodb`` is a botocore client."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def reserve(self, account: str, wanted: datetime, capacity: int) -> Reservation:
        """Reserve a place in the wanted minute or, if it is full, in a later minute.

        At most ``capacity`` dials are planned in one minute of one account. Raises TooBusy if every minute up to
        HORIZON_HOURS is full, or if other processes took the free minutes RESERVE_TRIES times.
        """
        minute = wanted
        for _ in range(RESERVE_TRIES):
            counters = self._add(account, minute, capacity)
            if not isinstance(counters, _Full):
                return Reservation(minute, _armed(counters, minute))
            minute = _first_free(counters.counters, minute, capacity) or self._gallop(account, minute, capacity)
        raise TooBusy(f"no free minute found from {wanted:%Y-%m-%dT%H:%MZ} on; try again in a moment")

    def release(self, account: str, minute: datetime) -> None:
        """Give a place back that no dial needs.

        If other writes keep DynamoDB from this, the place stays empty.

        A place that is given back twice would let one dial too many into the minute. So this is a transaction:
        botocore sends a token with it, and DynamoDB recognizes a request that botocore repeats after a lost answer.
        """
        with contextlib.suppress(TooBusy):
            transact(self._dynamodb, (), {"place": self.giving_back(account, minute)})

    def giving_back(self, account: str, minute: datetime) -> Write:
        """Return the write that gives a place back.

        The write joins the transaction that takes a call's due time away.
        """
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
        """Record that these wakes are armed for the hour of ``minute``. Raises TooBusy."""
        update(
            self._dynamodb,
            TableName=self._table,
            Key=_hour_key(account, minute),
            UpdateExpression="ADD armed :wakes",
            ExpressionAttributeValues={":wakes": {"SS": sorted(_short(wake, minute) for wake in wakes)}},
        )

    def planned(self, first: datetime, last: datetime) -> Iterator[tuple[str, datetime, frozenset[str]]]:
        """Yield each minute of each account in which a dial is planned.

        The minutes are from ``first`` to ``last`` inclusive.

        Each result is the account, the minute and the wakes that are armed for the hour of the minute. Each day costs
        one query.
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
        """Return a free minute after a run of full hours.

        Raises TooBusy if every minute up to HORIZON_HOURS is full.

        This is a galloping search: it goes ahead by 1, 2, 4 ... hours, then it halves the last stride. The run is
        long if thousands of calls fall due together. A linear search would cost each of them one request for each
        full hour.
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
    """A minute without room, with the counters of its hour."""

    counters: dict[str, Any]


def _first_free(counters: dict[str, Any], minute: datetime, capacity: int) -> datetime | None:
    """Return the first minute with room, from ``minute`` to the end of its hour.

    Returns None if all these minutes are full.
    """
    for number in range(minute.minute, 60):
        candidate = minute.replace(minute=number)
        if counters.get(_counter(candidate), 0) < capacity:
            return candidate
    return None


def _short(wake: str, minute: datetime) -> str:
    """Return the text that stands for a wake in the item of the minute's hour.

    ``wake`` is the whole stamp (``yyyymmddhhmm``).
    """
    return wake.removeprefix(_hour_stamp(minute))


def _armed(counters: dict[str, Any], minute: datetime) -> frozenset[str]:
    """Return the whole stamps of the armed wakes.

    Items of earlier releases hold whole stamps already.
    """
    hour = _hour_stamp(minute)
    return frozenset(hour + mark if len(mark) == 2 else mark for mark in counters.get("armed", ()))


def _hour_stamp(minute: datetime) -> str:
    return f"{minute.astimezone(UTC):%Y%m%d%H}"


def _counter(minute: datetime) -> str:
    return f"p{minute.minute:02d}"


def _hour_key(account: str, minute: datetime) -> dict[str, Attribute]:
    at = minute.astimezone(UTC)
    return items.key(f"WAKE#{at:%Y%m%d}", f"{at:%H}#{account}")
