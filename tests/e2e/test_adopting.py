"""The adoption example of docs/adopting.md on the local stack.

It runs as the page prints it, with Twilio's own SDK.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.e2e.conftest import DIRECTORY

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
SECTION = "## Try it on this machine"
#: the first dial, the wait for a full minute, and cold starts on two cores
MAX_SECONDS = 240
MAX_LINES_OF_PYTHON = 6


def blocks() -> tuple[str, str, str]:
    """Return the parts of the example: shell lines, the user's code, the last line."""
    section = (ROOT / "docs" / "adopting.md").read_text().split(f"{SECTION}\n")[1].split("\n## ")[0]
    found = re.findall(r"^```(\w+)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert [language for language, _ in found] == ["sh", "python", "sh"]
    prepare, program, look = (text for _, text in found)
    return prepare, program, look


@pytest.fixture(scope="module")
def story(stack: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Return what the example's last line prints after its call was redialled."""
    prepare, program, look = blocks()
    clone = tmp_path_factory.mktemp("clone")
    (clone / ".local").symlink_to(DIRECTORY)
    (clone / ".venv").symlink_to(sys.prefix)
    (clone / "call.py").write_text(program)
    run(clone, f"{prepare}python call.py\n")
    until = time.monotonic() + MAX_SECONDS
    while True:
        told: list[dict[str, Any]] = json.loads(run(clone, f". .local/env\n{look}"))["data"]
        ours = [entry for entry in told if entry["to_number"] in program]
        if [entry["status"] for entry in ours] == ["completed", "busy"] or time.monotonic() > until:
            return ours
        time.sleep(2)


def run(clone: Path, lines: str) -> str:
    done = subprocess.run(["bash", "-e"], input=lines, cwd=clone, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_program_of_the_story_is_short() -> None:
    lines = [line for line in blocks()[1].splitlines() if line]
    assert len(lines) <= MAX_LINES_OF_PYTHON


def test_a_call_of_the_twilio_sdk_is_adopted_and_redialled(
    stack: Mapping[str, str], story: list[dict[str, Any]]
) -> None:
    assert [(entry["attempt"], entry["status"]) for entry in story] == [(2, "completed"), (1, "busy")]
    assert len({entry["retry_group_id"] for entry in story}) == 1
    call = Request(f"{stack['BASE_URL']}/calls/{story[0]['call_id']}")
    call.add_header("Authorization", f"Bearer {stack['API_KEY']}")
    with urlopen(call, timeout=60) as answer:
        assert json.load(answer)["summary_status"] == "completed"
