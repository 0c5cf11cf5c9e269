"""Plivo's part of the mock carrier, used by the app's own client of Plivo."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.domain.events import CallEvent, Progress
from chalicelib.domain.outcome import Amd, Outcome
from chalicelib.providers import MachineDetection, SignatureError, Unanswered
from ops.local.carrier_plivo import CONSOLE_ZONE
from tests.ops.calling import CarrierTests
from tests.support.carrier_caller import Caller, CarrierCase
from tests.support.carrier_client import FROM, TO, basic

CASE = CarrierCase(
    name="plivo",
    answered=("ringing", "completed"),
    endings=[
        ("completed", ("ringing", "completed"), Outcome.COMPLETED, "plivo:4000"),
        ("busy", ("ringing", "busy"), Outcome.BUSY, "plivo:3010"),
        ("no-answer", ("ringing", "completed"), Outcome.NO_ANSWER, "plivo:3000"),
        ("canceled", ("ringing", "cancel"), Outcome.CANCELED, "plivo:1000"),
        ("rejected", ("ringing", "failed"), Outcome.REJECTED, "plivo:3020"),
        ("failed", ("failed",), Outcome.FAILED, "plivo:5000"),
    ],
    placed=("queued", Progress.QUEUED),
    hang_ups=[
        ({"ring_sec": 2}, Progress.RINGING, Outcome.CANCELED),
    ],
    other_secret={"auth_token": "other"},
)


class TestPlivo(CarrierTests):
    case = CASE

    def looked_up_at(self, caller: Caller, last: CallEvent) -> datetime | None:
        # The callback has no exact time of the end: its EndTime is in whole seconds and does not name the console's
        # zone, in which the record has the same time.
        ended_at = datetime.fromisoformat(caller.carrier.sink.received[-1].form["EndTime"])
        return ended_at.replace(tzinfo=CONSOLE_ZONE)

    # Plivo reports ringing and the end only.
    def test_an_answered_call_is_looked_up_and_hung_up(self, caller: Caller) -> None:
        caller.script({"outcome": "completed", "talk_sec": 30})
        call_id = caller.place()

        caller.look_up_until(call_id, lambda event: event.progress is Progress.IN_PROGRESS)
        self.hang_up(caller, call_id, Outcome.COMPLETED)


def ask(caller: Caller, changed: dict[str, object], token: str = "") -> tuple[int, Any]:
    account = caller.carrier.environment["PLIVO_AUTH_ID"]
    headers = basic(account, token or caller.carrier.environment["PLIVO_AUTH_TOKEN"])
    usual = {"from": FROM.removeprefix("+"), "to": TO.removeprefix("+"), "answer_url": "https://x.test/"}
    body = {name: value for name, value in (usual | changed).items() if value is not None}
    return caller.carrier.ask("POST", f"/plivo/v1/Account/{account}/Call/", json.dumps(body), headers)


def test_the_consoles_time_is_not_taken_for_utc(caller: Caller) -> None:
    before = datetime.now(UTC)
    caller.place()

    for event in caller.reported(2):
        # If the console's time was read as UTC, it would be hours away.
        assert event.occurred_at is not None
        assert abs(event.occurred_at - before) < timedelta(seconds=5)


@pytest.mark.parametrize(
    ("outcome", "detection", "heard"),
    [
        ("voicemail", MachineDetection.ASYNC, [(None, None), (Amd.MACHINE, None), (None, Outcome.COMPLETED)]),
        ("voicemail", MachineDetection.SYNC, [(None, None), (Amd.MACHINE, Outcome.VOICEMAIL)]),
        ("voicemail", MachineDetection.OFF, [(None, None), (None, Outcome.COMPLETED)]),
        ("completed", MachineDetection.ASYNC, [(None, None), (None, Outcome.COMPLETED)]),
        ("completed", MachineDetection.SYNC, [(None, None), (None, Outcome.COMPLETED)]),
    ],
)
def test_detection_reports_answering_machines_only(
    caller: Caller, outcome: str, detection: MachineDetection, heard: list[tuple[Amd | None, Outcome | None]]
) -> None:
    caller.script(outcome)
    caller.place(machine_detection=detection)

    assert [(event.amd, event.outcome) for event in caller.reported(len(heard))] == heard


def test_a_callback_is_signed_for_the_account_and_no_other(caller: Caller) -> None:
    caller.place(callback_url=f"{caller.carrier.sink.url}/cb?b=%20x&a=1#ct=2000")

    assert len(caller.reported(2)) == 2
    callback = caller.carrier.sink.received[0].request(caller.carrier.sink.url)
    for changed in (
        replace(callback, body=callback.body.replace(b"ringing", b"completed")),
        replace(callback, url=callback.url.replace("a=1", "a=2")),
    ):
        with pytest.raises(SignatureError):
            caller.provider().verify(changed)


def test_wrong_credentials_are_refused_and_use_up_no_outcome(caller: Caller) -> None:
    caller.script("busy")

    assert ask(caller, {}, token="other")[0] == 401
    with pytest.raises(Unanswered):
        caller.provider(auth_token="other").lookup("00000000")
    assert [(each["status"], each["outcome"]) for each in caller.carrier.requests()] == [(401, None)]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"from": None}, "from parameter is not a valid phone number"),
        ({"to": None}, "to parameter is not a valid phone number"),
        ({"to": "16505550199<16505550111"}, "to parameter is not a valid phone number"),
        ({"to": FROM.removeprefix("+")}, "src and destination cannot overlap"),
        ({"answer_url": None}, "answer_url is missing"),
        ({"answer_url": "answer.xml"}, "answer_url is not a valid URL"),
        ({"hangup_url": "nowhere"}, "hangup_url is not a valid URL"),
        ({"ring_url": "nowhere"}, "ring_url is not a valid URL"),
        ({"ring_timeout": "30"}, "ring_timeout is not a number of seconds"),
        ({"time_limit": -1}, "time_limit is not a number of seconds"),
        ({"machine_detection": True}, "machine_detection must be true or hangup"),
    ],
)
def test_a_malformed_create_call_is_refused(caller: Caller, changed: dict[str, object], said: str) -> None:
    status, refusal = ask(caller, changed)

    assert (status, refusal) == (400, {"api_id": refusal["api_id"], "error": said})
    (logged,) = caller.carrier.requests("")
    assert (logged["provider"], logged["status"], logged["sid"]) == ("plivo", 400, None)
