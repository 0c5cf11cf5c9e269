"""The tests that run in one pytest worker because they share a stack or a server."""

from collections.abc import Mapping

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

#: file -> what its tests share
SHARED: Mapping[str, str] = {
    "tests/e2e/test_adopting.py": "stack",
    "tests/e2e/test_loop.py": "stack",
    "tests/e2e/test_providers.py": "stack",
    "tests/e2e/test_concurrency.py": "ministack",
}


class Together(LoadScopeScheduling):
    """A scheduler that keeps tests with a shared thing together, and spreads others."""

    def _split_scope(self, nodeid: str) -> str:
        return SHARED.get(nodeid.partition("::")[0], nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """Use this scheduler for ``--dist loadscope``."""
    return Together(config, log) if config.getoption("dist") == "loadscope" else None
