"""Exotel's times, which name no time zone.

The functions read them and filter a list by them.
"""

import re
from datetime import datetime, timedelta
from urllib.parse import urlencode

from chalicelib.providers.finding import Unsure, Wanted
from chalicelib.providers.forms import instant

#: The offset of Exotel's clock. v1 writes ``2024-01-15 14:30:45`` without a zone; v3 writes the same clock with +05:30.
INDIAN_TIME = "+05:30"
INDIAN_OFFSET = timedelta(hours=5, minutes=30)
#: The clocks of Exotel's other accounts, in case a list uses them: UTC and Singapore's time
OTHER_TIMES = ("+00:00", "+08:00")

#: The largest page of the bulk list
PAGE_SIZE = 100
ONE_DAY = timedelta(days=1)

_NO_ZONE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}")


def indian_instant(text: str | None) -> datetime | None:
    """Return a time in UTC, or None. A time without a zone is Indian time."""
    text = (text or "").strip()
    return instant(f"{text}{INDIAN_TIME}" if _NO_ZONE.fullmatch(text) else text)


def bulk_query(wanted: Wanted) -> str:
    """Return the query for the calls to a number around the span.

    It begins a day before the span and ends a day after. In a call to a flow, From is the number called. The list
    covers at most a month (developer.exotel.com/docs/voice-v1/api-reference/call-details#bulk-call-details).
    """
    ends = (wanted.since - ONE_DAY, wanted.until + ONE_DAY)
    first, last = (f"{at + INDIAN_OFFSET:%Y-%m-%d %H:%M:%S}" for at in ends)
    created = f"gte:{first};lte:{last}"
    asked = {"From": wanted.to_number, "DateCreated": created, "SortBy": "DateCreated:asc", "PageSize": PAGE_SIZE}
    return urlencode(asked)


def is_in_span(created: str, wanted: Wanted) -> bool:
    """Return True for a time in the span.

    Raises Unsure for no time, and for a time that would be in the span by another zone's clock.
    """
    is_in = wanted.has(indian_instant(created))
    if not is_in and _NO_ZONE.fullmatch(created) and any(wanted.has(instant(created + zone)) for zone in OTHER_TIMES):
        raise Unsure("a call was made in the span if its account's clock is not Indian")
    return is_in
