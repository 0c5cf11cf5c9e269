"""The state that a local stack keeps between two runs.

It has the ports, the API key, the credentials of the mock carrier, and the items of the tables.
"""

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ops.local.ministack import LocalError
from ops.local.private import write_private

FOLDER = "kept"
#: The file in which ministack keeps the items (see kept_items).
ITEMS = "items.jsonl"


@dataclass(slots=True)
class Kept:
    """The values of the last run, empty at the first run. Port 0 is any free port."""

    directory: Path
    aws_port: int = 0
    carrier_port: int = 0
    api_key: str = ""
    carrier_environment: dict[str, str] = field(default_factory=dict)

    @property
    def items(self) -> Path:
        """The file of the tables' items."""
        return self.directory / ITEMS

    def save(self) -> None:
        """Write the values for the next run."""
        values = {name: value for name, value in asdict(self).items() if name != "directory"}
        write_private(_values(self.directory), json.dumps(values))


def read_kept(directory: Path) -> Kept:
    """Return what the last stack of the directory kept.

    Raises LocalError if the file cannot be read.
    """
    folder = directory / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _values(folder).exists():
        return Kept(folder)
    try:
        return Kept(folder, **json.loads(_values(folder).read_text()))
    except (ValueError, TypeError) as error:
        raise LocalError(f"{_values(folder)} cannot be read: make run FRESH=1 begins without it") from error


def forget(directory: Path) -> None:
    """Remove what the last stack of the directory kept."""
    shutil.rmtree(directory / FOLDER, ignore_errors=True)


def _values(folder: Path) -> Path:
    return folder / "stack.json"
