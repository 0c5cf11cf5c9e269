"""The requests to each provider, checked against the document of its vendor."""

import inspect
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import pytest
from twilio.rest.api.v2010.account.call import CallContext, CallList

from chalicelib import providers
from chalicelib.providers import DeferredByProvider, DialRequest, MachineDetection, Provider
from chalicelib.providers.http import Answer, Http
from ops.local.vendor_schemas import Breach, breaches, operation, published
from tests.providers.cases import NOW, ListedCall, case
from tests.providers.test_vonage_calls import pem
from tests.support.fake_http import Asked, Replying, answer

NAMES = sorted(providers.REGISTRY)
every = pytest.mark.parametrize("name", NAMES)

UUID = "123e4567-e89b-12d3-a456-426614174000"
CALL_IDS = {"twilio": f"CA{'0' * 32}", "exotel": "80bfbec2d78bbbf10fb851f4fa165211", "dialnexa": "call_abc123"}
#: in the vendors' own forms, where those of the conformance cases are shorter
CREDENTIALS = {
    "twilio": {"account_sid": f"AC{'0' * 32}"},
    "plivo": {"auth_id": "MAXXXXXXXXXXXXXXXXXX"},
    "vonage": {"private_key": pem()},
}
CONTROL_ID = "v3:MdI91X4lWFEs7IgbBEOT9M4AigoY08M0WWZFISt1Yw2axZ"
TARGETS = {"exotel": "http://my.exotel.com/acme1/exoml/start_voice/926?call_id=1"}
DIAL = DialRequest(
    call_id="call_01",
    attempt=2,
    from_number="+14155550100",
    to_number="+16505550199",
    answer_url="https://example.com/answer?call_id=call_01&attempt=2",
    callback_url="https://redial.example.com/api/callbacks/x/call_01.2.0123456789abcdef0123456789abcdef",
    agent_version_id=UUID,
    variables={"name": "Ada <b>", "empty": ""},
)


class Watched(Replying):
    """A provider's API with one answer, which checks each request.

    The check compares the request, as it would be sent, with the vendor's document.
    """

    def __init__(self, provider: str, answer: Answer | None = None, listed: object = None) -> None:
        self.provider = provider
        self.answer = answer or Answer(404, {}, b"{}")
        self.listed = listed
        self.operations: list[str | None] = []
        self.last: tuple[str, dict[str, str], bytes] = ("", {}, b"")
        self.found: list[Breach] = []

    def reply(self, asked: Asked) -> Answer:
        parts, body = urlsplit(asked.url), asked.body
        sent = {name.lower(): value for name, value in asked.headers.items()}
        if asked.form is not None:
            body, sent["content-type"] = urlencode(asked.form).encode(), "application/x-www-form-urlencoded"
        assert sent["accept"] == "application/json"
        path, query = unquote(parts.path), parse_qsl(parts.query, keep_blank_values=True)
        self.last = (path, sent, body or b"")
        self.operations.append(operation(self.provider, asked.method, path))
        self.found += breaches(self.provider, asked.method, path, query, sent, body)
        if asked.method == "GET" and callable(self.listed):
            return answer(200, self.listed(asked.url))
        return self.answer


def provider(name: str, http: Http) -> Provider:
    return providers.load(name, {**case(name).credentials, **CREDENTIALS.get(name, {})}, now=lambda: NOW, http=http)


def dials(name: str) -> Iterator[DialRequest]:
    """Yield every kind of dial that the settings and callers can cause."""
    usual = replace(DIAL, answer_url=TARGETS.get(name, DIAL.answer_url))
    if not provider(name, Watched(name)).needs_answer_url:
        yield replace(usual, answer_url=None)
    for detection in MachineDetection:
        for ring_sec, call_sec in ((5, 10), (45, 3600), (600, 14_400)):
            yield replace(usual, machine_detection=detection, ring_timeout_sec=ring_sec, max_call_sec=call_sec)
    yield replace(usual, from_number="+918047104890", to_number="+919876543210", variables={})


@every
def test_every_create_call_is_as_the_vendor_publishes_it(name: str):
    http = Watched(name)
    asked = list(dials(name))
    for request in asked:
        provider(name, http).dial(request)
    assert http.operations == ["create"] * len(asked)
    assert http.found == []


@every
def test_every_look_up_and_hang_up_is_as_the_vendor_publishes_it(name: str):
    http = Watched(name)
    ids = [CALL_IDS.get(name, UUID), *([CONTROL_ID] if name == "telnyx" else [])]
    for call_id in ids:
        provider(name, http).lookup(call_id)
        provider(name, http).hang_up(call_id)
    assert http.found == []
    asked = set(http.operations)
    assert asked >= {"hang-up", "look-up"} & set(published(name)["operations"])
    assert asked <= {"hang-up", "look-up", "list", "status"}


@every
def test_every_list_is_as_the_vendor_publishes_it(name: str):
    listed = case(name).listed
    calls = [ListedCall(CALL_IDS.get(name, UUID), NOW)]
    http = Watched(name, listed=(lambda url: listed(url, calls)) if listed else None)
    since, until = NOW - timedelta(minutes=5), NOW + timedelta(minutes=5)
    provider(name, http).find("+16505550199", "+14155550100", since, until, UUID)
    assert "list" in http.operations
    assert http.found == []


def created(name: str) -> tuple[str, dict[str, str], bytes]:
    """Return the path, the headers and the body of a correct create-call."""
    http = Watched(name)
    provider(name, http).dial(next(dials(name)))
    return http.last


def spoiled(name: str, body: bytes, **changed: object) -> bytes:
    """Change fields of the body; None leaves a field out."""
    if published(name)["operations"]["create"]["body"]["type"] == "json":
        fields = {**json.loads(body), **changed}
        return json.dumps({field: value for field, value in fields.items() if value is not None}).encode()
    pairs = [(field, value) for field, value in parse_qsl(body.decode()) if field not in changed]
    return urlencode([*pairs, *((field, value) for field, value in changed.items() if value is not None)]).encode()


@every
def test_the_check_itself_finds_what_is_wrong(name: str):
    path, headers, body = created(name)

    def found(with_body: bytes, **other: str) -> set[str]:
        return {each.field for each in breaches(name, "POST", path, [], {**headers, **other}, with_body)}

    required = published(name)["operations"]["create"]["body"]["schema"]["required"]
    assert found(body) == set()
    assert found(spoiled(name, body, colour="red")) == {"colour"}
    assert found(spoiled(name, body, **{required[0].upper() + "x": "1"})) == {required[0].upper() + "x"}
    for field in required:
        assert field in found(spoiled(name, body, **{field: None}))
        assert field in found(spoiled(name, body, **{field: [1] if body[:1] == b"{" else ""}))
    assert found(body, authorization="Digest x") == {"Authorization"}
    assert "Content-Type" in found(body, **{"content-type": "text/plain"})
    assert {each.field for each in breaches(name, "POST", path, [("x", "1")], headers, body)} == {"x"}
    assert {each.field for each in breaches(name, "PATCH", path, [], headers, body)} == {"path"}


@pytest.mark.parametrize(
    ("method", "described"),
    [(CallList.create, "create"), (CallContext.update, "hang-up"), (CallList.stream, "list")],
)
def test_twilios_document_has_the_fields_of_its_sdk(method: object, described: str):
    of_sdk = {name.replace("_", "").lower() for name in inspect.signature(method).parameters} - {"self", "limit"}
    document = published("twilio")["operations"][described]
    ours = document["body"]["schema"] if "body" in document else document["query"]
    fields = {name.replace("<", "before").replace(">", "after").lower() for name in ours["properties"]}
    # newer than the OpenAPI of that date, or the SDK's own paging
    assert of_sdk - fields <= {"clientnotificationurl", "passports", "recordingconfigurationid"}
    assert fields - of_sdk <= {"page", "pagetoken"}


@every
@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("86400", 3600),
        ("99999999999999999999", 3600),
        ("Tue, 27 Jan 2026 10:00:05 GMT", 3600),
        ("Mon, 26 Jan 2026 10:01:35 GMT", 90),
        ("Sun, 25 Jan 2026 10:00:05 GMT", 0),
        ("90", 90),
        ("0", 0),
        ("-5", None),
        ("1e9", None),
        ("9" * 5000, None),
        ("", None),
    ],
)
def test_a_wait_that_the_provider_asks_for_is_an_hour_at_most(name: str, header: str, seconds: int | None):
    http = Watched(name, Answer(429, {"retry-after": header}, b"{}"))
    result = provider(name, http).dial(next(dials(name)))
    assert isinstance(result, DeferredByProvider)
    assert (result.fault, result.retry_after_sec) == (False, seconds)


@pytest.mark.parametrize(("reset", "seconds"), [("3", 3), ("1769421605", 3600), ("-1", None)])
def test_telnyxs_own_header_is_bounded_too(reset: str, seconds: int | None):
    http = Watched("telnyx", Answer(429, {"x-ratelimit-reset": reset}, b"{}"))
    result = provider("telnyx", http).dial(DIAL)
    assert isinstance(result, DeferredByProvider)
    assert result.retry_after_sec == seconds
