"""What people deploy: the package itself, and `chalice deploy` from a clean copy of the project."""

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from ops.local.ministack import Ministack
from ops.local.package import ROOT, Package, build_package, copy_source, run_chalice

pytestmark = pytest.mark.e2e

MOST_BYTES = 15 * 1024 * 1024
# What the Python runtime of Lambda brings along; everything else must be in the package.
IN_THE_RUNTIME = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
# What EventBridge sends for a schedule.
TICK = {
    "version": "0",
    "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "000000000000",
    "time": "2026-01-26T10:30:00Z",
    "region": "us-east-1",
    "resources": ["arn:aws:events:us-east-1:000000000000:rule/redial-dev-sweep-event"],
    "detail": {},
}


@pytest.fixture(scope="module")
def package() -> Package:
    return build_package("dev")


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[Ministack]:
    with Ministack(tmp_path / "aws") as running:
        yield running


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


def test_chalice_deploy_redeploy_and_delete(aws: Ministack, tmp_path: Path) -> None:
    project = tmp_path / "redial"
    copy_source(project)
    assert "deploy, then run this again" in provision(aws)

    url = deploy(aws, project)
    assert "permission for rule/redial-dev-wake-* to invoke redial-dev-redial" in provision(aws)
    assert provision(aws).endswith("nothing to do\n")
    assert get(f"{url}/health") == (200, b'{"status":"ok"}')
    assert invoke(aws, "redial-dev-redial", {"wake": "2026-01-26T10:30Z"}) == "succeeded"
    assert invoke(aws, "redial-dev-sweep", TICK) == "succeeded"

    assert deploy(aws, project) == url
    assert get(f"{url}/health") == (200, b'{"status":"ok"}')
    assert get(f"{url}/nothing-here")[0] == 403
    assert provision(aws).endswith("nothing to do\n")

    run_chalice(project, "delete", "--stage", "dev", environment=aws.environment)
    assert aws.client("lambda").list_functions()["Functions"] == []
    assert aws.client("events").list_rules()["Rules"] == []
    assert aws.client("dynamodb").list_tables()["TableNames"] == ["redial-dev"]


def deploy(aws: Ministack, project: Path) -> str:
    """Deploy, and return the URL under which ministack serves the API that Chalice names."""
    said = run_chalice(project, "deploy", "--stage", "dev", environment=aws.environment)
    api = re.search(r"Rest API URL: https://(\w+)\.execute-api\.", said)
    assert api, said
    return f"{aws.url}/_aws/execute-api/{api[1]}/api"


def provision(aws: Ministack) -> str:
    return subprocess.run(
        [sys.executable, "-m", "ops", "provision", "--stage", "dev"],
        cwd=ROOT,
        env=aws.environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def invoke(aws: Ministack, name: str, event: dict[str, Any]) -> str:
    """Invoke a Lambda: "succeeded", or what it failed with."""
    answer = aws.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
    return answer["Payload"].read().decode() if "FunctionError" in answer else "succeeded"


def get(url: str) -> tuple[int, bytes]:
    try:
        with urlopen(url, timeout=30) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()
