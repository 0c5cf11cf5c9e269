"""Telnyx's part of the mock carrier, used by the app's own client of Telnyx."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.domain.events import Progress
from chalicelib.domain.outcome import Amd, Outcome
from chalicelib.providers import DeferredByProvider, MachineDetection, PlacementUnknown, Refused
from tests.ops.calling import CarrierTests
from tests.support.carrier_caller import DIAL, TOKEN, Caller, CarrierCase, Seconds
from tests.support.carrier_client import FROM, TO

CALLS = "/telnyx/v2/calls"
ANSWERED = ("initiated", "answered", "machine-detection-ended", "normal-clearing")
NO_SECONDS = Seconds(completed=None, voicemail=None, unanswered=None)
CASE = CarrierCase(
    name="telnyx",
    dial=replace(DIAL, answer_url=None),
    answered=ANSWERED,
    endings=[
        ("completed", ANSWERED, Outcome.COMPLETED, "telnyx:normal_clearing"),
        ("busy", ("initiated", "user-busy"), Outcome.BUSY, "telnyx:user_busy"),
        ("no-answer", ("initiated", "timeout"), Outcome.NO_ANSWER, "telnyx:timeout"),
        ("canceled", ("initiated", "originator-cancel"), Outcome.CANCELED, "telnyx:originator_cancel"),
        ("failed", ("initiated", "unspecified"), Outcome.FAILED, "sip:503"),
        ("rejected", ("initiated", "call-rejected"), Outcome.REJECTED, "telnyx:call_rejected"),
    ],
    refusals=[
        ("invalid-number", Refused(Outcome.INVALID_NUMBER, "telnyx:10016")),
        ("error", PlacementUnknown("telnyx:10007")),
        ("throttled", DeferredByProvider("telnyx:10011", fault=False)),
        ("auth", DeferredByProvider("telnyx:10009", fault=True)),
    ],
    placed=("alive", Progress.INITIATED),
    # call.hangup has no length
    reported_sec=NO_SECONDS,
    looked_up_sec=NO_SECONDS,
    unknown_id="11111111-2222-4333-8444-555555555555",
    other_secret={"public_key": base64.b64encode(bytes(31) + b"\x01").decode()},
)


class TestTelnyx(CarrierTests):
    case = CASE
    test_a_call_under_way_is_looked_up_and_hung_up = None  # a look-up does not say whether the call was answered


def ask(caller: Caller, body: object, key: str | None = None) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {key or caller.carrier.environment['TELNYX_API_KEY']}"}
    return caller.carrier.ask("POST", CALLS, json.dumps(body), headers)


@pytest.mark.parametrize(
    ("outcome", "amd"),
    [
        ("voicemail", Amd.MACHINE),
        ("completed", Amd.HUMAN),
        ({"outcome": "completed", "amd": "unknown"}, Amd.UNKNOWN),
        ({"outcome": "voicemail", "amd": "machine_end_beep"}, Amd.MACHINE),
    ],
)
def test_detection_is_an_event_of_its_own(caller: Caller, outcome: Any, amd: Amd) -> None:
    caller.script(outcome)
    caller.place()

    assert [event.amd for event in caller.reported(4)] == [None, None, amd, None]


def test_without_detection_there_is_no_amd_callback(caller: Caller) -> None:
    caller.script("voicemail")
    caller.place(machine_detection=MachineDetection.OFF)

    assert [event.status for event in caller.reported(3)] == ["initiated", "answered", "normal-clearing"]


def test_a_program_that_drives_the_call_gets_what_is_not_ours(caller: Caller) -> None:
    caller.place(answer_url=f"{caller.carrier.sink.url}/agent")

    caller.carrier.sink.wait(5)
    kinds: dict[str, list[str]] = {each.path: [] for each in caller.carrier.sink.received}
    for each in caller.carrier.sink.received:
        kinds[each.path].append(json.loads(each.body)["data"]["event_type"])
    ours = ["call.initiated", "call.answered", "call.machine.detection.ended", "call.hangup"]
    assert kinds == {"/agent": ["call.answered"], f"/callbacks/telnyx/{TOKEN}": ours}


def test_a_call_that_has_ended_is_not_hung_up_by_its_control_id(caller: Caller) -> None:
    call_id = caller.place()
    caller.reported(4)
    assert not caller.provider().hang_up(f"v3:{call_id}")


def test_a_second_dial_of_one_attempt_rings_no_second_phone(caller: Caller) -> None:
    assert caller.place() == caller.place()
    assert caller.place(attempt=2) != caller.place()
    assert len({event.provider_call_id for event in caller.reported(8)}) == 2


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
    caller: Caller, changed: dict[str, object], code: str, pointer: str
) -> None:
    usual = {"connection_id": caller.carrier.environment["TELNYX_CONNECTION_ID"], "to": TO, "from": FROM}

    status, refusal = ask(caller, usual | changed)

    (error,) = refusal["errors"]
    assert (status, error["code"], error["source"]) == (422, code, {"pointer": pointer})


def test_a_wrong_key_and_an_unknown_path_are_refused(caller: Caller) -> None:
    assert ask(caller, {"to": TO}, key="wrong")[1]["errors"][0]["code"] == "10009"
    assert caller.carrier.ask("GET", "/telnyx/v2/call_events")[0] == 401
    key = {"Authorization": f"Bearer {caller.carrier.environment['TELNYX_API_KEY']}"}
    assert caller.carrier.ask("GET", f"{CALLS}/v3:none", headers=key)[0] == 404
    assert caller.carrier.ask("GET", "/telnyx/v2/numbers", headers=key)[0] == 404
    call_id = caller.place()
    assert caller.carrier.ask("GET", f"{CALLS}/v3:{call_id}", headers=key)[1]["data"]["call_leg_id"] == call_id
    assert caller.carrier.ask("GET", f"{CALLS}/v3:{call_id}/actions/hangup", headers=key)[0] == 405
