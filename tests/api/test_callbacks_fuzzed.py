"""Malformed callbacks at every provider's route. None of them breaks the route."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.providers import REGISTRY, CallbackRequest
from tests.providers.cases import PAYLOADS, ProviderCase, case
from tests.support.world import PUBLIC_URL, TABLE, World, new_client

#: the only statuses with which a callback may be answered
ALLOWED = {200, 400, 403, 404, 413}
#: the address from which chalice's test client calls
HERE = "127.0.0.1"
ADOPTION_TOKEN = "an-adoption-token"
#: the signatures of the other providers cover only the body
SIGN_THE_ADDRESS = ("plivo", "signalwire", "twilio")
UNSIGNED = tuple(name for name in sorted(REGISTRY) if not case(name).signed)

EACH_PROVIDER = pytest.mark.parametrize("name", sorted(REGISTRY))
FUZZED = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

TYPES = st.sampled_from(
    ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "é", ""]
)
VALUES = st.one_of(
    st.text(max_size=40),
    st.integers().map(str),
    st.sampled_from(["completed", "busy", "answered", "ringing", "machine", "1e999", "\ud800", "\x00", "x" * 3000]),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def doors(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Set up every provider, an attempt that awaits callbacks and an adoption policy."""
    world.place()
    monkeypatch.setattr("chalicelib.ids.new_adoption_token", lambda: ADOPTION_TOKEN)
    target = {"url": "https://example.com/answer.xml"}
    world.request("PUT", "/policies/x", {"retry": {}, "target": target, "agent_version_id": "av_01hx"})
    for name in REGISTRY:
        for key, value in case(name).credentials.items():
            monkeypatch.setenv(f"{name.upper()}_{key.upper()}", HERE if key == "allowed_ips" else value)
    with new_client() as world.client:
        return world


def token_of(world: World) -> str:
    return world.twilio.placed[0].callback_url.rpartition("/")[2]


def send(world: World, request: CallbackRequest) -> int:
    """Return the status of the answer to a callback. Its URL is cut down to the path."""
    path = request.url.removeprefix(PUBLIC_URL)
    answer = world.client.http.request(request.method, path, headers=dict(request.headers), body=request.body)
    return int(answer.status_code)


def signed(sender: ProviderCase, request: CallbackRequest) -> CallbackRequest:
    """Sign the request as the provider does. Leave it as it is if that is impossible."""
    try:
        return sender.sign(request, 0)
    except (ValueError, TypeError):
        return request


def everything(world: World) -> Any:
    return sorted(world.dynamodb.scan(TableName=TABLE)["Items"], key=str)


def payloads(name: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((PAYLOADS / name).iterdir())]


def field_names(name: str) -> list[str]:
    """Return field names of the provider's callbacks: those of its JSON or its forms."""
    found: set[str] = set()
    for body in payloads(name):
        try:
            _names_in(json.loads(body), found)
        except ValueError:
            found |= {pair.partition(b"=")[0].decode("latin-1") for pair in body.split(b"&")}
    return sorted(found)


def _names_in(value: Any, found: set[str]) -> None:
    if isinstance(value, dict):
        found.update(value)
        for inner in value.values():
            _names_in(inner, found)


def addressed(world: World, name: str, draw: st.DataObject, headers: Mapping[str, str], body: bytes) -> CallbackRequest:
    """Return a callback to one of the provider's addresses.

    The address is an attempt's, the account's, or an unknown one.
    """
    token = token_of(world)
    tail = draw.draw(
        st.sampled_from(
            [
                f"/{token}",
                "",
                f"/{token[:-1]}0",
                "/x",
                f"/{token}?a=%FF&a=2",
                f"/adopt/{ADOPTION_TOKEN}",
                f"/adopt/{ADOPTION_TOKEN}?policy=y&workspace=other",
                "/adopt/x",
            ]
        )
    )
    return CallbackRequest("POST", f"{PUBLIC_URL}/callbacks/{name}{tail}", dict(headers), body, source_ip=HERE)


@EACH_PROVIDER
@FUZZED
@given(draw=st.data(), body=st.binary(max_size=200), content_type=TYPES, sign=st.booleans())
def test_arbitrary_bytes_break_nothing(
    doors: World, name: str, draw: st.DataObject, body: bytes, content_type: str, sign: bool
) -> None:
    request = addressed(doors, name, draw, {"Content-Type": content_type}, body)
    assert send(doors, signed(case(name), request) if sign else request) in ALLOWED


@EACH_PROVIDER
@FUZZED
@given(draw=st.data(), as_json=st.booleans())
def test_arbitrary_fields_of_the_provider_break_nothing(
    doors: World, name: str, draw: st.DataObject, as_json: bool
) -> None:
    names = st.sampled_from(field_names(name))
    if as_json:
        fields: Any = draw.draw(st.dictionaries(names, JSON, max_size=8) | JSON)
        body, content_type = json.dumps(fields).encode(), "application/json"
    else:
        pairs = draw.draw(st.lists(st.tuples(names, VALUES), max_size=8))
        body = urlencode(pairs, errors="replace").encode()
        content_type = "application/x-www-form-urlencoded"
    request = signed(case(name), addressed(doors, name, draw, {"Content-Type": content_type}, body))
    assert send(doors, request) in ALLOWED
    if not as_json and "?" not in request.url:
        got = replace(request, method="GET", url=f"{request.url}?{body.decode()}", body=b"")
        assert send(doors, signed(case(name), got)) in ALLOWED


@EACH_PROVIDER
@FUZZED
@given(draw=st.data())
def test_real_callbacks_with_something_wrong_in_them_break_nothing(
    doors: World, name: str, draw: st.DataObject
) -> None:
    sender = case(name)
    body = draw.draw(st.sampled_from(payloads(name)))
    for _ in range(draw.draw(st.integers(0, 3))):
        at = draw.draw(st.integers(0, len(body)))
        cut = draw.draw(st.integers(0, 20))
        body = body[:at] + draw.draw(st.binary(max_size=6)) + body[at + cut :]
    headers = {"Content-Type": sender.content_type, **sender.extra_headers}
    assert send(doors, signed(sender, addressed(doors, name, draw, headers, body))) in ALLOWED


@pytest.mark.parametrize("name", [name for name in sorted(REGISTRY) if name not in UNSIGNED])
def test_what_the_provider_did_not_sign_writes_nothing(doors: World, name: str) -> None:
    before = everything(doors)
    sender = case(name)
    for payload in sorted(path.name for path in (PAYLOADS / name).iterdir()):
        for tail in (f"/{token_of(doors)}", "", f"/adopt/{ADOPTION_TOKEN}"):
            url = f"{PUBLIC_URL}/callbacks/{name}{tail}"
            bare = replace(sender.request(payload), url=url, headers={"Content-Type": sender.content_type})
            right = signed(sender, bare)
            wrong = [bare, replace(right, body=right.body + b" ")]
            if name in SIGN_THE_ADDRESS:
                wrong.append(replace(right, url=url.replace(f"/callbacks/{name}", f"/callbacks/{name}/x")))
            for request in wrong:
                assert send(doors, request) == 403, (payload, tail)
    assert everything(doors) == before


@pytest.mark.parametrize("name", UNSIGNED)
def test_an_unsigned_callback_from_another_address_writes_nothing(
    doors: World, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(f"{name.upper()}_ALLOWED_IPS", "203.0.113.7")
    before = everything(doors)
    with new_client() as doors.client:
        for payload in sorted(path.name for path in (PAYLOADS / name).iterdir()):
            for tail in (f"/{token_of(doors)}", "", f"/adopt/{ADOPTION_TOKEN}"):
                request = replace(case(name).request(payload), url=f"{PUBLIC_URL}/callbacks/{name}{tail}")
                assert send(doors, request) == 403
    assert everything(doors) == before
