"""What make says to somebody who has just cloned the project."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def make(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make in a fresh clone, as far as make reads one."""
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, directory)
    environment = {"PATH": os.environ["PATH"]}
    return subprocess.run(
        ["make", *arguments], cwd=directory, env=environment, capture_output=True, text=True, check=False
    )


def test_help_names_the_variable_that_chooses_the_python(tmp_path: Path) -> None:
    (line,) = [line for line in make(tmp_path, "help").stdout.splitlines() if "make install" in line]
    assert "PYTHON=" in line


@pytest.mark.parametrize("script", [None, "exit 1"], ids=["missing", "too old"])
def test_a_python_that_will_not_do_is_named_with_what_would(tmp_path: Path, script: str | None) -> None:
    python = tmp_path / "python3.x"
    if script is not None:
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
    done = make(tmp_path, "install", f"PYTHON={python}")
    assert done.returncode != 0
    assert done.stderr.startswith(f"error: PYTHON={python} is not a Python of 3.11 or later on this machine: install")
    assert "make install PYTHON=python3.12" in done.stderr
    assert not (tmp_path / ".venv").exists()
