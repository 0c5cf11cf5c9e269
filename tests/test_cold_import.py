"""The imports of a cold start: only those that the request needs."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chalicelib.providers import REGISTRY
from ops.benchmarks import cold_start
from tests.providers.cases import case
from tests.support.world import ENV

ROOT = Path(__file__).parent.parent
#: loaded only if needed: each costs a cold start tens of milliseconds
LAZY = ("phonenumbers", "holidays", "boto3", "cryptography", "twilio", "rich")
#: needed only by requests with a body in one of our formats
SCHEMAS = ("chalicelib.api.schemas", "chalicelib.dialects")
#: the modules that make the API's document, needed only by its readers
DOCUMENT = tuple(f"chalicelib.api.{name}" for name in ("openapi", "operations", "answers", "docs_page"))
LOADED = "\nimport json, sys; print(json.dumps(sorted(sys.modules)))"


def loaded_by(code: str) -> set[str]:
    """Return the modules that a fresh interpreter has loaded after the code."""
    env = {**os.environ, **ENV, "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", code + LOADED], env=env, capture_output=True, text=True, check=True)
    return set(json.loads(run.stdout.splitlines()[-1]))


def providers_in(modules: set[str]) -> set[str]:
    return {name for name, (module, _) in REGISTRY.items() if f"chalicelib.providers.{module}" in modules}


def test_the_app_loads_no_provider_and_nothing_heavy() -> None:
    modules = loaded_by("import app")
    assert providers_in(modules) == set()
    assert [name for name in (*LAZY, *SCHEMAS, *DOCUMENT) if name in modules] == []


@pytest.mark.parametrize("what", [name for name in cold_start.cases() if "first AWS call" in name])
def test_a_callback_and_a_wake_load_no_schema_of_a_request(what: str) -> None:
    modules = loaded_by(cold_start.cases()[what])
    assert [name for name in SCHEMAS if name in modules] == []


def test_tracing_by_x_ray_loads_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    untraced = loaded_by(cold_start.REDIAL)
    for name, value in {
        "_X_AMZN_TRACE_ID": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
        "AWS_LAMBDA_FUNCTION_NAME": "redial-dev-redial",
        "AWS_XRAY_DAEMON_ADDRESS": "169.254.79.129:2000",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
    }.items():
        monkeypatch.setenv(name, value)
    assert loaded_by(cold_start.REDIAL) == untraced


@pytest.mark.slow
def test_the_app_starts_in_a_quarter_more_than_the_least_that_it_must_load(figure: Callable[[str], None]) -> None:
    # A busy machine may spoil one series, but hardly three.
    ratios: list[float] = []
    while len(ratios) < 3 and (not ratios or ratios[-1] > cold_start.LIMIT):
        ratios.append(cold_start.ratio())
    figure(f"cold start: {' '.join(f'{ratio:.2f}' for ratio in ratios)} x the floor (median of {cold_start.RUNS})")
    assert ratios[-1] <= cold_start.LIMIT


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_a_callback_loads_only_the_provider_that_it_is_from(name: str) -> None:
    credentials = {f"{name.upper()}_{key.upper()}": value for key, value in case(name).credentials.items()}
    code = (
        f"import os; os.environ.update({credentials!r}); import app; from chalicelib.api import current; "
        f"provider = current.services().ports.provider({name!r}); "
        "from chalicelib.providers import CallbackRequest, SignatureError\n"
        "try: provider.verify(CallbackRequest('POST', 'https://example.com', {}, b''))\n"
        "except SignatureError: pass\n"
        "0"
    )
    modules = loaded_by(code)
    assert providers_in(modules) == {name}
    # A callback without a signature is rejected before any library is used.
    assert [module for module in LAZY if module in modules] == []


def test_the_garbage_collector_works_again_once_the_app_is_loaded() -> None:
    code = "import app, gc; assert gc.isenabled() and gc.get_freeze_count() > 10_000"
    loaded_by(code)
