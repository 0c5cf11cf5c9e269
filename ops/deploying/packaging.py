"""Packaging: Chalice for the runtime of `.chalice/config.json`, and with bytecode.

Chalice deploys on the Python that runs it. Here it downloads the wheels of the runtime that is set, whichever Python
runs it. It refuses a package that lacks one of the wheels. If this computer has the runtime's Python, it compiles the
package, because a Lambda's disk keeps no bytecode. The bytecode is "unchecked": Python loads it without a look at the
source, whose dates a package does not keep.
"""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import PropertyMock, patch

import botocore.session
from botocore.exceptions import NoRegionError

from chalicelib.errors import RedialError
from ops.deploying import runtime

#: The oldest date that a zip can hold, which Chalice writes too: the same source makes the same package.
NO_DATE = (1980, 1, 1, 0, 0, 0)
#: These modules are seldom or never imported, and would be half of the bytecode.
NOT_COMPILED = r"/(pycparser|cffi|phonenumbers/(geodata|carrierdata|tzdata)|holidays/(countries|financial|locale))/"


def run_chalice(arguments: Sequence[str], say: Callable[[str], None] = print) -> int:
    """Run one of Chalice's commands for the runtime that is set.

    Return the exit status. Raises NoRegionError if no AWS region is set.
    """
    from chalice import cli  # takes a while to load, and few commands need it

    name = runtime.wanted()
    if botocore.session.get_session().get_config_variable("region") is None:
        # Chalice would report this only after a minute of packaging.
        raise NoRegionError
    with for_runtime(name, say), patch.object(sys, "argv", ["chalice", *arguments]):
        try:
            status: int = cli.main() or 0
        except SystemExit as ended:  # every command of click ends with SystemExit
            status = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    return status


@contextmanager
def for_runtime(name: str, say: Callable[[str], None]) -> Iterator[None]:
    """Let Chalice deploy on this runtime, with its wheels and with bytecode."""
    from chalice.cli import factory  # noqa: F401 - the import loads what is patched below
    from chalice.config import Config
    from chalice.deploy import packager, validate

    download: Any = packager.PipRunner.download_manylinux_wheels
    create: Any = packager.LambdaDeploymentPackager.create_deployment_package
    files: Any = packager.BaseLambdaDeploymentPackager._iter_app_filenames

    def download_for_runtime(pip: Any, *arguments: Any, **options: Any) -> Any:
        execute = pip._execute

        def for_version(command: str, args: list[str], *rest: Any, **more: Any) -> Any:
            return execute(command, ["--python-version", runtime.version(name), *args], *rest, **more)

        with patch.object(pip, "_execute", for_version):
            return download(pip, *arguments, **options)

    def create_compiled(self: Any, project_dir: str, python_version: str) -> str:
        package: str = create(self, project_dir, python_version)
        compile_package(Path(package), name, say)
        return package

    def without_bytecode(self: Any, project_dir: str) -> Iterator[tuple[str, str]]:
        # The bytecode in the project is of this computer's Python, and would change the package with each test.
        return (pair for pair in files(self, project_dir) if "__pycache__" not in Path(pair[0]).parts)

    changes: tuple[tuple[Any, str, Any], ...] = (
        (Config, "lambda_python_version", PropertyMock(return_value=name)),
        (validate, "validate_python_version", lambda *_: None),
        (packager.PipRunner, "download_manylinux_wheels", download_for_runtime),
        (packager.LambdaDeploymentPackager, "create_deployment_package", create_compiled),
        (packager.BaseLambdaDeploymentPackager, "_iter_app_filenames", without_bytecode),
        (packager.BaseLambdaDeploymentPackager, "_build_python_dependencies", _build_every_dependency),
    )
    with ExitStack() as changed:
        for owner, attribute, value in changes:
            changed.enter_context(patch.object(owner, attribute, value))
        yield


def _build_every_dependency(self: Any, python_version: str, requirements_filepath: str, site_packages_dir: str) -> None:
    from chalice.deploy.packager import MissingDependencyError

    abi = self._RUNTIME_TO_ABI[python_version]
    try:
        self._dependency_builder.build_site_packages(abi, requirements_filepath, site_packages_dir)
    except MissingDependencyError as error:
        # Chalice would warn, and deploy an app that cannot start.
        lacking = ", ".join(sorted(package.identifier for package in error.missing))
        raise RedialError(f"{python_version} has no wheel of {lacking}; set another {runtime.SETTING}") from error


def compile_package(package: Path, name: str, say: Callable[[str], None]) -> None:
    """Add the bytecode of a runtime to a package, once.

    Say so if this computer does not have the runtime's Python.
    """
    with zipfile.ZipFile(package) as packed:
        if any(each.endswith(".pyc") for each in packed.namelist()):
            return
        python = interpreter(name)
        if python is None:
            say(f"no {name} on this machine, so the package has no bytecode: cold starts take twice as long")
            return
        with tempfile.TemporaryDirectory() as directory:
            packed.extractall(directory)
            _compile(python, Path(directory))
            _pack(Path(directory), package)


def interpreter(name: str) -> str | None:
    """Return a Python of the runtime's version that runs here; None if there is none."""
    if f"python{sys.version_info[0]}.{sys.version_info[1]}" == name:
        return sys.executable
    found = shutil.which(name)
    # Version managers install shims for versions that are not selected, and these shims fail.
    return (
        found if found and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0 else None
    )


def _compile(python: str, directory: Path) -> None:
    options = [
        "-q",
        "-x",
        NOT_COMPILED,
        "--invalidation-mode",
        "unchecked-hash",
        "-s",
        str(directory),
        "-p",
        "/var/task",
    ]
    done = subprocess.run(
        [python, "-I", "-m", "compileall", *options, str(directory)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RedialError(f"the package does not compile for {python}: {done.stdout[-500:]}{done.stderr[-500:]}")


def _pack(directory: Path, package: Path) -> None:
    made = package.with_suffix(".new")
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(each for each in directory.rglob("*") if each.is_file()):
            entry = zipfile.ZipInfo(str(path.relative_to(directory)), NO_DATE)
            entry.external_attr = 0o644 << 16
            packed.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    made.replace(package)
