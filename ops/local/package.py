"""The package of the app from `chalice package`, made once for each source state."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.deploying.template import merge_template
from ops.local.ministack import REGION, LocalError

ROOT = Path(__file__).parents[2]
LOCAL = ROOT / ".local"
KEPT_PACKAGES = 5


@dataclass(frozen=True, slots=True)
class Package:
    """The two files of a deployment: the SAM template and the code that it names."""

    template: Path
    code: Path

    def read_template(self) -> dict[str, Any]:
        """Return the SAM template."""
        document: dict[str, Any] = json.loads(self.template.read_text())
        return document


def build_package(stage: str = "dev") -> Package:
    """Return the package of the source as it is now.

    A package that was made before comes from ``.local/package``. Raises LocalError with Chalice's output if Chalice
    fails.
    """
    made = LOCAL / "package" / _fingerprint(stage)
    package = Package(template=made / "sam.json", code=made / "deployment.zip")
    if made.exists():
        made.touch()
        return package
    builds = LOCAL / "build"
    builds.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=builds) as build:
        source, out, extras = Path(build, "source"), Path(build, "out"), Path(build, "extras.json")
        copy_source(source)
        extras.write_text(json.dumps(merge_template(stage)))
        run_chalice(source, "package", "--stage", stage, "--merge-template", str(extras), str(out))
        made.parent.mkdir(exist_ok=True)
        if not made.exists():
            out.rename(made)
    _remove_old(made.parent)
    return package


def copy_source(destination: Path) -> None:
    """Copy the files that Chalice reads, without bytecode, which it would deploy."""
    for path in _source_files():
        copy = destination / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def run_chalice(project: Path, *arguments: str, environment: dict[str, str] | None = None) -> str:
    """Run Chalice in a project and return its output.

    Raises LocalError with the output if Chalice fails.
    """
    done = subprocess.run(
        [sys.executable, "-c", "from chalice.cli import main; raise SystemExit(main())", *arguments],
        cwd=project,
        env=os.environ | {"AWS_DEFAULT_REGION": REGION, "PYTHONDONTWRITEBYTECODE": "1"} | (environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LocalError(f"chalice {arguments[0]} failed:\n{done.stdout}")
    return done.stdout


def _source_files() -> Iterator[Path]:
    yield ROOT / "app.py"
    yield ROOT / "requirements.txt"
    yield ROOT / ".chalice" / "config.json"
    yield from sorted((ROOT / ".chalice").glob("policy-*.json"))
    for folder in ("chalicelib", "vendor"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def _fingerprint(stage: str) -> str:
    digest = hashlib.sha256(f"{sys.version_info[:2]}{json.dumps(merge_template(stage))}".encode())
    for path in _source_files():
        content = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def _remove_old(packages: Path) -> None:
    newest_first = sorted(packages.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in newest_first[KEPT_PACKAGES:]:
        shutil.rmtree(old, ignore_errors=True)
