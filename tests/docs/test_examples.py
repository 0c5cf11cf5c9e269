"""The requests in the migration pages are sent to the app as they stand, one page after the other."""

import json
import re
from pathlib import Path

import pytest

from tests.support.world import World, new_client

MIGRATING = Path(__file__).parents[2] / "docs" / "migrating"
PAGES = sorted(path for path in MIGRATING.glob("*.md") if path.name != "README.md")


def requests(page: Path) -> list[tuple[str, str, object]]:
    """Return (method, path, body) of each ``http`` block of a page."""
    found = []
    for block in re.findall(r"^```http\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
        line, _, body = block.partition("\n")
        method, path = line.split()
        found.append((method, path, json.loads(body) if body.strip() else None))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_request_of_a_migration_page_is_accepted(
    page: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEFAULT_FROM_NUMBER", "+14155550100")
    asked = requests(page)
    assert asked
    call_id = ""
    with new_client() as world.client:
        for method, path, body in asked:
            answer = world.request(method, path.replace("{id}", call_id), body)
            assert answer.status_code in (200, 201), (path, answer.body)
            call_id = answer.json_body.get("id") or answer.json_body.get("execution_id", "")
        calls = world.request("GET", "/calls").json_body["data"]
        assert calls
        policy = world.call(calls[0]["call_id"])["policy"]
    assert policy["max_retries"] in (2, 3)
    assert all(policy["on"][outcome]["retry"] for outcome in ("busy", "no-answer"))
