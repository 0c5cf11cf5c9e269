"""The whole loop through each provider on the local stack: busy, then answered."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest

from chalicelib.providers import REGISTRY

pytestmark = pytest.mark.e2e

NAMES = sorted(REGISTRY)
#: two dials, the wait for a full minute, and cold starts of everything at once on two cores
MAX_SECONDS = 240
Story = Mapping[str, dict[str, Any]]


def number_of(name: str) -> str:
    return f"+1650555{7000 + NAMES.index(name)}"


def _ask(method: str, url: str, body: Any = None, **headers: str) -> Any:
    data = json.dumps(body).encode() if body is not None else None
    request = Request(url, data=data, method=method, headers={"Content-Type": "application/json", **headers})
    with urlopen(request, timeout=60) as answer:
        text = answer.read()
    return json.loads(text) if text else None


@pytest.fixture(scope="module")
def ask(stack: Mapping[str, str]) -> Callable[..., Any]:
    """Return a function that sends a request to the API as its user."""

    def asked(method: str, path: str, body: Any = None) -> Any:
        return _ask(method, stack["BASE_URL"] + path, body, Authorization=f"Bearer {stack['API_KEY']}")

    return asked


@pytest.fixture(scope="module")
def stories(stack: Mapping[str, str], ask: Callable[..., Any]) -> Story:
    """Place one call through each provider, and return all calls after their end."""
    for name in NAMES:
        script = {"outcomes": ["busy", "completed"]}
        _ask("PUT", f"{stack['CARRIER_URL']}/script/{quote(number_of(name))}", script)
    calls = {}
    for name in NAMES:
        body = {
            "provider": name,
            "to_number": number_of(name),
            "from_number": "+14155550100",
            "agent_version_id": "av_01hx",
            "retry": {"max_retries": 2, "wait_minutes": 0},
        }
        calls[name] = ask("POST", "/calls", body)["id"]
    until = time.monotonic() + MAX_SECONDS
    ended: dict[str, dict[str, Any]] = {}
    while len(ended) < len(calls) and time.monotonic() < until:
        time.sleep(2)
        for name in calls.keys() - ended.keys():
            call = ask("GET", f"/calls/{calls[name]}")
            if call["state"] == "final":
                ended[name] = call
    return {name: ended.get(name) or ask("GET", f"/calls/{call_id}") for name, call_id in calls.items()}


@pytest.mark.parametrize("name", NAMES)
def test_each_provider_redials_a_busy_line_until_it_is_answered(
    stack: Mapping[str, str], stories: Story, name: str
) -> None:
    call = stories[name]
    history = [(a["attempt"], a["provider"], a["outcome"]) for a in call["attempts"]]
    assert history == [(1, name, "busy"), (2, name, "completed")]
    assert (call["state"], call["summary_status"]) == ("final", "completed")
    placed = _ask("GET", f"{stack['CARRIER_URL']}/calls?to={quote(number_of(name))}")["calls"]
    assert [entry["provider"] for entry in placed] == [name, name]
