"""Files that only their owner may read: they hold keys, credentials and phone numbers."""

import os
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Write a file, renamed into place: whoever reads it finds all of it."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    with open(unfinished, "w", opener=owner_only) as file:
        file.write(text)
    unfinished.replace(path)


def owner_only(path: str, flags: int) -> int:
    """Open a file that is made with mode 0600; an ``opener`` for ``open``."""
    return os.open(path, flags, 0o600)
