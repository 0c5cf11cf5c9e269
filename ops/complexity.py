"""The check of the core's complexity: ``python -m ops.complexity``.

It prints every function with too many paths, because bugs hide in such functions. ``make test`` runs it after the
linters.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from radon.complexity import cc_visit

#: The maximum of independent paths in a function of the core (cyclomatic complexity, McCabe 1976).
MAX_COMPLEXITY = 8
#: The core: the state machine and its decisions, every use case, and the storage that they commit through.
CORE = (
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


def offenders(root: Path, patterns: tuple[str, ...] = CORE, most: int = MAX_COMPLEXITY) -> Iterator[str]:
    """Yield a line, with its place, for each function of more than ``most`` paths.

    Raises ValueError if a pattern matches no file.
    """
    for pattern in patterns:
        files = sorted(root.glob(pattern))
        if not files:
            raise ValueError(f"no file matches {pattern!r} under {root}; correct CORE in ops/complexity.py")
        for file in files:
            for block in cc_visit(file.read_text(encoding="utf-8")):
                if block.letter != "C" and block.complexity > most:
                    where = f"{file.relative_to(root)}:{block.lineno}"
                    yield f"{where} {block.fullname} has {block.complexity} paths; at most {most} can be followed"


def main() -> int:
    """Print the functions with too many paths. Return 1 if there are any, else 0."""
    found = sorted(set(offenders(Path(__file__).parents[1])))
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
