"""SignalWire's part of the mock carrier, used by the app's own client."""

from urllib.parse import urlencode

import pytest

from chalicelib.domain.outcome import Amd, Outcome
from chalicelib.providers import MachineDetection
from tests.ops.calling import CarrierTests
from tests.support.carrier_caller import Caller, Seconds
from tests.support.carrier_client import FROM, TO, basic
from tests.support.cxml import carrier_case

CASE = carrier_case(
    "signalwire",
    # CallDuration is "only present on the completed event"
    # (signalwire.com/docs/compatibility-api/rest/calls/webhooks/voice-status-callback).
    reported_sec=Seconds(unanswered=None),
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
    login = basic(project, token)
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
