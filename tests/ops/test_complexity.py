"""The check of the core's complexity names the functions with too many paths."""

from pathlib import Path

import pytest

from ops import complexity

ROOT = Path(complexity.__file__).parents[1]


def branched(name: str, branches: int) -> str:
    lines = [f"    if x == {n}:\n        return {n}" for n in range(branches)]
    return "\n".join([f"def {name}(x):", *lines, "    return x", ""])


def test_a_function_with_too_many_paths_is_named_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "core.py").write_text(branched("plain", 7) + branched("knotted", 8))
    assert list(complexity.offenders(tmp_path, ("*.py",))) == [
        "core.py:17 knotted has 9 paths; at most 8 can be followed"
    ]


def test_a_pattern_that_matches_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no file matches 'gone\.py'"):
        list(complexity.offenders(tmp_path, ("gone.py",)))


def test_no_function_of_the_core_has_too_many_paths(capsys: pytest.CaptureFixture[str]) -> None:
    assert (complexity.main(), capsys.readouterr().out) == (0, "")
