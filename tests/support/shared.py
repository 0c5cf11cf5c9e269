"""Tests that stand in a base class and run over the tables of each subclass."""

from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from chalicelib.providers.http import Answer

Test = TypeVar("Test", bound=Callable[..., None])


def each_row(table: str, *columns: str) -> Callable[[Test], Test]:
    """Run a shared test once for each row of the case's ``table``.

    ``columns`` name the arguments of the test, one for each value of a row.
    """

    def mark(test: Test) -> Test:
        test.rows = (table, columns)  # type: ignore[attr-defined]
        return test

    return mark


class SharedTests:
    """The base of shared tests.

    A subclass, in the file of its vendor, gives the ``case``, whose attributes are the tables.
    """

    case: object

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make a case of each row; pytest calls this for each test of a subclass."""
        table, columns = getattr(metafunc.function, "rows", ("", ()))
        if table:
            metafunc.parametrize(",".join(columns), getattr(metafunc.cls.case, table), ids=case_id)


def case_id(value: Any) -> str | None:
    """Return a name for an answer or an exception. pytest names the rest."""
    if isinstance(value, Answer):
        return f"{value.status} {value.body[:40].decode('ascii', 'replace')}"
    return type(value).__name__ if isinstance(value, Exception) else None
