"""The lock that allows one local stack in a clone.

A second stack would replace the files of the first one in ``.local`` while the first one runs.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.local.ministack import LocalError


@contextmanager
def only_one(directory: Path) -> Iterator[None]:
    """Hold the lock of a directory until the block ends.

    Raises LocalError if another process holds the lock. A process that was killed holds nothing.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise LocalError(
                f"make run already runs in this clone (process {lock.read().strip() or 'unknown'}):"
                f" use that one ({directory.name}/env says how), or stop it with Ctrl-C first"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
