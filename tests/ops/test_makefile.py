"""The output of make for a user who has just cloned the project."""

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


def python_that_prints(path: Path, version: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\ncase "$*" in *print*) echo {version};; esac\n')
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (
            "3.13",
            "error: .venv has Python 3.11, and PYTHON={python} is 3.13: run make clean first, or leave PYTHON= out\n",
        ),
        (
            None,
            "error: .venv has Python 3.11, and PYTHON={python} is not on this machine: run make clean first, or leave",
        ),
        ("3.11", ""),
    ],
)
def test_another_python_than_the_one_of_the_venv_is_refused(tmp_path: Path, wanted: str | None, said: str) -> None:
    python_that_prints(tmp_path / ".venv" / "bin" / "python", "3.11")
    python = tmp_path / "python3.x"
    if wanted is not None:
        python_that_prints(python, wanted)
    done = make(tmp_path, "install", f"PYTHON={python}")
    assert (done.returncode != 0, done.stderr[: len(said.format(python=python))]) == (
        bool(said),
        said.format(python=python),
    )


def test_the_python_of_the_venv_need_not_be_the_default(tmp_path: Path) -> None:
    python_that_prints(tmp_path / ".venv" / "bin" / "python", "3.13")
    assert make(tmp_path, "install").returncode == 0
