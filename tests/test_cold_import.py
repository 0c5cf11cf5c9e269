"""What a cold start loads: nothing that the request at hand does not need."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chalicelib.providers import REGISTRY
from tests.providers.cases import case
from tests.support.world import ENV

ROOT = Path(__file__).parent.parent
#: loaded only by who needs them: each costs a cold start tens of milliseconds
LAZY = ("phonenumbers", "holidays", "boto3", "nacl", "rsa", "cryptography", "twilio", "rich")
#: what makes the API's document, wanted by nobody but its readers
DOCUMENT = ("openapi", "operations", "answers", "docs_page")
LOADED = "; import json, sys; print(json.dumps(sorted(sys.modules)))"


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after running the code."""
    env = {**os.environ, **ENV, "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", code + LOADED], env=env, capture_output=True, text=True, check=True)
    return set(json.loads(run.stdout.splitlines()[-1]))


def providers_in(modules: set[str]) -> set[str]:
    return {name for name, (module, _) in REGISTRY.items() if f"chalicelib.providers.{module}" in modules}


def test_the_app_loads_no_provider_and_nothing_heavy() -> None:
    modules = loaded_by("import app")
    assert providers_in(modules) == set()
    assert [name for name in LAZY if name in modules] == []
    assert [name for name in DOCUMENT if f"chalicelib.api.{name}" in modules] == []


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
    # A callback without a signature is refused before any library is asked about it.
    assert [module for module in LAZY if module in modules] == []
