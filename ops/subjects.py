"""The check of commit subjects: ``python -m ops.subjects``.

A subject has at most 72 characters, begins with a verb in the imperative, and ends without a full stop. Continuous
integration runs the check.
"""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from ops.docstrings import VERBS

ROOT = Path(__file__).parents[1]
MAX_CHARS = 72
#: the rule holds for every commit after the one that added this file
SINCE = ("log", "--diff-filter=A", "--format=%H", "--", "ops/subjects.py")


def complaints(subjects: Iterable[str]) -> Iterator[str]:
    """Yield a line for each rule that a subject breaks."""
    for subject in subjects:
        if len(subject) > MAX_CHARS:
            yield f"{len(subject)} characters, at most {MAX_CHARS}: {subject}"
        first = subject.split(" ", 1)[0]
        if first.lower() not in VERBS or not first[:1].isupper():
            yield f"begins with no verb that ops/docstrings.py lists, such as Add or Keep: {subject}"
        if subject.endswith("."):
            yield f"ends with a full stop: {subject}"


def subjects_to_check() -> list[str] | None:
    """Return the subjects of the commits after the one that added this file.

    Returns None for a copy without git history.
    """
    added = _git(*SINCE)
    if not added:
        return None
    return _git("log", "--no-merges", "--format=%s", f"{added[-1]}..HEAD")


def _git(*arguments: str) -> list[str]:
    """Return the lines that git prints, or no lines if git fails."""
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True)
    return [] if done.returncode else done.stdout.splitlines()


def main() -> int:
    """Print the subjects to correct. Return 1 if there are any, else 0."""
    subjects = subjects_to_check()
    if subjects is None:
        print("there is no git history here: no subject of a commit was checked")
        return 0
    found = list(complaints(subjects))
    print(*found, f"{len(subjects)} subjects of new commits, {len(found)} to correct", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
