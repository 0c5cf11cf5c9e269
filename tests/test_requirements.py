"""The file requirements.txt names what the deployed code imports.

All other imports come with the Lambda runtime.
"""

import ast
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parent.parent
#: boto3 and botocore are in Lambda's Python runtime, chalice adds itself to the package, and pydantic pins
#: pydantic_core
NOT_NAMED = {"boto3", "botocore", "chalice", "pydantic_core"}


def imported() -> Iterator[str]:
    for path in (ROOT / "app.py", *sorted((ROOT / "chalicelib").rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module.partition(".")[0]


def test_every_imported_package_is_named_or_in_the_runtime():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    named = {line.partition("==")[0].lower() for line in lines if not line.startswith("#")}
    distributions = packages_distributions()
    ours = {"app", "chalicelib", *sys.stdlib_module_names, *NOT_NAMED}
    missing = {
        module: distributions.get(module)
        for module in set(imported()) - ours
        if named.isdisjoint(name.lower() for name in distributions.get(module, []))
    }
    assert missing == {}
