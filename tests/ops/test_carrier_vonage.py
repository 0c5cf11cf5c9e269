"""Vonage's personality of the mock carrier, used by the app's own client."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.domain.events import CallEvent, Progress
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
from chalicelib.providers.jwt import sign_rs256
from chalicelib.runtime.settings import Settings
from tests.support.carrier_client import FROM, TO, CarrierClient, wait_until

CALLS = "/vonage/v1/calls"


def provider(carrier: CarrierClient, http: Http | None = None, **changed: str) -> Provider:
    credentials = Settings.from_env(carrier.environment).credentials("vonage")
    return load("vonage", {**credentials, **changed}, now=lambda: datetime.now(UTC), http=http)


def dial(carrier: CarrierClient, http: Http | None = None, **changed: Any) -> DialResult:
    callback = f"{carrier.sink.url}/callbacks/vonage/t0k3n"
    usual = DialRequest("call_1", 1, FROM, TO, "https://example.com/answer", callback)
    return provider(carrier, http).dial(replace(usual, **changed))


def place(carrier: CarrierClient, **changed: Any) -> str:
    result = dial(carrier, **changed)
    assert isinstance(result, Placed)
    return result.provider_call_id


def told(carrier: CarrierClient, count: int) -> list[CallEvent]:
    """Return the events of the first callbacks. Each is verified."""
    vonage = provider(carrier)
    events = []
    for each in carrier.sink.wait(count):
        vonage.verify(each.request(carrier.sink.url))
        events += vonage.parse(each.request(carrier.sink.url))
    return events


def claims(carrier: CarrierClient, **changed: Any) -> dict[str, Any]:
    at = int(datetime.now(UTC).timestamp())
    application = carrier.environment["VONAGE_APPLICATION_ID"]
    usual = {"application_id": application, "iat": at, "exp": at + 60, "jti": "1"}
    return {name: value for name, value in (usual | changed).items() if value is not None}


def ask(carrier: CarrierClient, changed: dict[str, object], said: dict[str, Any] | None = None) -> tuple[int, Any]:
    token = sign_rs256(said or claims(carrier), carrier.environment["VONAGE_PRIVATE_KEY"])
    usual = {
        "to": [{"type": "phone", "number": TO.removeprefix("+")}],
        "from": {"type": "phone", "number": FROM.removeprefix("+")},
        "answer_url": ["https://x.test/"],
        "event_url": [f"{carrier.sink.url}/cb"],
    }
    body = {name: value for name, value in (usual | changed).items() if value is not None}
    return carrier.ask("POST", CALLS, json.dumps(body), {"Authorization": f"Bearer {token}"})


def test_an_answered_call_is_placed_reported_and_looked_up(carrier: CarrierClient) -> None:
    call_id = place(carrier)

    events = told(carrier, 5)
    assert [event.status for event in events] == ["started", "ringing", "answered", "human", "completed"]
    parties = {(event.provider_call_id, event.to_number, event.from_number) for event in events}
    assert parties == {(call_id, TO, FROM)}
    assert [event.amd for event in events] == [None, None, None, Amd.HUMAN, None]
    assert [event.outcome for event in events] == [None, None, None, None, Outcome.COMPLETED]
    times = [event.occurred_at for event in events if event.occurred_at]
    assert len(times) == 5
    assert times == sorted(times)
    found = provider(carrier).lookup(call_id)
    assert found is not None
    assert (found.outcome, found.duration_sec, found.to_number) == (Outcome.COMPLETED, 1, TO)


@pytest.mark.parametrize(
    ("outcome", "ended", "cause", "count"),
    [
        ("busy", Outcome.BUSY, "sip:486", 3),
        ("no-answer", Outcome.NO_ANSWER, "vonage:timeout", 3),
        ("canceled", Outcome.CANCELED, "sip:487", 3),
        ("rejected", Outcome.REJECTED, "vonage:declined", 3),
        ("failed", Outcome.FAILED, "vonage:internal-error", 2),
    ],
)
def test_an_unanswered_call_ends_with_its_status(
    carrier: CarrierClient, outcome: str, ended: Outcome, cause: str, count: int
) -> None:
    carrier.script(outcome)
    call_id = place(carrier)

    last = told(carrier, count)[-1]
    assert (last.outcome, last.cause) == (ended, cause)
    found = provider(carrier).lookup(call_id)
    assert found is not None
    assert found.outcome is ended


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
    carrier: CarrierClient, outcome: Any, detection: MachineDetection, heard: list[Amd]
) -> None:
    carrier.script(outcome)
    place(carrier, machine_detection=detection)

    events = told(carrier, 4 + len(heard))
    assert [event.amd for event in events] == [None, None, None, *heard, None]


def test_a_callback_is_signed_for_its_body_and_its_time(carrier: CarrierClient) -> None:
    place(carrier)

    callback = [each.request(carrier.sink.url) for each in carrier.sink.wait(5)][-1]
    assert callback.body.startswith(b"\xef\xbb\xbf")
    with pytest.raises(SignatureError):
        provider(carrier).verify(replace(callback, body=callback.body.replace(b"completed", b"cancelled")))
    with pytest.raises(SignatureError):
        provider(carrier, signature_secret="other").verify(callback)
    credentials = Settings.from_env(carrier.environment).credentials("vonage")
    later = load("vonage", credentials, now=lambda: datetime.now(UTC) + timedelta(minutes=6))
    with pytest.raises(SignatureError):
        later.verify(callback)


@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        ("invalid-number", Refused(Outcome.INVALID_NUMBER, "http:400")),
        ("error", PlacementUnknown("http:500")),
        ("throttled", PutOff("http:429", fault=False)),
        ("auth", PutOff("http:401", fault=True)),
    ],
)
def test_a_scripted_refusal_is_read_for_what_it_is(carrier: CarrierClient, outcome: str, result: DialResult) -> None:
    carrier.script(outcome)

    assert replace(dial(carrier), evidence={}) == result
    assert [each["sid"] for each in carrier.requests()] == [None]


def test_a_call_behind_a_server_error_rings_all_the_same(carrier: CarrierClient) -> None:
    carrier.script("server-error-but-placed")

    assert isinstance(dial(carrier), PlacementUnknown)
    assert told(carrier, 5)[4].outcome is Outcome.COMPLETED
    assert len(carrier.requests()) == 1


def test_a_call_whose_answer_is_held_back_rings_all_the_same(carrier: CarrierClient) -> None:
    carrier.script("timeout")

    result = dial(carrier, Http(read_sec=0.1))
    assert isinstance(result, PlacementUnknown)
    assert result.cause == "answer-lost"
    assert told(carrier, 5)[4].outcome is Outcome.COMPLETED


def test_a_silent_call_is_known_by_looking_it_up(carrier: CarrierClient) -> None:
    carrier.script("silent")
    call_id = place(carrier)

    def ended() -> bool:
        found = provider(carrier).lookup(call_id)
        return found is not None and found.outcome is Outcome.COMPLETED

    wait_until(ended)
    assert carrier.sink.received == []


@pytest.mark.parametrize(
    ("times", "progress", "ended"),
    [
        ({"ring_sec": 30}, Progress.INITIATED, Outcome.CANCELED),
        ({"ring_sec": 2}, Progress.RINGING, Outcome.CANCELED),
        ({"talk_sec": 30}, Progress.IN_PROGRESS, Outcome.COMPLETED),
    ],
)
def test_a_call_under_way_is_looked_up_and_hung_up(
    carrier: CarrierClient, times: dict[str, int], progress: Progress, ended: Outcome
) -> None:
    carrier.script({"outcome": "completed", **times})
    call_id = place(carrier)
    vonage = provider(carrier)

    def reached() -> bool:
        found = vonage.lookup(call_id)
        return found is not None and found.progress is progress

    wait_until(reached)
    assert vonage.hang_up(call_id) is True
    wait_until(lambda: told(carrier, 1)[-1].outcome is ended)
    assert vonage.hang_up(call_id) is False
    assert vonage.hang_up("00000000") is False
    assert vonage.lookup("00000000") is None


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
    carrier: CarrierClient, changed: dict[str, Any]
) -> None:
    carrier.script("busy")

    status, refusal = ask(carrier, {}, claims(carrier, **changed))
    assert (status, refusal["title"]) == (401, "Unauthorized")
    assert [(each["status"], each["outcome"]) for each in carrier.requests()] == [(401, None)]


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer a.b.c", "Basic YTpi"])
def test_what_is_no_token_is_refused(carrier: CarrierClient, authorization: str) -> None:
    headers = {"Authorization": authorization}
    assert carrier.ask("POST", CALLS, "{}", headers)[0] == 401
    assert carrier.ask("GET", f"{CALLS}/1", headers=headers)[0] == 401


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
def test_a_malformed_create_call_is_refused(carrier: CarrierClient, changed: dict[str, object], field: str) -> None:
    status, refusal = ask(carrier, changed)

    assert (status, refusal["invalid_parameters"]) == (400, [{"name": field, "reason": "is invalid"}])
    (logged,) = carrier.requests("")
    assert (logged["provider"], logged["status"], logged["sid"]) == ("vonage", 400, None)
