"""Exotel's personality of the mock carrier, used by the project's own provider."""

import json
from base64 import b64encode
from dataclasses import replace
from urllib.parse import urlencode

import pytest

from chalicelib.domain.events import CallEvent, Progress
from chalicelib.domain.outcome import Amd, Outcome
from chalicelib.providers import DialRequest, Http, Placed, PlacementUnknown, PutOff, Refused, load
from tests.support.carrier_client import CarrierClient, Sink, wait_until

CUSTOMER, EXOPHONE = "+919876543210", "+918047104890"
TOKEN = "call_01.1.0123456789abcdef0123456789abcdef"


def request(sink: Sink) -> DialRequest:
    return DialRequest(
        call_id="call_01",
        attempt=1,
        from_number=EXOPHONE,
        to_number=CUSTOMER,
        answer_url=None,
        callback_url=f"{sink.url}/callbacks/exotel/{TOKEN}",
        agent_version_id="926",
    )


def script(carrier: CarrierClient, *outcomes: object) -> None:
    answer = carrier.ask("PUT", f"/script/{CUSTOMER}", json.dumps({"outcomes": outcomes}))
    assert answer[0] == 200


def reported(carrier: CarrierClient, sink: Sink, count: int = 1) -> list[CallEvent]:
    provider = carrier.provider("exotel")
    callbacks = [each.request(sink.url) for each in sink.wait(count)]
    for callback in callbacks:
        provider.verify(callback)
    return [event for callback in callbacks for event in provider.parse(callback)]


@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        ("completed", Outcome.COMPLETED),
        ("voicemail", Outcome.VOICEMAIL),
        ("busy", Outcome.BUSY),
        ("no-answer", Outcome.NO_ANSWER),
        ("failed", Outcome.FAILED),
        ("canceled", Outcome.CANCELED),
        ("rejected", Outcome.BUSY),
    ],
)
def test_a_call_is_placed_reported_and_looked_up(
    carrier: CarrierClient, sink: Sink, word: str, outcome: Outcome
) -> None:
    script(carrier, word)
    placed = carrier.provider("exotel").dial(request(sink))
    assert isinstance(placed, Placed)

    (event,) = reported(carrier, sink)
    assert (event.provider_call_id, event.outcome, event.fault) == (placed.provider_call_id, outcome, None)
    assert (event.to_number, event.from_number, event.token) == (CUSTOMER, EXOPHONE, TOKEN)
    found = carrier.provider("exotel").lookup(placed.provider_call_id)
    assert found is not None
    assert (found.outcome, found.to_number, found.occurred_at) == (outcome, CUSTOMER, event.occurred_at)


def test_a_live_call_is_looked_up_without_an_outcome(carrier: CarrierClient, sink: Sink) -> None:
    script(carrier, {"outcome": "silent", "ring_sec": 30})
    placed = carrier.provider("exotel").dial(request(sink))
    assert isinstance(placed, Placed)

    found = carrier.provider("exotel").lookup(placed.provider_call_id)
    assert found is not None
    assert (found.progress, found.outcome) == (Progress.INITIATED, None)
    assert carrier.provider("exotel").lookup("0" * 32) is None
    assert carrier.provider("exotel").hang_up(placed.provider_call_id) is False


@pytest.mark.parametrize(
    ("word", "result"),
    [
        ("invalid-number", Refused(Outcome.ERROR, "http:400")),
        ("error", PlacementUnknown("http:500")),
        ("throttled", PutOff("http:429", fault=False)),
        ("auth", PutOff("http:401", fault=True)),
        ("server-error-but-placed", PlacementUnknown("http:500")),
    ],
)
def test_a_scripted_refusal_is_read_for_what_it_is(
    carrier: CarrierClient, sink: Sink, word: str, result: Refused | PutOff | PlacementUnknown
) -> None:
    script(carrier, word)
    answered = carrier.provider("exotel").dial(request(sink))
    assert not isinstance(answered, Placed)
    assert replace(answered, evidence={}) == result
    assert len(carrier.requests("?to=%2B919876543210")) == 1
    if word == "server-error-but-placed":
        assert reported(carrier, sink)[0].outcome is Outcome.COMPLETED


def create(carrier: CarrierClient, sink: Sink, **changed: str | None) -> tuple[int, object]:
    account = carrier.environment["EXOTEL_ACCOUNT_SID"]
    pair = f"{carrier.environment['EXOTEL_API_KEY']}:{carrier.environment['EXOTEL_API_TOKEN']}"
    usual = {
        "From": "09876543210",
        "CallerId": "08047104890",
        "Url": f"http://my.exotel.com/{account}/exoml/start_voice/926",
        "StatusCallback": f"{sink.url}/cb",
    }
    form = {name: value for name, value in (usual | changed).items() if value is not None}
    login = {"Authorization": "Basic " + b64encode(pair.encode()).decode()}
    path = f"/exotel/v1/Accounts/{account}/Calls/connect.json"
    return carrier.ask("POST", path, urlencode(form), login)


def test_multipart_is_the_default_and_the_short_body_without_events(carrier: CarrierClient, sink: Sink) -> None:
    assert create(carrier, sink)[0] == 200
    (received,) = sink.wait(1)
    assert received.headers["Content-Type"].startswith("multipart/form-data; boundary=")
    (event,) = reported(carrier, sink)
    assert (event.outcome, event.to_number, event.token) == (Outcome.COMPLETED, None, None)


def test_the_answer_is_reported_if_requested(carrier: CarrierClient, sink: Sink) -> None:
    script(carrier, "voicemail")
    asked = {"StatusCallbackEvents[0]": "terminal", "StatusCallbackEvents[1]": "answered"}
    create(carrier, sink, **asked)
    answered, terminal = reported(carrier, sink, 2)
    assert (answered.progress, answered.outcome) == (Progress.IN_PROGRESS, None)
    assert (terminal.amd, terminal.outcome) == (Amd.MACHINE, Outcome.VOICEMAIL)
    assert answered.event_id != terminal.event_id


@pytest.mark.parametrize(
    "changed",
    [
        {"From": None},
        {"From": "98765"},
        {"CallerId": "me"},
        {"Url": None},
        {"Url": "926"},
        {"TimeLimit": "14401"},
        {"TimeOut": "soon"},
        {"CustomField": "x" * 129},
        {"StatusCallback": "cb"},
        {"StatusCallbackEvents[0]": "ringing"},
        {"StatusCallbackContentType": "text/xml"},
    ],
)
def test_a_malformed_create_call_is_refused(carrier: CarrierClient, sink: Sink, changed: dict[str, str | None]) -> None:
    status, body = create(carrier, sink, **changed)
    assert isinstance(body, dict)
    assert (status, body["RestException"]["Status"]) == (400, 400)
    wait_until(lambda: len(carrier.requests("")) == 1)
    assert sink.received == []


def test_an_answer_that_is_held_back_leaves_it_open(carrier: CarrierClient, sink: Sink) -> None:
    script(carrier, "timeout")
    credentials = {
        name: carrier.environment[f"EXOTEL_{name.upper()}"]
        for name in ("account_sid", "api_key", "api_token", "api_url")
    }
    hasty = load("exotel", credentials, now=carrier.provider("exotel").now, http=Http(read_sec=0.05))
    assert isinstance(hasty.dial(request(sink)), PlacementUnknown)
    assert reported(carrier, sink)[0].outcome is Outcome.COMPLETED
    assert len(carrier.requests("?to=%2B919876543210")) == 1
