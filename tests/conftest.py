"""The fixtures of all tests.

This module imports moto before the app, so that the app's clients are moto's.
"""

import gc
import os
from collections.abc import Callable, Iterator
from functools import partial

import moto
import pytest
from chalice.local import LambdaContext
from hypothesis import settings

from chalicelib.api import current
from chalicelib.runtime import services as parts
from ops.simulate import quick_moto
from ops.simulate.strict_aws import StrictAws
from tests.support.kept_clients import KeptClients, keep_descriptions, keep_user_agent
from tests.support.world import ENV, FakeTwilio, TurnedClock, World, create_table, new_client

# A machine's own AWS settings must not reach the tests.
for _name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
    os.environ.pop(_name, None)
quick_moto.install()
keep_descriptions()
keep_user_agent()
# Hypothesis fails an example that takes 200 ms of real time. A busy machine takes longer for some examples.
settings.register_profile("without-deadline", deadline=None, print_blob=True)
settings.load_profile("without-deadline")
CLIENTS = KeptClients()
# What pytest collects stays until the end. To search it for garbage takes half of the time of the collection.
gc.disable()

pytest_plugins = ["tests.support.iam_recorder", "tests.support.together"]


def pytest_collection_finish() -> None:
    """Enable the garbage collector again, for the garbage of the tests only."""
    gc.freeze()
    gc.enable()


@pytest.fixture
def monkeypatch(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Change pytest's fixture: a changed environment restarts the app's process.

    A process reads its environment only once.
    """
    for name in ("setenv", "delenv"):
        monkeypatch.__dict__[name] = _forgetting(getattr(monkeypatch, name))
    return monkeypatch


def _forgetting(change: Callable[..., None]) -> Callable[..., None]:
    def changed(*args: object, **kwargs: object) -> None:
        change(*args, **kwargs)
        current.forget()

    return changed


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Set up a fresh Redial: an empty table, no rules, clock at 2026-01-26 10:00 UTC."""
    environ = os.environ
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)
    clock = TurnedClock()
    twilio = FakeTwilio(clock)
    parts.client.cache_clear()
    # chalice's test client gives an invocation three seconds of real time, and this machine may be busy.
    monkeypatch.setattr("chalice.test.LambdaContext", partial(LambdaContext, max_runtime_ms=120_000))
    monkeypatch.setattr(parts, "_session", lambda: CLIENTS)
    with moto.mock_aws():
        aws = StrictAws()
        watched = [parts.client(service) for service in ("dynamodb", "events", "scheduler")]
        for each in watched:
            aws.attach(each)
        CLIENTS.begin()
        create_table(parts.client("dynamodb"))
        current.restart(clock, twilio)  # type: ignore[arg-type]
        with new_client() as client:
            yield World(client, clock, twilio, aws)
    for each in watched:
        aws.detach(each)
    CLIENTS.take_back()
    os.environ = environ  # noqa: B003 - overlapping calls leave the client's copy behind
    current.restart()
    parts.client.cache_clear()


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Report a measured figure in a separate list below the test run."""
    return lambda text: record_property("figure", text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", [])
    told = [text for report in reports for name, text in report.user_properties if name == "figure"]
    if told:
        terminalreporter.section("measured")
        for text in sorted(told):
            terminalreporter.line(str(text))
