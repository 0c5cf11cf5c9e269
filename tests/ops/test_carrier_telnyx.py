"""Telnyx's personality of the mock carrier, used by the app's own client."""

import base64
import json
from dataclasses import replace
from typing import Any

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
    PutOff,
    Refused,
    SignatureError,
    load,
)
from chalicelib.runtime.settings import Settings
from tests.support.carrier_client import FROM, TO, CarrierClient, Sink, wait_until

CALLS = "/telnyx/v2/calls"


def request(sink: Sink, **changed: Any) -> DialRequest:
    usual = DialRequest("call_1", 1, FROM, TO, None, f"{sink.url}/callbacks/telnyx/t0k3n")
    return replace(usual, **changed)


def dial(carrier: CarrierClient, **changed: Any) -> DialResult:
    return carrier.provider("telnyx").dial(request(carrier.sink, **changed))


def place(carrier: CarrierClient, **changed: Any) -> str:
    result = dial(carrier, **changed)
    assert isinstance(result, Placed)
    return result.provider_call_id


def told(carrier: CarrierClient, count: int) -> list[CallEvent]:
    """Return the events of the first callbacks. Each is verified."""
    provider = carrier.provider("telnyx")
    events = []
    for each in carrier.sink.wait(count):
        provider.verify(each.request(carrier.sink.url))
        events += provider.parse(each.request(carrier.sink.url))
    return events


def ask(carrier: CarrierClient, body: object, key: str | None = None) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {key or carrier.environment['TELNYX_API_KEY']}"}
    return carrier.ask("POST", CALLS, json.dumps(body), headers)


def test_an_answered_call_is_placed_reported_and_looked_up(carrier: CarrierClient) -> None:
    call_id = place(carrier)

    events = told(carrier, 4)
    assert [event.status for event in events] == [
        "initiated",
        "answered",
        "machine-detection-ended",
        "normal-clearing",
    ]
    assert {(event.provider_call_id, event.to_number) for event in events} == {(call_id, TO)}
    assert [event.amd for event in events] == [None, None, Amd.HUMAN, None]
    assert [event.outcome for event in events] == [None, None, None, Outcome.COMPLETED]
    found = carrier.provider("telnyx").lookup(call_id)
    assert found is not None
    assert (found.outcome, found.occurred_at) == (Outcome.COMPLETED, events[3].occurred_at)


@pytest.mark.parametrize(
    ("outcome", "ended"),
    [
        ("busy", Outcome.BUSY),
        ("no-answer", Outcome.NO_ANSWER),
        ("canceled", Outcome.CANCELED),
        ("failed", Outcome.FAILED),
        ("rejected", Outcome.REJECTED),
    ],
)
def test_an_unanswered_call_ends_with_its_hangup_cause(carrier: CarrierClient, outcome: str, ended: Outcome) -> None:
    carrier.script(outcome)
    call_id = place(carrier)

    assert [event.outcome for event in told(carrier, 2)] == [None, ended]
    found = carrier.provider("telnyx").lookup(call_id)
    assert found is not None
    assert found.outcome is ended


@pytest.mark.parametrize(
    ("outcome", "amd"),
    [
        ("voicemail", Amd.MACHINE),
        ("completed", Amd.HUMAN),
        ({"outcome": "completed", "amd": "unknown"}, Amd.UNKNOWN),
        ({"outcome": "voicemail", "amd": "machine_end_beep"}, Amd.MACHINE),
    ],
)
def test_detection_is_an_event_of_its_own(carrier: CarrierClient, outcome: Any, amd: Amd) -> None:
    carrier.script(outcome)
    place(carrier)

    assert [event.amd for event in told(carrier, 4)] == [None, None, amd, None]


def test_without_detection_there_is_no_amd_callback(carrier: CarrierClient) -> None:
    carrier.script("voicemail")
    place(carrier, machine_detection=MachineDetection.OFF)

    assert [event.status for event in told(carrier, 3)] == ["initiated", "answered", "normal-clearing"]


def test_a_program_that_drives_the_call_gets_what_is_not_ours(carrier: CarrierClient) -> None:
    place(carrier, answer_url=f"{carrier.sink.url}/agent")

    carrier.sink.wait(5)
    kinds = {each.path: [] for each in carrier.sink.received}  # type: dict[str, list[str]]
    for each in carrier.sink.received:
        kinds[each.path].append(json.loads(each.body)["data"]["event_type"])
    assert kinds == {
        "/agent": ["call.answered"],
        "/callbacks/telnyx/t0k3n": ["call.initiated", "call.answered", "call.machine.detection.ended", "call.hangup"],
    }


@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        ("invalid-number", Refused(Outcome.INVALID_NUMBER, "telnyx:10016")),
        ("error", PlacementUnknown("telnyx:10007")),
        ("throttled", PutOff("telnyx:10011", fault=False)),
        ("auth", PutOff("telnyx:10009", fault=True)),
    ],
)
def test_a_scripted_refusal_is_read_for_what_it_is(carrier: CarrierClient, outcome: str, result: DialResult) -> None:
    carrier.script(outcome)

    assert replace(dial(carrier), evidence={}) == result
    assert [each["sid"] for each in carrier.requests()] == [None]


def test_a_call_behind_a_server_error_rings_all_the_same(carrier: CarrierClient) -> None:
    carrier.script("server-error-but-placed")

    assert isinstance(dial(carrier), PlacementUnknown)
    assert told(carrier, 4)[-1].outcome is Outcome.COMPLETED


def test_a_call_whose_answer_is_late_rings_all_the_same(carrier: CarrierClient) -> None:
    carrier.script("timeout")
    credentials = Settings.from_env(carrier.environment).credentials("telnyx")
    hasty = load("telnyx", credentials, now=carrier.provider("telnyx").now, http=Http(read_sec=0.05))

    assert isinstance(hasty.dial(request(carrier.sink)), PlacementUnknown)
    assert told(carrier, 4)[-1].outcome is Outcome.COMPLETED
    assert len(carrier.requests()) == 1


def test_a_second_dial_of_one_attempt_rings_no_second_phone(carrier: CarrierClient) -> None:
    assert place(carrier) == place(carrier)
    assert place(carrier, attempt=2) != place(carrier)
    assert len({event.provider_call_id for event in told(carrier, 8)}) == 2


def test_a_silent_call_is_found_by_looking_it_up(carrier: CarrierClient) -> None:
    carrier.script({"outcome": "silent", "ring_sec": 0.2})
    call_id = place(carrier)
    provider = carrier.provider("telnyx")

    live = provider.lookup(call_id)
    assert live is not None
    assert (live.status, live.outcome) == ("alive", None)

    def outcome() -> Outcome | None:
        event = provider.lookup(call_id)
        return event.outcome if event else None

    wait_until(lambda: outcome() is Outcome.COMPLETED)
    assert carrier.sink.received == []
    assert provider.lookup("11111111-2222-4333-8444-555555555555") is None


def test_a_ringing_call_is_hung_up_once(carrier: CarrierClient) -> None:
    carrier.script({"outcome": "completed", "ring_sec": 30})
    call_id = place(carrier)
    provider = carrier.provider("telnyx")

    assert (provider.hang_up(call_id), provider.hang_up(call_id)) == (True, False)
    assert not provider.hang_up(f"v3:{call_id}")
    assert told(carrier, 2)[-1].outcome is Outcome.CANCELED


def test_a_callback_counts_for_its_own_key_only(carrier: CarrierClient) -> None:
    place(carrier)
    other = {"public_key": base64.b64encode(bytes(31) + b"\x01").decode()}
    credentials = Settings.from_env(carrier.environment).credentials("telnyx") | other
    stranger = load("telnyx", credentials, now=carrier.provider("telnyx").now)

    with pytest.raises(SignatureError):
        stranger.verify(carrier.sink.wait(1)[0].request(carrier.sink.url))


@pytest.mark.parametrize(
    ("changed", "code", "pointer"),
    [
        ({"connection_id": "1"}, "10015", "/connection_id"),
        ({"to": None}, "10004", "/to"),
        ({"to": "16505550199"}, "10016", "/to"),
        ({"from": None}, "10004", "/from"),
        ({"from": "me"}, "10016", "/from"),
        ({"webhook_url": "x"}, "10003", "/webhook_url"),
        ({"webhook_urls": {"hangup": "https://x.test/"}}, "90057", "/webhook_urls"),
        ({"timeout_secs": 4}, "90028", "/timeout_secs"),
        ({"timeout_secs": "30"}, "90028", "/timeout_secs"),
        ({"time_limit_secs": 59}, "90029", "/time_limit_secs"),
        ({"client_state": "%"}, "90017", "/client_state"),
        ({"command_id": "call_1"}, "10015", "/command_id"),
        ({"answering_machine_detection": "Enable"}, "10032", "/answering_machine_detection"),
    ],
)
def test_a_malformed_dial_is_refused_with_telnyxs_code(
    carrier: CarrierClient, changed: dict[str, object], code: str, pointer: str
) -> None:
    usual = {"connection_id": carrier.environment["TELNYX_CONNECTION_ID"], "to": TO, "from": FROM}

    status, refusal = ask(carrier, usual | changed)

    (error,) = refusal["errors"]
    assert (status, error["code"], error["source"]) == (422, code, {"pointer": pointer})


def test_a_wrong_key_and_an_unknown_path_are_refused(carrier: CarrierClient) -> None:
    assert ask(carrier, {"to": TO}, key="wrong")[1]["errors"][0]["code"] == "10009"
    assert carrier.ask("GET", "/telnyx/v2/call_events")[0] == 401
    key = {"Authorization": f"Bearer {carrier.environment['TELNYX_API_KEY']}"}
    assert carrier.ask("GET", f"{CALLS}/v3:none", headers=key)[0] == 404
    assert carrier.ask("GET", "/telnyx/v2/numbers", headers=key)[0] == 404
    call_id = place(carrier)
    assert carrier.ask("GET", f"{CALLS}/v3:{call_id}", headers=key)[1]["data"]["call_leg_id"] == call_id
    assert carrier.ask("GET", f"{CALLS}/v3:{call_id}/actions/hangup", headers=key)[0] == 405
