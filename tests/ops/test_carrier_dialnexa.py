"""DialNexa's personality of the mock carrier, used by the project's own provider."""

import json
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.domain.events import CallEvent, Progress
from chalicelib.domain.outcome import Outcome
from chalicelib.providers import DialRequest, Http, Placed, PlacementUnknown, PutOff, Refused, load
from tests.support.carrier_client import FROM, TO, CarrierClient, Sink

TOKEN = "call_01.1.0123456789abcdef0123456789abcdef"
DIAL = DialRequest(
    call_id="call_01",
    attempt=1,
    from_number=FROM,
    to_number=TO,
    answer_url=None,
    callback_url=f"https://redial.example.com/callbacks/dialnexa/{TOKEN}",
    agent_version_id="agent_2g7Xy3tY53gRlp",
)


def login(carrier: CarrierClient) -> dict[str, str]:
    return {"Authorization": f"Bearer {carrier.environment['DIALNEXA_API_KEY']}"}


def register(carrier: CarrierClient, sink: Sink) -> tuple[int, Any]:
    secret = carrier.environment["DIALNEXA_WEBHOOK_SECRET"]
    asked = {"url": f"{sink.url}/callbacks/dialnexa", "events": ["call_ended"], "is_active": True, "secret": secret}
    body = json.dumps(asked)
    return carrier.ask("POST", "/dialnexa/v1/user-webhooks", body, login(carrier))


@pytest.fixture(autouse=True)
def _webhook(carrier: CarrierClient, sink: Sink) -> None:
    assert register(carrier, sink)[0] == 201


def reported(carrier: CarrierClient, sink: Sink, count: int) -> list[CallEvent]:
    """Return the events of all callbacks.

    The first callback is the signed verification, which has no event.
    """
    provider = carrier.provider("dialnexa")
    callbacks = [each.request(sink.url) for each in sink.wait(1 + count)]
    for callback in callbacks:
        provider.verify(callback)
    return [event for callback in callbacks for event in provider.parse(callback)]


@pytest.mark.parametrize(
    ("word", "status", "outcome"),
    [
        ("completed", "completed", Outcome.COMPLETED),
        ("voicemail", "hangup", Outcome.VOICEMAIL),
        ("busy", "hangup", Outcome.BUSY),
        ("no-answer", "hangup", Outcome.NO_ANSWER),
        ("failed", "hangup", Outcome.FAILED),
        ("canceled", "canceled", Outcome.CANCELED),
        ("rejected", "hangup", Outcome.BUSY),
    ],
)
def test_a_call_is_placed_reported_and_looked_up(
    carrier: CarrierClient, sink: Sink, word: str, status: str, outcome: Outcome
) -> None:
    carrier.script(word)
    placed = carrier.provider("dialnexa").dial(DIAL)
    assert isinstance(placed, Placed)

    began, ended = reported(carrier, sink, 2)
    assert (began.status, began.progress, began.outcome) == ("initiated", Progress.INITIATED, None)
    assert (ended.status, ended.outcome, ended.fault) == (status, outcome, None)
    assert {began.token, ended.token} == {TOKEN}
    assert {began.provider_call_id, ended.provider_call_id} == {placed.provider_call_id}
    assert ended.to_number == TO
    found = carrier.provider("dialnexa").lookup(placed.provider_call_id)
    assert found is not None
    assert (found.outcome, found.to_number) == (outcome, TO)


def test_a_live_call_is_looked_up_and_cannot_be_hung_up(carrier: CarrierClient) -> None:
    provider = carrier.provider("dialnexa")
    carrier.script({"outcome": "silent", "ring_sec": 30})
    placed = provider.dial(DIAL)
    assert isinstance(placed, Placed)
    found = provider.lookup(placed.provider_call_id)
    assert found is not None
    assert (found.progress, found.outcome) == (Progress.INITIATED, None)
    assert provider.hang_up(placed.provider_call_id) is False
    assert provider.lookup("call_nobody") is None


@pytest.mark.parametrize(
    ("word", "result"),
    [
        ("invalid-number", Refused(Outcome.INVALID_NUMBER, "http:400")),
        ("error", PlacementUnknown("http:500")),
        ("throttled", PutOff("http:429", fault=False)),
        ("auth", PutOff("http:401", fault=True)),
        ("server-error-but-placed", PlacementUnknown("http:500")),
    ],
)
def test_a_scripted_refusal_is_read_for_what_it_is(
    carrier: CarrierClient, sink: Sink, word: str, result: Refused | PutOff | PlacementUnknown
) -> None:
    carrier.script(word)
    answered = carrier.provider("dialnexa").dial(DIAL)
    assert not isinstance(answered, Placed)
    assert replace(answered, evidence={}) == result
    assert len(carrier.requests()) == 1
    if word == "server-error-but-placed":
        assert reported(carrier, sink, 2)[-1].outcome is Outcome.COMPLETED


def test_an_answer_that_is_held_back_leaves_it_open(carrier: CarrierClient, sink: Sink) -> None:
    carrier.script("timeout")
    keys = ("api_key", "webhook_secret", "api_url")
    credentials = {name: carrier.environment[f"DIALNEXA_{name.upper()}"] for name in keys}
    hasty = load("dialnexa", credentials, now=carrier.provider("dialnexa").now, http=Http(read_sec=0.05))
    assert isinstance(hasty.dial(DIAL), PlacementUnknown)
    assert reported(carrier, sink, 2)[-1].outcome is Outcome.COMPLETED
    assert len(carrier.requests()) == 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"phone_number": "16505550199"}, "phone_number must be a valid E.164 phone number"),
        ({"metadata": None}, "metadata must be an object"),
        ({"agent_id": ""}, "agent_id should not be empty"),
    ],
)
def test_a_malformed_create_call_is_refused(carrier: CarrierClient, changed: dict[str, Any], message: str) -> None:
    body = {"agent_id": "agent_1", "phone_number": TO, "metadata": {}, **changed}
    answer = carrier.ask("POST", "/dialnexa/v1/calls", json.dumps(body), login(carrier))
    assert answer == (400, {"statusCode": 400, "message": message, "error": "Bad Request"})


def test_an_address_that_does_not_answer_its_verification_is_not_taken(carrier: CarrierClient, sink: Sink) -> None:
    sink.status = 403
    assert register(carrier, sink)[0] == 400
    for asked in ({"url": "cb", "events": ["call_ended"], "secret": "s"}, {"url": f"{sink.url}/cb"}):
        assert carrier.ask("POST", "/dialnexa/v1/user-webhooks", json.dumps(asked), login(carrier))[0] == 400
    body = json.dumps({"url": f"{sink.url}/cb", "events": ["call_ended"], "secret": "s"})
    assert carrier.ask("POST", "/dialnexa/v1/user-webhooks", body)[0] == 401
