"""What people deploy: the package itself."""

import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from ops.local.package import Package, build_package

pytestmark = pytest.mark.e2e

MOST_BYTES = 15 * 1024 * 1024
# What the Python runtime of Lambda brings along; everything else must be in the package.
IN_THE_RUNTIME = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")


@pytest.fixture(scope="module")
def package() -> Package:
    return build_package("dev")


def test_the_package_is_small(package: Package) -> None:
    assert package.code.stat().st_size < MOST_BYTES


def test_the_package_holds_no_bytecode_and_nothing_that_only_people_run(package: Package) -> None:
    with zipfile.ZipFile(package.code) as code:
        names = code.namelist()
    assert [name for name in names if "__pycache__" in name or name.startswith(("ops/", "tests/"))] == []


def test_the_package_needs_nothing_beside_what_lambda_brings(package: Package, tmp_path: Path) -> None:
    deployed, runtime = tmp_path / "deployed", tmp_path / "runtime"
    with zipfile.ZipFile(package.code) as code:
        code.extractall(deployed)
    runtime.mkdir()
    for name in IN_THE_RUNTIME:
        spec = find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        origin = Path(spec.origin)
        here = origin.parent if spec.submodule_search_locations else origin
        (runtime / here.name).symlink_to(here)
    imported = subprocess.run(
        [
            sys.executable,
            *("-I", "-S", "-c"),
            f"import sys; sys.path[:0] = [{str(deployed)!r}, {str(runtime)!r}]; import app; print(app.__file__)",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (imported.stdout.strip(), imported.stderr) == (str(deployed / "app.py"), "")
