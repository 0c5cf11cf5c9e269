"""One local stack for all the end-to-end tests."""

from collections.abc import Iterator, Mapping

import pytest

from ops.local.package import LOCAL
from ops.local.stack import LocalStack

#: A directory of its own, so that a stack of `make run` keeps its env file.
DIRECTORY = LOCAL / "e2e"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the tests that wait for real minutes first. The simulations fill the time."""
    items.sort(key=lambda item: item.path.name == "test_mutants.py" or item.get_closest_marker("e2e") is None)


@pytest.fixture(scope="session")
def stack() -> Iterator[Mapping[str, str]]:
    """Provide the environment of a running stack, as in its env file.

    It has BASE_URL, API_KEY, CARRIER_URL and other variables.
    """
    with LocalStack(directory=DIRECTORY) as running:
        yield running.env
