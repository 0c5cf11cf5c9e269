"""The tables of the docs are complete: routes, settings and credentials."""

import ast
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from app import app
from chalicelib import providers

ROOT = Path(__file__).parents[2]
API = (ROOT / "docs" / "api.md").read_text()
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
#: commands for developers of Redial, and the local stack, whose variables no deployment has
DEVELOPMENT = ("benchmarks", "local", "simulate")
#: Lambda sets this variable itself.
SET_BY_LAMBDA = {"AWS_REGION"}


def nameless(path: str) -> str:
    """Return a path with its parameters' names left out."""
    return re.sub(r"{\w+}", "{}", path)


def test_each_route_is_in_the_table_of_routes() -> None:
    shown = {nameless(path) for path in re.findall(r"(/[\w/{}.-]*)`", API)}
    assert {path for path in app.routes if nameless(path) not in shown} == set()


def test_each_variable_that_the_code_reads_is_in_the_tables() -> None:
    ops = (path for path in (ROOT / "ops").rglob("*.py") if path.relative_to(ROOT).parts[1] not in DEVELOPMENT)
    read = {name for path in (*(ROOT / "chalicelib").rglob("*.py"), *ops) for name in variables(path.read_text())}
    assert read >= {"DIALING", "LOG_NUMBERS", "REDIAL_TRACEBACK", "SWEEP_RESERVED_CONCURRENCY", "WAKE_LEAD_SECONDS"}
    assert {name for name in read - SET_BY_LAMBDA if f"`{name}`" not in CONFIGURATION} == set()


def variables(source: str) -> Iterator[str]:
    """Yield the environment variables that a module reads.

    Examples: ``env.get("NAME")``, ``_whole(env, "NAME", ...)``.
    """
    tree = ast.parse(source)
    constants = {
        target.id: strings(each.value)
        for each in tree.body
        if isinstance(each, ast.Assign | ast.AnnAssign) and each.value is not None
        for target in (each.targets if isinstance(each, ast.Assign) else [each.target])
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        names: list[ast.expr] = []
        match node:
            case ast.Call(func=func, args=args) if reads_environment(func, *args):
                names = args
            case ast.Subscript(value=value, slice=key) if reads_environment(value):
                names = [key]
        for each in names:
            inner = (constants.get(name.id, []) for name in ast.walk(each) if isinstance(name, ast.Name))
            yield from (
                text for text in [*strings(each), *chain.from_iterable(inner)] if re.fullmatch(r"[A-Z][A-Z_]{3,}", text)
            )


def reads_environment(*parts: ast.expr) -> bool:
    return any(
        re.search(r"\b(os\.environ|env|environment\(\w*\.?stage\)|_whole)\b", ast.unparse(part)) for part in parts
    )


def strings(node: ast.expr) -> list[str]:
    return [each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)]


@pytest.mark.parametrize("name", providers.REGISTRY)
def test_each_credential_is_in_the_table_of_providers(name: str) -> None:
    (row,) = re.findall(rf"^\| `{name}` \|.*$", CONFIGURATION, re.MULTILINE)
    wanted = {f"{name.upper()}_{key.upper()}" for key in providers.provider_class(name).required}
    assert {variable for variable in wanted if f"`{variable}`" not in row} == set()
    assert row.endswith(f"| {providers.provider_class(name).calls_per_second:g} |")
