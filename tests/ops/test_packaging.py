"""The package for AWS.

One setting names the runtime for both ways to deploy, and the package holds bytecode for it.
"""

import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from chalice.config import Config
from chalice.deploy.packager import LambdaDeploymentPackager, PipRunner

from chalicelib.errors import RedialError
from ops.__main__ import main
from ops.deploying import packaging, runtime

HERE = f"python{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    path = tmp_path / "deployment.zip"
    with zipfile.ZipFile(path, "w") as code:
        code.writestr("app.py", "NAME = 'app'\n")
        code.writestr("chalicelib/clock.py", "NAME = 'clock'\n")
        code.writestr("pycparser/ply.py", "NAME = 'ply'\n")
    return path


def files(package: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(package) as code:
        return {name: code.read(name) for name in code.namelist()}


def test_a_package_gets_bytecode_that_is_used_without_a_look_at_the_source(package: Path) -> None:
    before = files(package)
    packaging.compile_package(package, HERE, say=pytest.fail)
    tag = sys.implementation.cache_tag
    added = {name: code for name, code in files(package).items() if name not in before}
    assert set(added) == {f"__pycache__/app.{tag}.pyc", f"chalicelib/__pycache__/clock.{tag}.pyc"}
    # PEP 552: after the magic number, 1 means a hash that is not checked.
    assert {code[4:8] for code in added.values()} == {b"\x01\x00\x00\x00"}


def test_the_same_source_makes_the_same_package(package: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.zip"
    other.write_bytes(package.read_bytes())
    for each in (package, other):
        packaging.compile_package(each, HERE, say=pytest.fail)
    once = package.read_bytes()
    assert once == other.read_bytes()
    packaging.compile_package(package, HERE, say=pytest.fail)
    assert package.read_bytes() == once


def test_without_the_runtimes_python_the_package_stays_unchanged(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    before = package.read_bytes()
    monkeypatch.setenv("PATH", "")
    packaging.compile_package(package, "python3.99", say=said.append)
    assert package.read_bytes() == before
    assert said == ["no python3.99 on this machine, so the package has no bytecode: cold starts take twice as long"]


def test_chalice_deploys_on_the_runtime_that_is_set_with_its_wheels() -> None:
    asked: list[list[str]] = []

    class Pip:
        def main(self, arguments: list[str], **_: Any) -> tuple[int, bytes, bytes]:
            asked.append(arguments)
            return 0, b"", b""

    before = Config().lambda_python_version
    with packaging.for_runtime("python3.13", say=pytest.fail):
        assert Config().lambda_python_version == "python3.13"
        PipRunner(Pip()).download_manylinux_wheels("cp313", ["pydantic-core==2.49.0"], "there")
    assert Config().lambda_python_version == before == HERE
    (arguments,) = asked
    assert arguments[:3] == ["download", "--python-version", "3.13"]
    assert arguments[-1] == "pydantic-core==2.49.0"


def test_a_dependency_without_a_wheel_stops_the_deployment() -> None:
    from chalice.deploy.packager import MissingDependencyError, Package

    class Builder:
        def build_site_packages(self, *_: Any) -> None:
            raise MissingDependencyError({Package("there", "pydantic_core-2.49.0-cp311-cp311-any.whl")})

    packager = LambdaDeploymentPackager(None, Builder(), None)
    with (
        packaging.for_runtime("python3.13", say=pytest.fail),
        pytest.raises(
            RedialError, match=r"python3.13 has no wheel of pydantic.core==2\.49\.0; set another lambda_runtime"
        ),
    ):
        packager._build_python_dependencies("python3.13", "requirements.txt", "there")


def test_bytecode_of_this_machine_is_not_packed(tmp_path: Path) -> None:
    (tmp_path / "chalicelib" / "__pycache__").mkdir(parents=True)
    (tmp_path / "chalicelib" / "clock.py").write_text("")
    (tmp_path / "chalicelib" / "__pycache__" / "clock.cpython-311.pyc").write_text("")
    from chalice.utils import OSUtils

    with packaging.for_runtime("python3.13", say=pytest.fail):
        packed = [
            path for _, path in LambdaDeploymentPackager(OSUtils(), None, None)._iter_app_filenames(str(tmp_path))
        ]
    assert packed == ["chalice/app.py", "chalice/__init__.py", "app.py", "chalicelib/clock.py"]


def test_a_runtime_that_aws_does_not_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.deploying.chalice_config.read", lambda: {"lambda_runtime": "python3.15"})
    with pytest.raises(RedialError, match=r"lambda_runtime is 'python3\.15' in \.chalice/config\.json"):
        runtime.wanted()


def test_without_a_region_deploying_says_so_before_it_packs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    assert main(["package", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == (
        "error: no AWS region is set: set AWS_DEFAULT_REGION, or the region of your profile\n"
    )


def test_the_runtime_that_is_set_lasts_for_a_year() -> None:
    assert (runtime.ENDS_ON[runtime.wanted()] - min(runtime.ENDS_ON.values())).days > 365


def test_a_stand_in_of_a_version_manager_is_no_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert packaging.interpreter("python3.13") in (None, sys.executable)


def test_an_environment_that_lambda_would_refuse_stops_the_deployment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # An address cannot be a reference, even a long one.
    told = {"TWILIO_ANSWER_URL": "https://example.com/" + "a" * 2200, "VONAGE_PRIVATE_KEY": "x" * 1900}
    monkeypatch.setattr("ops.deploying.chalice_config.environment", lambda stage: told)
    monkeypatch.setattr(packaging, "run_chalice", lambda *_: pytest.fail("it went on"))
    assert main(["deploy"]) == 1
    said = capsys.readouterr().err
    assert "and Lambda allows 4096" in said
    assert "then set VONAGE_PRIVATE_KEY to ssm:/redial-dev/vonage-private-key" in said
