"""The deployed package."""

import json
import os
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from ops.deploying import packaging
from ops.local.package import ROOT, Package, build_package, copy_source

pytestmark = pytest.mark.e2e

MAX_BYTES = 15 * 1024 * 1024
# The packages of Lambda's Python runtime. All others must be in the package.
IN_THE_RUNTIME = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")


@pytest.fixture(scope="module")
def package() -> Package:
    return build_package("dev")


def test_the_package_is_small(package: Package) -> None:
    assert package.code.stat().st_size < MAX_BYTES


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


#: The fields of an ELF header: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
AARCH64 = 183


def test_the_runtime_and_the_processor_that_are_set_decide_what_is_packed(tmp_path: Path) -> None:
    source = tmp_path / "source"
    copy_source(source)
    config = source / ".chalice" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"lambda_architecture": "arm64"}))
    out = tmp_path / "out"
    command = "from ops.deploying.packaging import run_chalice; "
    command += f"raise SystemExit(run_chalice(['--project-dir', {str(source)!r},"
    command += f" 'package', {str(out)!r}]))"
    done = subprocess.run(
        [sys.executable, "-c", command],
        cwd=ROOT,
        env=os.environ | {"AWS_DEFAULT_REGION": "us-east-1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    template = json.loads((out / "sam.json").read_text())
    functions = [r["Properties"] for r in template["Resources"].values() if r["Type"] == "AWS::Serverless::Function"]
    assert {(each["Runtime"], *each["Architectures"]) for each in functions} == {("python3.13", "arm64")}
    with zipfile.ZipFile(out / "deployment.zip") as code:
        libraries = {name: code.read(name)[:20] for name in code.namelist() if name.endswith(".so")}
        compiled = {name for name in code.namelist() if name.endswith(".pyc")}
    assert {int.from_bytes(header[18:20], "little") for header in libraries.values()} == {AARCH64}
    assert any("cpython-313" in name for name in libraries)
    assert not any("cpython-311" in name for name in libraries)
    # This holds only if this machine has the runtime's Python.
    assert bool(compiled) == (packaging.interpreter("python3.13") is not None)
