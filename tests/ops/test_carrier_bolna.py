"""Bolna's personality of the mock carrier, used by the project's own provider."""

import json
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.domain.events import CallEvent, Progress
from chalicelib.domain.outcome import Amd, Outcome
from chalicelib.providers import DialRequest, Http, Placed, PlacementUnknown, PutOff, Refused, load
from ops.local.carrier_bolna import EVERY_AGENT
from tests.support.carrier_client import FROM, TO, CarrierClient, Sink

AGENT = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
TOKEN = "call_01.1.0123456789abcdef0123456789abcdef"
DIAL = DialRequest(
    call_id="call_01",
    attempt=1,
    from_number=FROM,
    to_number=TO,
    answer_url=None,
    callback_url=f"https://redial.example.com/callbacks/bolna/{TOKEN}",
    agent_version_id=AGENT,
    variables={"customer_name": "Asha"},
)


def login(carrier: CarrierClient) -> dict[str, str]:
    return {"Authorization": f"Bearer {carrier.environment['BOLNA_API_KEY']}"}


@pytest.fixture(autouse=True)
def _webhook(carrier: CarrierClient, sink: Sink) -> None:
    body = json.dumps({"agent_config": {"webhook_url": f"{sink.url}/callbacks/bolna"}})
    assert carrier.ask("PUT", f"/bolna/v2/agent/{AGENT}", body, login(carrier))[0] == 200


def reported(carrier: CarrierClient, sink: Sink, count: int) -> list[CallEvent]:
    provider = carrier.provider("bolna")
    callbacks = [each.request(sink.url) for each in sink.wait(count)]
    for callback in callbacks:
        provider.verify(callback)
    return [event for callback in callbacks for event in provider.parse(callback)]


ANSWERED = ["initiated", "ringing", "in-progress", "call-disconnected", "completed"]


@pytest.mark.parametrize(
    ("word", "told", "outcome"),
    [
        ("completed", ANSWERED, Outcome.COMPLETED),
        ("voicemail", [*ANSWERED[:3], *ANSWERED[2:]], Outcome.VOICEMAIL),
        ("busy", ["initiated", "ringing", "busy"], Outcome.BUSY),
        ("no-answer", ["initiated", "ringing", "no-answer"], Outcome.NO_ANSWER),
        ("failed", ["initiated", "failed"], Outcome.FAILED),
        ("canceled", ["initiated", "ringing", "canceled"], Outcome.CANCELED),
        ("rejected", ["initiated", "ringing", "completed"], Outcome.REJECTED),
    ],
)
def test_a_call_is_placed_reported_and_looked_up(
    carrier: CarrierClient, sink: Sink, word: str, told: list[str], outcome: Outcome
) -> None:
    carrier.script(word)
    placed = carrier.provider("bolna").dial(DIAL)
    assert isinstance(placed, Placed)

    events = reported(carrier, sink, len(told))
    assert [event.status for event in events] == told
    assert [event.outcome for event in events] == [*[None] * (len(told) - 1), outcome]
    assert {(event.provider_call_id, event.token) for event in events} == {(placed.provider_call_id, TOKEN)}
    assert {(event.to_number, event.from_number) for event in events} == {(TO, FROM)}
    assert len({event.event_id for event in events}) == len(told)
    found = carrier.provider("bolna").lookup(placed.provider_call_id)
    assert found is not None
    assert (found.outcome, found.token) == (outcome, TOKEN)


def test_a_voicemail_is_reported_before_the_end(carrier: CarrierClient, sink: Sink) -> None:
    carrier.script({"outcome": "voicemail", "talk_sec": 0.2})
    carrier.provider("bolna").dial(DIAL)
    heard = reported(carrier, sink, 4)[3]
    assert (heard.status, heard.amd, heard.progress, heard.outcome) == ("in-progress", Amd.MACHINE, None, None)


def test_a_ringing_call_is_stopped_and_an_answered_one_is_not(carrier: CarrierClient, sink: Sink) -> None:
    provider = carrier.provider("bolna")
    carrier.script({"outcome": "completed", "ring_sec": 30}, {"outcome": "completed", "talk_sec": 30})
    ringing = provider.dial(DIAL)
    assert isinstance(ringing, Placed)
    assert provider.hang_up(ringing.provider_call_id) is True
    assert reported(carrier, sink, 2)[-1].outcome is Outcome.CANCELED
    answered = provider.dial(DIAL)
    assert isinstance(answered, Placed)
    sink.wait(5)
    assert provider.hang_up(answered.provider_call_id) is False
    found = provider.lookup(answered.provider_call_id)
    assert found is not None
    assert found.progress is Progress.IN_PROGRESS
    assert provider.lookup("nobody") is None


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
    answered = carrier.provider("bolna").dial(DIAL)
    assert not isinstance(answered, Placed)
    assert replace(answered, evidence={}) == result
    assert len(carrier.requests()) == 1
    if word == "server-error-but-placed":
        assert reported(carrier, sink, 5)[-1].outcome is Outcome.COMPLETED


def test_an_answer_that_is_held_back_leaves_it_open(carrier: CarrierClient, sink: Sink) -> None:
    carrier.script("timeout")
    credentials = {name: carrier.environment[f"BOLNA_{name.upper()}"] for name in ("api_key", "api_url")}
    hasty = load("bolna", credentials, now=carrier.provider("bolna").now, http=Http(read_sec=0.05))
    assert isinstance(hasty.dial(DIAL), PlacementUnknown)
    assert reported(carrier, sink, 5)[-1].outcome is Outcome.COMPLETED
    assert len(carrier.requests()) == 1


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"recipient_phone_number": "16505550199"}, 400),
        ({"agent_id": None}, 400),
        ({"user_data": []}, 400),
        ({"retry_config": {"enabled": True}}, 400),
        ({}, 200),
    ],
)
def test_a_malformed_create_call_is_refused(carrier: CarrierClient, changed: dict[str, Any], status: int) -> None:
    body = {"agent_id": AGENT, "recipient_phone_number": TO, **changed}
    assert carrier.ask("POST", "/bolna/call", json.dumps(body), login(carrier))[0] == status


def test_a_silent_call_posts_no_callback(carrier: CarrierClient, sink: Sink) -> None:
    carrier.script("silent")
    placed = carrier.provider("bolna").dial(DIAL)
    assert isinstance(placed, Placed)
    assert carrier.provider("bolna").lookup(placed.provider_call_id) is not None
    assert sink.received == []


def test_nothing_is_done_without_the_key(carrier: CarrierClient) -> None:
    for method, path in (("POST", "/call"), ("GET", "/executions/x"), ("PUT", f"/v2/agent/{AGENT}")):
        assert carrier.ask(method, f"/bolna{path}", "{}")[0] in (400, 401)


def test_an_agent_without_a_webhook_of_its_own_has_that_of_every_agent(carrier: CarrierClient, sink: Sink) -> None:
    body = json.dumps({"agent_config": {"webhook_url": f"{sink.url}/callbacks/every"}})
    assert carrier.ask("PUT", f"/bolna/v2/agent/{EVERY_AGENT}", body, login(carrier))[0] == 200
    for agent in ("another", AGENT):
        carrier.provider("bolna").dial(replace(DIAL, agent_version_id=agent))
    heard = {each.path: json.loads(each.body)["agent_id"] for each in sink.wait(8)}
    assert heard == {"/callbacks/every": "another", "/callbacks/bolna": AGENT}
