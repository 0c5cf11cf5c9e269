"""Which tests run in one worker when pytest spreads them: those that share a running stack, or a server."""

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
    """Tests go to whichever worker is free, but for those that share something."""

    def _split_scope(self, nodeid: str) -> str:
        return SHARED.get(nodeid.partition("::")[0], nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """``--dist loadscope`` means this one."""
    return Together(config, log) if config.getoption("dist") == "loadscope" else None
