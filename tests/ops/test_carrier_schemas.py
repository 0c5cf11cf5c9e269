"""The mock carrier rejects unknown fields with the vendor's own errors."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest

from chalicelib import providers
from chalicelib.providers import DialRequest, Placed, Provider, Refused
from chalicelib.providers.http import Answer, Http
from chalicelib.providers.signing import basic_login
from tests.support.carrier_client import FROM, TO, CarrierClient
from tests.support.fake_http import Asked, Replying

NAMES = sorted(providers.REGISTRY)
#: the status of a rejection, the place of its text, and the place of the field's name if it is separate
SHAPES: Mapping[str, tuple[int, tuple[str | int, ...]]] = {
    "bolna": (400, ("message",)),
    "dialnexa": (400, ("message",)),
    "exotel": (400, ("RestException", "Message")),
    "plivo": (400, ("error",)),
    "signalwire": (422, ("message",)),
    "telnyx": (422, ("errors", 0, "source", "pointer")),
    "twilio": (400, ("message",)),
    "vonage": (400, ("invalid_parameters", 0, "name")),
}


class Changing(Replying):
    """An Http that sends one more field than it was given, and keeps the answer.

    The field is in the body or, with ``query``, in the address.
    """

    def __init__(self, **more: str) -> None:
        super().__init__()
        self.more = more
        self.query = ""
        self.answers: list[Answer] = []

    def reply(self, asked: Asked) -> Answer:
        form, body, url = asked.form, asked.body, asked.url
        if form is not None:
            form = [*((name, value) for name, value in form if name not in self.more), *self.more.items()]
        elif body is not None:
            body = json.dumps({**json.loads(body), **self.more}).encode()
        if self.query:
            url += ("&" if "?" in url else "?") + self.query
        self.answers.append(Http().request(asked.method, url, headers=asked.headers, form=form, body=body))
        return self.answers[-1]


def loaded(carrier: CarrierClient, name: str, http: Http) -> Provider:
    usual = carrier.provider(name)
    return providers.load(name, usual.credentials, now=usual.now, http=http)


def request(name: str) -> DialRequest:
    usual = DialRequest(
        call_id="call_1",
        attempt=1,
        from_number=FROM,
        to_number=TO,
        answer_url="https://example.com/answer",
        callback_url=f"https://redial.example.com/callbacks/{name}/call_1.1.0123456789abcdef0123456789abcdef",
        agent_version_id="123e4567-e89b-12d3-a456-426614174000",
    )
    flow = "http://my.exotel.com/acme1/exoml/start_voice/926"
    return replace(usual, answer_url=flow) if name == "exotel" else usual


def at(body: Any, place: tuple[str | int, ...]) -> str:
    for step in place:
        body = body[step]
    return str(body)


@pytest.mark.parametrize("name", NAMES)
def test_a_field_that_the_vendor_does_not_know_is_refused(carrier: CarrierClient, name: str) -> None:
    http = Changing(Colour="red")
    result = loaded(carrier, name, http).dial(request(name))
    status, place = SHAPES[name]
    assert not isinstance(result, Placed)
    assert [answer.status for answer in http.answers] == [status]
    assert "Colour" in at(json.loads(http.answers[0].body), place)
    assert [entry["status"] for entry in carrier.requests()] == [status]


@pytest.mark.parametrize("name", NAMES)
def test_a_query_that_the_vendor_does_not_know_is_refused(carrier: CarrierClient, name: str) -> None:
    http = Changing()
    provider = loaded(carrier, name, http)
    placed = provider.dial(request(name))
    assert isinstance(placed, Placed)
    http.query = "colour=red"
    provider.lookup(placed.provider_call_id)
    status, place = SHAPES[name]
    assert http.answers[-1].status == status
    assert "colour" in at(json.loads(http.answers[-1].body), place)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("bolna", {"bypass_call_guardrails": "yes"}),
        ("dialnexa", {"agent_version_number": "one"}),
        ("exotel", {"CallType": "promo"}),
        ("exotel", {"TimeLimit": "14401"}),
        ("plivo", {"ring_method": "PUT"}),
        ("plivo", {"machine_detection": "continue"}),
        ("signalwire", {"TimeLimit": "3600"}),
        ("signalwire", {"Trim": "yes"}),
        ("telnyx", {"webhook_urls": {"call.hangup": "https://example.com/"}}),
        ("telnyx", {"webhook_url_method": "PUT"}),
        ("twilio", {"Record": "yes"}),
        ("twilio", {"TimeLimit": "long"}),
        ("vonage", {"advanced_machine_detection": {"mode": "beep"}}),
        ("vonage", {"answer_method": "PUT"}),
    ],
)
def test_a_value_that_the_vendor_does_not_take_is_refused(
    carrier: CarrierClient, name: str, wrong: Mapping[str, Any]
) -> None:
    http = Changing(**wrong)
    result = loaded(carrier, name, http).dial(request(name))
    assert not isinstance(result, Placed)
    assert [answer.status for answer in http.answers] == [SHAPES[name][0]]
    assert next(iter(wrong)) in http.answers[0].body.decode()


def test_a_form_that_does_not_say_that_it_is_one_is_refused(carrier: CarrierClient) -> None:
    form = urlencode(parse_qsl(f"To={TO}&From={FROM}&Url=https://x.test/".replace("+", "%2B")))
    path = f"/2010-04-01/Accounts/{carrier.environment['TWILIO_ACCOUNT_SID']}/Calls.json"
    login = carrier.provider("twilio")
    http = Http()
    headers = {"Content-Type": "application/json", "Authorization": _basic(login)}
    answer = http.request("POST", carrier.url + path, headers=headers, body=form.encode())
    assert (answer.status, json.loads(answer.body)["code"]) == (400, 20001)


def _basic(provider: Provider) -> str:
    return basic_login(provider.credentials["account_sid"], provider.credentials["auth_token"])


def test_a_wrong_field_is_an_error_and_never_the_numbers_fault(carrier: CarrierClient) -> None:
    for name in NAMES:
        result = loaded(carrier, name, Changing(Colour="red")).dial(request(name))
        assert not isinstance(result, Refused) or result.outcome.value == "error", name
