"""The reading of a list of items, of which some may be unreadable.

Redial skips and logs an item that it cannot read. The list has the others.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from chalicelib.runtime.log import warn

Found = TypeVar("Found")
Result = TypeVar("Result")

#: The errors of reading an item whose data has a shape that this release does not know.
UNREADABLE = (ValueError, TypeError, LookupError, AttributeError)


def read_each(
    found: Iterable[Found],
    read: Callable[[Found], Result],
    name: Callable[[Found], str],
    skipped: Callable[[str], None] = lambda _: None,
) -> Iterator[Result]:
    """Yield the result of ``read`` for each item that it can read.

    For any other item, this writes a log line with the item's id, which ``name`` returns, and calls ``skipped`` with
    the id.
    """
    for each in found:
        try:
            result = read(each)
        except UNREADABLE as error:
            # The error's text may contain the item's data, so the line has only the error's type.
            warn("item-unreadable", item=name(each), error=type(error).__name__)
            skipped(name(each))
        else:
            yield result
