"""The search for the calls between two numbers in a provider's lists.

The search reads every page and decides about every row. If one is in doubt, it gives no answer.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from chalicelib.domain.events import CallEvent
from chalicelib.domain.numbers import e164_or_none
from chalicelib.providers.base import MalformedCallback
from chalicelib.providers.forms import json_object, query_of
from chalicelib.providers.http import Answer

#: The pages of one list that are read. A longer list is not read, because the answer would come too late.
MAX_PAGES = 5

Row = Mapping[str, object]
Page = TypeVar("Page")


class Unsure(Exception):
    """The provider's answer does not settle which calls there were."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The calls to find. Numbers are E.164; both ends of the span belong to it."""

    to_number: str
    from_number: str
    since: datetime
    until: datetime

    @property
    def first_second(self) -> datetime:
        """The start of the span in whole seconds.

        Vendors count whole seconds, so a call that was made just after ``since`` may seem earlier.
        """
        return self.since.replace(microsecond=0)

    def is_to(self, number: str | None, region_code: str = "") -> bool:
        """Return True if the call went to the wanted number.

        ``number`` is as the provider writes it. Raises Unsure if it is missing.
        """
        return _same(number, self.to_number, region_code)

    def is_from(self, number: str | None, region_code: str = "") -> bool:
        """Return True if the call came from the wanted number.

        Raises Unsure if the number is missing.
        """
        return _same(number, self.from_number, region_code)

    def has(self, created_at: datetime | None) -> bool:
        """Return True for a time in the span. Raises Unsure for None, an unreadable time."""
        if created_at is None:
            raise Unsure("a call between the two numbers names no time of its creation")
        return self.first_second <= created_at <= self.until

    def between(self, event: CallEvent | None) -> CallEvent:
        """Return a found call's event with the wanted numbers.

        Raises Unsure for None, a row that describes no call.
        """
        if event is None:
            raise Unsure("a call between the two numbers cannot be read")
        return replace(event, to_number=self.to_number, from_number=self.from_number)


def _same(number: str | None, wanted: str, region_code: str) -> bool:
    if not number:
        raise Unsure("a call names no number")
    return e164_or_none(number, region_code) == wanted


def sure(found: Iterable[CallEvent]) -> list[CallEvent] | None:
    """Return all the events; None if the provider leaves the answer open.

    Each call is in the list once, with its last event. Raises Unanswered, because a provider that does not answer now
    may say more later.
    """
    try:
        calls = {event.provider_call_id: event for event in found}
    except (Unsure, MalformedCallback):
        return None
    return list(calls.values())


def answered(answer: Answer | None) -> Mapping[str, object]:
    """Return the JSON object of a list's page. Raises Unsure if there is none."""
    body = json_object(answer.body) if answer is not None and answer.status == 200 else None
    if body is None:
        raise Unsure("no page of JSON came")
    return body


def rows_of(listed: object) -> Sequence[Row]:
    """Return the rows of a page. Raises Unsure if it is not a list of objects."""
    if not isinstance(listed, list) or not all(isinstance(row, dict) for row in listed):
        raise Unsure("a page holds no list of calls")
    return listed


def every_row(
    read: Callable[[Page], tuple[Sequence[Row], Page | None]], first: Page, most: int = MAX_PAGES
) -> Iterator[Row]:
    """Yield the rows of all pages, beginning with the page ``first``.

    ``read`` returns a page's rows and the next page, or None after the last page. Raises Unsure if there are more pages
    than ``most``.
    """
    page: Page | None = first
    for _ in range(most):
        if page is None:
            return
        rows, page = read(page)
        yield from rows
    if page is not None:
        raise Unsure(f"more than {most} pages of calls")


def next_query(uri: object) -> str | None:
    """Return the query of the next page's URL; None after the last page.

    Raises Unsure if the URL has no query. The rest of the URL is ours, so a page cannot send our credentials to another
    host.
    """
    if uri is None or uri == "":
        return None
    query = query_of(uri) if isinstance(uri, str) else ""
    if not query:
        raise Unsure("the next page's address cannot be read")
    return query
