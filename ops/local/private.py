"""Files that only their owner may read: they hold keys, credentials and numbers."""

import os
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Write a file under another name, then rename it.

    A reader finds the old content or all of the new content.
    """
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    with open(unfinished, "w", opener=owner_only) as file:
        file.write(text)
    unfinished.replace(path)


def owner_only(path: str, flags: int) -> int:
    """Open a file, with mode 0600 if it is new. This is an ``opener`` for ``open``."""
    return os.open(path, flags, 0o600)
