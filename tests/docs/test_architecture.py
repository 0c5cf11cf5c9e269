"""The architecture page names existing files and every folder of the app."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def test_each_file_that_is_named_exists() -> None:
    named = set(re.findall(r"`((?:app|chalicelib|ops|tests|docs)[\w/.-]*(?:\.\w+|/))`", PAGE + CONTRIBUTING))
    assert len(named) > 30
    assert {path for path in named if not (ROOT / path).exists()} == set()


def test_each_folder_of_the_app_is_on_the_map() -> None:
    folders = {f"chalicelib/{each.parent.name}/" for each in (ROOT / "chalicelib").glob("*/__init__.py")}
    assert {folder for folder in folders if f"| `{folder}` |" not in PAGE} == set()
