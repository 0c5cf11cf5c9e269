"""The tables of the docs are complete: routes, settings and credentials."""

import re
from pathlib import Path

import pytest

from app import app
from chalicelib import providers

ROOT = Path(__file__).parents[2]
API = (ROOT / "docs" / "api.md").read_text()
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
#: not for users: the name of the app is fixed, and no webhooks are sent yet
INTERNAL = {"REDIAL_APP_NAME", "WEBHOOK_ALLOW_LOCAL"}


def nameless(path: str) -> str:
    """Return a path with its parameters' names left out."""
    return re.sub(r"{\w+}", "{}", path)


def test_each_route_is_in_the_table_of_routes() -> None:
    shown = {nameless(path) for path in re.findall(r"(/[\w/{}.-]*)`", API)}
    assert {path for path in app.routes if nameless(path) not in shown} == set()


def test_each_setting_is_in_the_tables_of_settings() -> None:
    settings = (ROOT / "chalicelib" / "runtime" / "settings.py").read_text()
    read = set(re.findall(r'"([A-Z]+_[A-Z_]+|DIALING)"', settings)) - INTERNAL
    assert len(read) > 20
    assert {name for name in read if f"`{name}`" not in CONFIGURATION} == set()


@pytest.mark.parametrize("name", providers.REGISTRY)
def test_each_credential_is_in_the_table_of_providers(name: str) -> None:
    (row,) = re.findall(rf"^\| `{name}` \|.*$", CONFIGURATION, re.MULTILINE)
    wanted = {f"{name.upper()}_{key.upper()}" for key in providers.provider_class(name).required}
    assert {variable for variable in wanted if f"`{variable}`" not in row} == set()
    assert row.endswith(f"| {providers.provider_class(name).calls_per_second:g} |")
