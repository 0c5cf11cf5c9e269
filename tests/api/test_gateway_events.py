"""API Gateway's own events. Every spelling of a path gives out the same addresses."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from chalice.app import Request

from app import app
from chalicelib.api import current
from chalicelib.api.http import public_url
from tests.support.gateway import OWN_DOMAIN, rest_event
from tests.support.world import BODY, World, new_client

ROUTES = sorted((method, route) for route, methods in app.routes.items() for method in methods)
BASE = f"https://{OWN_DOMAIN}/api"
#: path parameters as the client sends them
SENT = {"sid": "acme%2Feu%201", "number": "%2B16505550199", "token": "t%6Fken", "name": "a%2Eb"}


def spellings(route: str) -> list[str]:
    path = re.sub(r"\{(\w+)\}", lambda found: SENT.get(found[1], "x%20y"), route)
    return [path, path + "/", "/" + path, path.replace("/", "//"), path + "//"]


@pytest.fixture
def bare(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Set up a deployment without ``PUBLIC_URL``."""
    monkeypatch.delenv("PUBLIC_URL")
    world.client = new_client().__enter__()
    world.restart()
    return world


class Context:
    """The Lambda context beside the event, as far as the app reads it."""

    function_name = "redial-dev"
    aws_request_id = "77375676-xmpl-4b79-853a-f982474efe18"
    invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:redial-dev"

    def get_remaining_time_in_millis(self) -> int:
        return 29_000


def send(event: dict[str, Any]) -> tuple[int, str]:
    answer = app(event, Context())
    return answer["statusCode"], answer["body"]


@pytest.mark.parametrize(("method", "route"), ROUTES)
def test_each_route_derives_its_base_from_domain_and_stage(bare: World, method: str, route: str) -> None:
    for path in spellings(route):
        params = dict.fromkeys(re.findall(r"\{(\w+)\}", route), "decoded / value")
        event = rest_event(method, route, path, params=params, query={"a": ["1", "3"], "b": ["2"]})
        assert public_url(current.services(), Request(event)) == BASE, path


@pytest.mark.parametrize(("method", "route"), ROUTES)
@pytest.mark.parametrize("base_path", ["", "/v1"])
def test_a_custom_domain_keeps_its_mapped_base_path(bare: World, method: str, route: str, base_path: str) -> None:
    for path in spellings(route):
        event = rest_event(method, route, path, domain="calls.example.com", base_path=base_path)
        assert public_url(current.services(), Request(event)) == f"https://calls.example.com{base_path}", path


@pytest.mark.parametrize(("method", "route"), ROUTES)
def test_no_route_breaks_on_a_gateway_event(bare: World, method: str, route: str) -> None:
    for path in spellings(route):
        params = {name: SENT.get(name, "x%20y") for name in re.findall(r"\{(\w+)\}", route)}
        event = rest_event(
            method,
            route,
            path,
            params=params or None,
            query={"limit": ["1"], "other": ["1", "2"]},
            headers={"Authorization": f"Bearer {bare.key}", "Content-Type": "application/json"},
            body="{}",
        )
        status, _ = send(event)
        assert status < 500, (path, status)


@pytest.mark.parametrize("path", spellings("/calls"))
def test_a_call_gets_a_good_callback_address_by_any_path(bare: World, path: str) -> None:
    headers = {"Authorization": f"Bearer {bare.key}", "Content-Type": "application/json"}
    answer = app(rest_event("POST", "/calls", path, headers=headers, body=json.dumps(BODY)), Context())
    assert answer["statusCode"] == 201
    assert answer["headers"]["Location"] == f"{BASE}/calls/{json.loads(answer['body'])['id']}"
    assert re.fullmatch(re.escape(BASE) + r"/callbacks/twilio/[^/]+", bare.twilio.placed[0].callback_url)


def test_an_encoded_account_of_a_campaign_leaves_its_address_good(bare: World) -> None:
    headers = {"Authorization": f"Bearer {bare.key}", "Content-Type": "application/json"}
    campaign = {"name": "reminders", "caller_id": "+14155550100", "numbers": ["+16505550199"]}
    route = "/v1/Accounts/{sid}/Campaigns"
    for path in spellings(route):
        event = rest_event("POST", route, path, params={"sid": SENT["sid"]}, headers=headers, body=json.dumps(campaign))
        status, body = send(event)
        assert status < 300, body
    bare.pump(bare.clock.now() + timedelta(minutes=5))
    assert len(bare.twilio.placed) == len(spellings(route))
    for placed in bare.twilio.placed:
        assert re.fullmatch(re.escape(BASE) + r"/callbacks/twilio/[^/]+", placed.callback_url)
