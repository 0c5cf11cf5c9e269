"""The requests in the docs pages work as written, one page after the other."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.world import World, new_client

ROOT = Path(__file__).parents[2]
#: a page for each vendor; the requests in them are ``http`` blocks
MIGRATING = sorted(path for path in (ROOT / "docs" / "migrating").glob("*.md") if path.name != "README.md")
#: the pages with ``curl`` lines
CURLS = [
    path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if "$BASE_URL" in path.read_text()
]
CURL = re.compile(r'curl (?:-s )?(?:-X (?P<method>[A-Z]+) )?"\$BASE_URL(?P<path>/[^"]*)"')


def blocks(page: Path) -> list[tuple[str, str, Any]]:
    """Return (method, path, body) of each ``http`` block of a page."""
    found = []
    for block in re.findall(r"^```http\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
        line, _, body = block.partition("\n")
        method, path = line.split()
        found.append((method, path, json.loads(body) if body.strip() else None))
    return found


def curls(page: Path) -> list[tuple[str, str, Any]]:
    """Return (method, path, body) of each ``curl`` to the API in a page."""
    found = []
    text = page.read_text()
    for name, value in re.findall(r"^([A-Z]+)=([\w-]+)", text, re.MULTILINE):
        text = text.replace(f"'${name}'", value)  # as the shell puts it between two quoted parts
    for curl in re.split(r"(?=\bcurl )", text):
        if match := CURL.match(curl):
            sent = re.search(r"-d '(\{.*?\})'", curl.split("```")[0], re.DOTALL)
            body = json.loads(sent[1]) if sent else None
            found.append((match["method"] or ("GET" if body is None else "POST"), match["path"], body))
    return found


@pytest.mark.parametrize("page", MIGRATING, ids=lambda page: page.stem)
def test_each_request_of_a_migration_page_is_accepted(
    page: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEFAULT_FROM_NUMBER", "+14155550100")
    asked = blocks(page)
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


def test_each_curl_of_the_other_pages_is_accepted(world: World) -> None:
    asked = [request for page in CURLS for request in curls(page)]
    assert len(asked) >= 8
    for method, path, body in asked:
        answer = world.request(method, path, body)
        assert answer.status_code in (200, 201), (method, path, answer.body)


def test_the_preview_in_policies_shows_what_the_api_answers(world: World) -> None:
    page = ROOT / "docs" / "policies.md"
    (body,) = (body for _, path, body in curls(page) if path == "/policies/preview")
    shown = json.loads(re.findall(r"^```json\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)[0])
    attempts = world.request("POST", "/policies/preview", body).json_body["attempts"]
    assert attempts[shown["attempt"] - 1] == shown
