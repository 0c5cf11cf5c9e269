"""Vonage's part of the mock carrier, used by the app's own client of Vonage."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.domain.events import CallEvent, Progress
from chalicelib.domain.outcome import Amd, Outcome
from chalicelib.providers import MachineDetection, SignatureError, load
from chalicelib.providers.jwt import sign_rs256
from chalicelib.runtime.settings import Settings
from tests.ops.calling import CarrierTests
from tests.support.carrier_caller import Caller, CarrierCase, Seconds
from tests.support.carrier_client import FROM, TO

CALLS = "/vonage/v1/calls"
ANSWERED = ("started", "ringing", "answered", "human", "completed")
CASE = CarrierCase(
    name="vonage",
    answered=ANSWERED,
    endings=[
        ("completed", ANSWERED, Outcome.COMPLETED, None),
        ("busy", ("started", "ringing", "busy"), Outcome.BUSY, "sip:486"),
        ("no-answer", ("started", "ringing", "unanswered"), Outcome.NO_ANSWER, "vonage:timeout"),
        ("canceled", ("started", "ringing", "cancelled"), Outcome.CANCELED, "sip:487"),
        ("rejected", ("started", "ringing", "rejected"), Outcome.REJECTED, "vonage:declined"),
        ("failed", ("started", "failed"), Outcome.FAILED, "vonage:internal-error"),
    ],
    placed=("started", Progress.INITIATED),
    hang_ups=[
        ({"ring_sec": 2}, Progress.RINGING, Outcome.CANCELED),
        ({"talk_sec": 30}, Progress.IN_PROGRESS, Outcome.COMPLETED),
    ],
    # A record has no detail and no SIP code (developer.vonage.com/en/api/voice#getCall).
    looks_up_causes=False,
    # Only a completed call has a duration (developer.vonage.com/en/voice/voice-api/webhook-reference#completed).
    reported_sec=Seconds(unanswered=None),
    looked_up_sec=Seconds(unanswered=None),
    other_secret={"signature_secret": "other"},
)


class TestVonage(CarrierTests):
    case = CASE

    def looked_up_at(self, caller: Caller, last: CallEvent) -> datetime | None:
        # Only the record of a completed call has times.
        return last.occurred_at if last.outcome is Outcome.COMPLETED else None


def claims(caller: Caller, **changed: Any) -> dict[str, Any]:
    at = int(datetime.now(UTC).timestamp())
    application = caller.carrier.environment["VONAGE_APPLICATION_ID"]
    usual = {"application_id": application, "iat": at, "exp": at + 60, "jti": "1"}
    return {name: value for name, value in (usual | changed).items() if value is not None}


def ask(caller: Caller, changed: dict[str, object], said: dict[str, Any] | None = None) -> tuple[int, Any]:
    token = sign_rs256(said or claims(caller), caller.carrier.environment["VONAGE_PRIVATE_KEY"])
    usual = {
        "to": [{"type": "phone", "number": TO.removeprefix("+")}],
        "from": {"type": "phone", "number": FROM.removeprefix("+")},
        "answer_url": ["https://x.test/"],
        "event_url": [f"{caller.carrier.sink.url}/cb"],
    }
    body = {name: value for name, value in (usual | changed).items() if value is not None}
    return caller.carrier.ask("POST", CALLS, json.dumps(body), {"Authorization": f"Bearer {token}"})


def test_the_events_of_an_answered_call_have_times_in_order(caller: Caller) -> None:
    caller.place()

    events = caller.reported(5)
    assert [event.amd for event in events] == [None, None, None, Amd.HUMAN, None]
    times = [event.occurred_at for event in events if event.occurred_at]
    assert len(times) == 5
    assert times == sorted(times)


@pytest.mark.parametrize(
    ("outcome", "detection", "heard"),
    [
        ("voicemail", MachineDetection.ASYNC, [Amd.MACHINE]),
        ("voicemail", MachineDetection.SYNC, [Amd.MACHINE]),
        ("voicemail", MachineDetection.OFF, []),
        ({"outcome": "completed", "amd": "fax"}, MachineDetection.ASYNC, [Amd.MACHINE]),
        ({"outcome": "completed", "amd": "unknown"}, MachineDetection.ASYNC, []),
    ],
)
def test_amd_is_reported_during_the_call(
    caller: Caller, outcome: Any, detection: MachineDetection, heard: list[Amd]
) -> None:
    caller.script(outcome)
    caller.place(machine_detection=detection)

    events = caller.reported(4 + len(heard))
    assert [event.amd for event in events] == [None, None, None, *heard, None]


def test_a_callback_is_signed_for_its_body_and_its_time(caller: Caller) -> None:
    caller.place()

    callback = [each.request(caller.carrier.sink.url) for each in caller.carrier.sink.wait(5)][-1]
    assert callback.body.startswith(b"\xef\xbb\xbf")
    with pytest.raises(SignatureError):
        caller.provider().verify(replace(callback, body=callback.body.replace(b"completed", b"cancelled")))
    credentials = Settings.from_env(caller.carrier.environment).credentials("vonage")
    later = load("vonage", credentials, now=lambda: datetime.now(UTC) + timedelta(minutes=6))
    with pytest.raises(SignatureError):
        later.verify(callback)


@pytest.mark.parametrize(
    "changed",
    [
        {"application_id": "other"},
        {"jti": None},
        {"iat": None},
        {"exp": 1},
        {"exp": int(datetime.now(UTC).timestamp()) + 2 * 86_400},
    ],
)
def test_a_token_that_is_not_in_order_is_refused_and_uses_up_no_outcome(
    caller: Caller, changed: dict[str, Any]
) -> None:
    caller.script("busy")

    status, refusal = ask(caller, {}, claims(caller, **changed))
    assert (status, refusal["title"]) == (401, "Unauthorized")
    assert [(each["status"], each["outcome"]) for each in caller.carrier.requests()] == [(401, None)]


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer a.b.c", "Basic YTpi"])
def test_what_is_no_token_is_refused(caller: Caller, authorization: str) -> None:
    headers = {"Authorization": authorization}
    assert caller.carrier.ask("POST", CALLS, "{}", headers)[0] == 401
    assert caller.carrier.ask("GET", f"{CALLS}/1", headers=headers)[0] == 401


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"to": None}, "to[0].number"),
        ({"to": [{"type": "phone", "number": TO}]}, "to[0].number"),
        ({"to": [{"type": "sip", "uri": "sip:a@b"}]}, "to[0].number"),
        ({"from": None}, "from"),
        ({"answer_url": None}, "answer_url"),
        ({"answer_url": "https://x.test/"}, "answer_url"),
        ({"ncco": []}, "answer_url"),
        ({"answer_method": "PUT"}, "answer_method"),
        ({"event_url": ["nowhere"]}, "event_url"),
        ({"event_method": "GET"}, "event_method"),
        ({"machine_detection": "true"}, "machine_detection"),
        ({"length_timer": 7201}, "length_timer"),
        ({"ringing_timer": 0}, "ringing_timer"),
    ],
)
def test_a_malformed_create_call_is_refused(caller: Caller, changed: dict[str, object], field: str) -> None:
    status, refusal = ask(caller, changed)

    assert (status, refusal["invalid_parameters"]) == (400, [{"name": field, "reason": "is invalid"}])
    (logged,) = caller.carrier.requests("")
    assert (logged["provider"], logged["status"], logged["sid"]) == ("vonage", 400, None)
