"""Read the items of a list one by one: an item that cannot be read is skipped and recorded, the others are listed."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from chalicelib.runtime.log import warn

Found = TypeVar("Found")
Result = TypeVar("Result")

#: what reading an item's data raises where the data is not of a shape that this release knows
UNREADABLE = (ValueError, TypeError, LookupError, AttributeError)


def read_each(
    found: Iterable[Found],
    read: Callable[[Found], Result],
    name: Callable[[Found], str],
    skipped: Callable[[str], None] = lambda _: None,
) -> Iterator[Result]:
    """Yield what ``read`` makes of each item. An item that it cannot read is a line in the log.

    ``name`` gives an item's id for that line, and ``skipped`` is called with the id.
    """
    for each in found:
        try:
            result = read(each)
        except UNREADABLE as error:
            # The error's text may hold what the item does, so the line has only its kind.
            warn("item-unreadable", item=name(each), error=type(error).__name__)
            skipped(name(each))
        else:
            yield result
