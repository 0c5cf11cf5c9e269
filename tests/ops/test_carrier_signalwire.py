"""SignalWire's personality of the mock carrier, used by the app's own client."""

import base64
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest

from chalicelib.domain.events import CallEvent
from chalicelib.domain.outcome import Amd, Outcome
from chalicelib.providers import (
    DialRequest,
    DialResult,
    Http,
    MachineDetection,
    Placed,
    PlacementUnknown,
    Provider,
    PutOff,
    Refused,
    SignatureError,
    load,
)
from chalicelib.runtime.settings import Settings
from tests.support.carrier_client import FROM, TO, CarrierClient, Sink, wait_until


def request(sink: Sink, **changed: Any) -> DialRequest:
    usual = DialRequest("call_1", 1, FROM, TO, "https://x.test/answer", f"{sink.url}/callbacks/signalwire/t0k3n")
    return replace(usual, **changed)


def dial(carrier: CarrierClient, **changed: Any) -> DialResult:
    return carrier.provider("signalwire").dial(request(carrier.sink, **changed))


def place(carrier: CarrierClient, **changed: Any) -> str:
    result = dial(carrier, **changed)
    assert isinstance(result, Placed)
    return result.provider_call_id


def told(carrier: CarrierClient, count: int) -> list[CallEvent]:
    """Return the events of the first callbacks. Each is verified."""
    provider = carrier.provider("signalwire")
    events = []
    for each in carrier.sink.wait(count):
        provider.verify(each.request(carrier.sink.url))
        events += provider.parse(each.request(carrier.sink.url))
    return events


def test_an_answered_call_is_placed_reported_and_looked_up(carrier: CarrierClient) -> None:
    call_id = place(carrier, machine_detection=MachineDetection.OFF)

    events = told(carrier, 4)
    assert [event.status for event in events] == ["initiated", "ringing", "in-progress", "completed"]
    assert {(event.provider_call_id, event.to_number) for event in events} == {(call_id, TO)}
    assert (events[3].outcome, events[3].duration_sec) == (Outcome.COMPLETED, 1)
    found = carrier.provider("signalwire").lookup(call_id)
    assert found is not None
    assert found.outcome is Outcome.COMPLETED


@pytest.mark.parametrize(
    ("outcome", "ended", "phrase"),
    [
        ("busy", Outcome.BUSY, "Busy Here"),
        ("no-answer", Outcome.NO_ANSWER, "Request Terminated"),
        ("canceled", Outcome.CANCELED, "Request Terminated"),
        ("failed", Outcome.FAILED, "Service Unavailable"),
        ("rejected", Outcome.REJECTED, "Decline"),
    ],
)
def test_an_unanswered_call_ends_with_signalwires_sip_fields(
    carrier: CarrierClient, outcome: str, ended: Outcome, phrase: str
) -> None:
    carrier.script(outcome)
    place(carrier)

    last = told(carrier, 2 if outcome == "failed" else 3)[-1]
    assert (last.outcome, last.evidence["SipInviteResultPhrase"]) == (ended, phrase)
    form = carrier.sink.received[-1].form
    assert not {"SipResponseCode", "CallDuration", "Duration", "Called", "FromCity"} & form.keys()


def test_an_answering_machine_is_reported_in_signalwires_word(carrier: CarrierClient) -> None:
    carrier.script({"outcome": "voicemail", "talk_sec": 0.2})
    place(carrier)

    events = told(carrier, 5)
    assert [event.amd for event in events] == [None, None, None, Amd.MACHINE, None]
    assert carrier.sink.received[3].form["AnsweredBy"] == "machine"


def test_synchronous_amd_of_an_answering_machine_is_a_voicemail(carrier: CarrierClient) -> None:
    carrier.script("voicemail")
    place(carrier, machine_detection=MachineDetection.SYNC)

    assert told(carrier, 4)[-1].outcome is Outcome.VOICEMAIL


@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        ("invalid-number", Refused(Outcome.INVALID_NUMBER, "signalwire:21211")),
        ("error", PlacementUnknown("signalwire:20500")),
        ("throttled", PutOff("signalwire:20429", fault=False)),
        ("auth", PutOff("signalwire:20003", fault=True)),
    ],
)
def test_a_scripted_refusal_is_read_for_what_it_is(carrier: CarrierClient, outcome: str, result: DialResult) -> None:
    carrier.script(outcome)

    assert replace(dial(carrier), evidence={}) == result
    assert [each["sid"] for each in carrier.requests()] == [None]


def test_a_call_behind_a_server_error_rings_all_the_same(carrier: CarrierClient) -> None:
    carrier.script("server-error-but-placed")

    assert isinstance(dial(carrier, machine_detection=MachineDetection.OFF), PlacementUnknown)
    assert told(carrier, 4)[-1].outcome is Outcome.COMPLETED


def test_a_call_whose_answer_is_late_rings_all_the_same(carrier: CarrierClient) -> None:
    carrier.script("timeout")
    credentials = Settings.from_env(carrier.environment).credentials("signalwire")
    hasty = load("signalwire", credentials, now=carrier.provider("signalwire").now, http=Http(read_sec=0.05))

    assert isinstance(hasty.dial(request(carrier.sink)), PlacementUnknown)
    assert told(carrier, 4)[-1].status == "completed"
    assert len(carrier.requests()) == 1


def test_a_silent_call_is_found_by_looking_it_up(carrier: CarrierClient) -> None:
    carrier.script("silent")
    call_id = place(carrier)
    provider = carrier.provider("signalwire")

    def outcome() -> Outcome | None:
        event = provider.lookup(call_id)
        return event.outcome if event else None

    wait_until(lambda: outcome() is Outcome.COMPLETED)
    assert carrier.sink.received == []


def test_a_ringing_call_is_hung_up_once(carrier: CarrierClient) -> None:
    carrier.script({"outcome": "completed", "ring_sec": 30})
    call_id = place(carrier)
    provider = carrier.provider("signalwire")

    assert (provider.hang_up(call_id), provider.hang_up(call_id)) == (True, False)
    assert told(carrier, 2)[-1].outcome is Outcome.CANCELED


def test_a_callback_counts_for_its_own_key_only(carrier: CarrierClient) -> None:
    place(carrier)
    credentials = Settings.from_env(carrier.environment).credentials("signalwire") | {"signing_key": "PSKother"}
    stranger: Provider = load("signalwire", credentials, now=carrier.provider("signalwire").now)

    with pytest.raises(SignatureError):
        stranger.verify(carrier.sink.wait(1)[0].request(carrier.sink.url))


def test_the_api_is_at_signalwires_paths_under_its_login(carrier: CarrierClient) -> None:
    project, token = (carrier.environment[f"SIGNALWIRE_{name}"] for name in ("PROJECT_ID", "API_TOKEN"))
    login = {"Authorization": "Basic " + base64.b64encode(f"{project}:{token}".encode()).decode()}
    calls = f"/signalwire/api/laml/2010-04-01/Accounts/{project}/Calls"

    assert carrier.ask("POST", calls, headers=login)[1] == {
        "code": 21201,
        "message": "No 'To' number is specified",
        "status": 400,
    }
    form = urlencode({"To": TO, "From": FROM, "Url": "https://x.test/"})
    status, call = carrier.ask("POST", calls, form, login)
    assert (status, call["uri"]) == (200, f"/api/laml/2010-04-01/Accounts/{project}/Calls/{call['sid']}.json")
    assert carrier.ask("GET", f"{calls}/{call['sid']}", headers=login)[1]["sid"] == call["sid"]
    assert carrier.ask("GET", calls)[0] == 401
    assert carrier.ask("GET", calls.replace("/api/laml", ""), headers=login)[0] == 404
