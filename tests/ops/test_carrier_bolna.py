"""Bolna's part of the mock carrier, used by the app's own client of Bolna."""

import json
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.domain.events import Progress
from chalicelib.domain.outcome import Amd, Outcome
from ops.local.carrier_bolna import EVERY_AGENT
from tests.ops.calling import CarrierTests
from tests.support.carrier_caller import DIAL, TOKEN, Caller, CarrierCase
from tests.support.carrier_client import TO, CarrierClient, Sink

AGENT = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
ANSWERED = ("initiated", "ringing", "in-progress", "call-disconnected", "completed")
CASE = CarrierCase(
    name="bolna",
    dial=replace(DIAL, answer_url=None, agent_version_id=AGENT, variables={"customer_name": "Asha"}),
    answered=ANSWERED,
    endings=[
        ("completed", ANSWERED, Outcome.COMPLETED, "bolna:Call recipient hung up"),
        ("voicemail", (*ANSWERED[:3], *ANSWERED[2:]), Outcome.VOICEMAIL, "bolna:Call recipient hung up"),
        ("busy", ("initiated", "ringing", "busy"), Outcome.BUSY, "bolna:Call recipient was busy"),
        ("no-answer", ("initiated", "ringing", "no-answer"), Outcome.NO_ANSWER, "bolna:Call unanswered"),
        ("failed", ("initiated", "failed"), Outcome.FAILED, "bolna:Carrier Internal Error"),
        ("canceled", ("initiated", "ringing", "canceled"), Outcome.CANCELED, "bolna:Call canceled"),
        ("rejected", ("initiated", "ringing", "completed"), Outcome.REJECTED, "bolna:Call recipient rejected"),
    ],
    placed=("initiated", Progress.INITIATED),
    # Bolna stops a call until it is answered.
    hang_ups=[
        ({"ring_sec": 2}, Progress.RINGING, Outcome.CANCELED),
        ({"talk_sec": 30}, Progress.IN_PROGRESS, None),
    ],
    carries_token=True,
    looks_up_token=True,
    unknown_id="nobody",
)


class TestBolna(CarrierTests):
    case = CASE
    test_a_callback_counts_for_its_own_secret_only = None  # Bolna signs no callback


def login(carrier: CarrierClient) -> dict[str, str]:
    return {"Authorization": f"Bearer {carrier.environment['BOLNA_API_KEY']}"}


@pytest.fixture(autouse=True)
def _webhook(carrier: CarrierClient, sink: Sink) -> None:
    body = json.dumps({"agent_config": {"webhook_url": f"{sink.url}/callbacks/bolna"}})
    assert carrier.ask("PUT", f"/bolna/v2/agent/{AGENT}", body, login(carrier))[0] == 200


def test_a_voicemail_is_reported_before_the_end(caller: Caller) -> None:
    caller.script({"outcome": "voicemail", "talk_sec": 0.2})
    call_id = caller.place()
    detected = caller.reported(4)[3]
    assert (detected.status, detected.amd, detected.progress, detected.outcome) == (
        "in-progress",
        Amd.MACHINE,
        None,
        None,
    )
    assert caller.lookup(call_id).token == TOKEN


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


def test_nothing_is_done_without_the_key(carrier: CarrierClient) -> None:
    for method, path in (("POST", "/call"), ("GET", "/executions/x"), ("PUT", f"/v2/agent/{AGENT}")):
        assert carrier.ask(method, f"/bolna{path}", "{}")[0] in (400, 401)


def test_an_agent_without_a_webhook_of_its_own_has_that_of_every_agent(carrier: CarrierClient, sink: Sink) -> None:
    body = json.dumps({"agent_config": {"webhook_url": f"{sink.url}/callbacks/every"}})
    assert carrier.ask("PUT", f"/bolna/v2/agent/{EVERY_AGENT}", body, login(carrier))[0] == 200
    for agent in ("another", AGENT):
        carrier.provider("bolna").dial(replace(CASE.dial, agent_version_id=agent))
    heard = {each.path: json.loads(each.body)["agent_id"] for each in sink.wait(8)}
    assert heard == {"/callbacks/every": "another", "/callbacks/bolna": AGENT}
