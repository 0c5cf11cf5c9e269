"""Measure how branched the heart is: ``python -m ops.complexity`` prints every function that is too hard to follow.

Faults hide where a function has many exits. ``make test`` runs this after the linters.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from radon.complexity import cc_visit

#: A function of the heart has no more independent paths than this (cyclomatic complexity, McCabe 1976).
MAX_COMPLEXITY = 8
#: The heart: the state machine and its decisions, every use case, and the storage that they commit through.
HEART = (
    "chalicelib/domain/lifecycle*.py",
    "chalicelib/domain/attempt_ends.py",
    "chalicelib/domain/decid*.py",
    "chalicelib/domain/late_callbacks.py",
    "chalicelib/domain/reached.py",
    "chalicelib/domain/silence.py",
    "chalicelib/domain/transition.py",
    "chalicelib/usecases/**/*.py",
    *(f"chalicelib/storage/{name}.py" for name in ("calls", "gates", "notes", "slots", "transact", "wakes")),
)


def offenders(root: Path, patterns: tuple[str, ...] = HEART, most: int = MAX_COMPLEXITY) -> Iterator[str]:
    """Each function with more paths than ``most``, as one line with its place. Raises ValueError for no files."""
    for pattern in patterns:
        files = sorted(root.glob(pattern))
        if not files:
            raise ValueError(f"no file matches {pattern!r} under {root}; correct HEART in ops/complexity.py")
        for file in files:
            for block in cc_visit(file.read_text(encoding="utf-8")):  # type: ignore[no-untyped-call]
                if block.letter != "C" and block.complexity > most:
                    where = f"{file.relative_to(root)}:{block.lineno}"
                    yield f"{where} {block.fullname} has {block.complexity} paths; at most {most} can be followed"


def main() -> int:
    """Print the offenders; 1 where there are any."""
    found = sorted(set(offenders(Path(__file__).parents[1])))
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
