"""Exotel's clock: times that name no zone, as they are read, asked for in a list, and doubted there."""

import re
from datetime import datetime, timedelta
from urllib.parse import urlencode

from chalicelib.providers.finding import Unsure, Wanted
from chalicelib.providers.forms import instant

#: v1 writes ``2024-01-15 14:30:45`` and names no zone; v3 writes the same clock with +05:30
INDIAN_TIME = "+05:30"
INDIAN_OFFSET = timedelta(hours=5, minutes=30)
#: the clocks of its other accounts, should a list go by those: UTC, and Singapore's
OTHER_TIMES = ("+00:00", "+08:00")

#: A page of the bulk list, at most
PAGE_SIZE = 100
ONE_DAY = timedelta(days=1)

_NO_ZONE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}")


def indian_instant(text: str | None) -> datetime | None:
    """A time in UTC, or None; one that names no zone is Indian."""
    text = (text or "").strip()
    return instant(f"{text}{INDIAN_TIME}" if _NO_ZONE.fullmatch(text) else text)


def bulk_query(wanted: Wanted) -> str:
    """The query for the calls to a number, which in a call to a flow is From, of the span's day and those beside it.

    developer.exotel.com/docs/voice-v1/api-reference/call-details#bulk-call-details: at most a month
    """
    ends = (wanted.since - ONE_DAY, wanted.until + ONE_DAY)
    first, last = (f"{at + INDIAN_OFFSET:%Y-%m-%d %H:%M:%S}" for at in ends)
    created = f"gte:{first};lte:{last}"
    asked = {"From": wanted.to_number, "DateCreated": created, "SortBy": "DateCreated:asc", "PageSize": PAGE_SIZE}
    return urlencode(asked)


def is_in_span(created: str, wanted: Wanted) -> bool:
    """True for a time of the span. Raises Unsure for none, and for one that would be in it by another zone's clock."""
    is_in = wanted.has(indian_instant(created))
    if not is_in and _NO_ZONE.fullmatch(created) and any(wanted.has(instant(created + zone)) for zone in OTHER_TIMES):
        raise Unsure("a call was made in the span if its account's clock is not Indian")
    return is_in
