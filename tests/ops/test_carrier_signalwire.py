"""SignalWire's part of the mock carrier, used by the app's own client."""

import base64
from dataclasses import replace
from urllib.parse import urlencode

import pytest

from chalicelib.domain.events import Progress
from chalicelib.domain.outcome import Amd, Outcome
from chalicelib.providers import DeferredByProvider, MachineDetection, PlacementUnknown, Refused
from tests.ops.calling import CarrierTests
from tests.support.carrier_caller import DIAL, Caller, CarrierCase
from tests.support.carrier_client import FROM, TO

ANSWERED = ("initiated", "ringing", "in-progress", "completed")
CASE = CarrierCase(
    name="signalwire",
    dial=replace(DIAL, machine_detection=MachineDetection.OFF),
    answered=ANSWERED,
    endings=[
        ("completed", ANSWERED, Outcome.COMPLETED, None),
        ("busy", ("initiated", "ringing", "busy"), Outcome.BUSY, "sip:486"),
        ("no-answer", ("initiated", "ringing", "no-answer"), Outcome.NO_ANSWER, "sip:487"),
        ("canceled", ("initiated", "ringing", "canceled"), Outcome.CANCELED, "sip:487"),
        ("failed", ("initiated", "failed"), Outcome.FAILED, "sip:503"),
        ("rejected", ("initiated", "ringing", "failed"), Outcome.REJECTED, "sip:603"),
    ],
    refusals=[
        ("invalid-number", Refused(Outcome.INVALID_NUMBER, "signalwire:21211")),
        ("error", PlacementUnknown("signalwire:20500")),
        ("throttled", DeferredByProvider("signalwire:20429", fault=False)),
        ("auth", DeferredByProvider("signalwire:20003", fault=True)),
    ],
    looked_up={"rejected": Outcome.FAILED},  # the look-up has no SIP code
    looks_up_causes=False,
    hang_ups=[
        ({"ring_sec": 2}, Progress.RINGING, Outcome.CANCELED),
        ({"talk_sec": 30}, Progress.IN_PROGRESS, Outcome.COMPLETED),
    ],
    other_secret={"signing_key": "PSKother"},
)


class TestSignalWire(CarrierTests):
    case = CASE


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
    caller: Caller, outcome: str, ended: Outcome, phrase: str
) -> None:
    caller.script(outcome)
    caller.place()

    last = caller.reported(2 if outcome == "failed" else 3)[-1]
    assert (last.outcome, last.evidence["SipInviteResultPhrase"]) == (ended, phrase)
    form = caller.carrier.sink.received[-1].form
    assert not {"SipResponseCode", "CallDuration", "Duration", "Called", "FromCity"} & form.keys()


def test_an_answering_machine_is_reported_in_signalwires_word(caller: Caller) -> None:
    caller.script({"outcome": "voicemail", "talk_sec": 0.2})
    caller.place(machine_detection=MachineDetection.ASYNC)

    events = caller.reported(5)
    assert [event.amd for event in events] == [None, None, None, Amd.MACHINE, None]
    assert caller.carrier.sink.received[3].form["AnsweredBy"] == "machine"


def test_synchronous_amd_of_an_answering_machine_is_a_voicemail(caller: Caller) -> None:
    caller.script("voicemail")
    caller.place(machine_detection=MachineDetection.SYNC)

    assert caller.reported(4)[-1].outcome is Outcome.VOICEMAIL


def test_the_api_is_at_signalwires_paths_under_its_login(caller: Caller) -> None:
    project, token = (caller.carrier.environment[f"SIGNALWIRE_{name}"] for name in ("PROJECT_ID", "API_TOKEN"))
    login = {"Authorization": "Basic " + base64.b64encode(f"{project}:{token}".encode()).decode()}
    calls = f"/signalwire/api/laml/2010-04-01/Accounts/{project}/Calls"

    assert caller.carrier.ask("POST", calls, headers=login)[1] == {
        "code": 21201,
        "message": "No 'To' number is specified",
        "status": 400,
    }
    form = urlencode({"To": TO, "From": FROM, "Url": "https://x.test/"})
    status, call = caller.carrier.ask("POST", calls, form, login)
    assert (status, call["uri"]) == (200, f"/api/laml/2010-04-01/Accounts/{project}/Calls/{call['sid']}.json")
    assert caller.carrier.ask("GET", f"{calls}/{call['sid']}", headers=login)[1]["sid"] == call["sid"]
    assert caller.carrier.ask("GET", calls)[0] == 401
    assert caller.carrier.ask("GET", calls.replace("/api/laml", ""), headers=login)[0] == 404
