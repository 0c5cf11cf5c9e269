"""Finding the calls between two numbers in a provider's lists: every page read and every row settled, or no answer."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from chalicelib.domain.events import CallEvent
from chalicelib.domain.numbers import e164_or_none
from chalicelib.providers.base import MalformedCallback
from chalicelib.providers.forms import json_object, query_of
from chalicelib.providers.http import Answer

#: pages of one list that are read; a longer list is given up, for the answer would come too late
MAX_PAGES = 5

Row = Mapping[str, object]
Page = TypeVar("Page")


class Unsure(Exception):
    """What the provider said does not settle which calls there were."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The calls that are looked for. Numbers are E.164, the span has both its ends."""

    to_number: str
    from_number: str
    since: datetime
    until: datetime

    @property
    def first_second(self) -> datetime:
        """``since`` as the vendors count: theirs are whole seconds, so a call made just after it may seem earlier."""
        return self.since.replace(microsecond=0)

    def is_to(self, number: str | None, region_code: str = "") -> bool:
        """True where the number called, as the provider writes it, is the wanted one. Raises Unsure for none at all."""
        return _same(number, self.to_number, region_code)

    def is_from(self, number: str | None, region_code: str = "") -> bool:
        """True where the number called from is the wanted one. Raises Unsure for none at all."""
        return _same(number, self.from_number, region_code)

    def has(self, created_at: datetime | None) -> bool:
        """True for a time in the span. Raises Unsure for None, a time that could not be read."""
        if created_at is None:
            raise Unsure("a call between the two numbers names no time of its creation")
        return self.first_second <= created_at <= self.until

    def between(self, event: CallEvent | None) -> CallEvent:
        """The event of a call that was found, with its numbers. Raises Unsure for None, a row that tells of no call."""
        if event is None:
            raise Unsure("a call between the two numbers cannot be read")
        return replace(event, to_number=self.to_number, from_number=self.from_number)


def _same(number: str | None, wanted: str, region_code: str) -> bool:
    if not number:
        raise Unsure("a call names no number")
    return e164_or_none(number, region_code) == wanted


def sure(found: Iterable[CallEvent]) -> list[CallEvent] | None:
    """All of the events, each call once, as it was told of last; None where the provider left something open.

    Raises Unanswered, for a provider that does not answer now may say more later.
    """
    try:
        calls = {event.provider_call_id: event for event in found}
    except (Unsure, MalformedCallback):
        return None
    return list(calls.values())


def answered(answer: Answer | None) -> Mapping[str, object]:
    """The JSON object of a list's page. Raises Unsure where there is none."""
    body = json_object(answer.body) if answer is not None and answer.status == 200 else None
    if body is None:
        raise Unsure("no page of JSON came")
    return body


def rows_of(listed: object) -> Sequence[Row]:
    """The rows of a page. Raises Unsure where it is no list of objects."""
    if not isinstance(listed, list) or not all(isinstance(row, dict) for row in listed):
        raise Unsure("a page holds no list of calls")
    return listed


def every_row(
    read: Callable[[Page], tuple[Sequence[Row], Page | None]], first: Page, most: int = MAX_PAGES
) -> Iterator[Row]:
    """The rows of all pages from the first on. ``read`` gives a page's rows and the next page, None after the last.

    Raises Unsure where there are more pages than ``most``.
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
    """The query of the next page's address; None after the last page. Raises Unsure where the address has none.

    The rest of the address is ours: whatever a page says, our credentials go nowhere else.
    """
    if uri is None or uri == "":
        return None
    query = query_of(uri) if isinstance(uri, str) else ""
    if not query:
        raise Unsure("the next page's address cannot be read")
    return query
