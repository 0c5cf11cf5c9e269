"""Plivo's personality of the mock carrier, used by the app's own client of Plivo."""

import json
from base64 import b64encode
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
    Unanswered,
    load,
)
from chalicelib.runtime.settings import Settings
from tests.support.carrier_client import FROM, TO, CarrierClient, wait_until


def provider(carrier: CarrierClient, http: Http | None = None, **changed: str) -> Provider:
    credentials = Settings.from_env(carrier.environment).credentials("plivo")
    return load("plivo", {**credentials, **changed}, now=lambda: datetime.now(UTC), http=http)


def dial(carrier: CarrierClient, http: Http | None = None, **changed: Any) -> DialResult:
    callback = f"{carrier.sink.url}/callbacks/plivo/t0k3n"
    usual = DialRequest("call_1", 1, FROM, TO, "https://example.com/answer.xml", callback)
    return provider(carrier, http).dial(replace(usual, **changed))


def place(carrier: CarrierClient, **changed: Any) -> str:
    result = dial(carrier, **changed)
    assert isinstance(result, Placed)
    return result.provider_call_id


def told(carrier: CarrierClient, count: int) -> list[CallEvent]:
    """Return the events of the first callbacks. Each is verified."""
    plivo = provider(carrier)
    events = []
    for each in carrier.sink.wait(count):
        plivo.verify(each.request(carrier.sink.url))
        events += plivo.parse(each.request(carrier.sink.url))
    return events


def ask(carrier: CarrierClient, changed: dict[str, object], token: str = "") -> tuple[int, Any]:
    account = carrier.environment["PLIVO_AUTH_ID"]
    pair = f"{account}:{token or carrier.environment['PLIVO_AUTH_TOKEN']}"
    headers = {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
    usual = {"from": FROM.removeprefix("+"), "to": TO.removeprefix("+"), "answer_url": "https://x.test/"}
    body = {name: value for name, value in (usual | changed).items() if value is not None}
    return carrier.ask("POST", f"/plivo/v1/Account/{account}/Call/", json.dumps(body), headers)


def test_an_answered_call_is_placed_reported_and_looked_up(carrier: CarrierClient) -> None:
    before = datetime.now(UTC)
    call_id = place(carrier)

    events = told(carrier, 2)
    assert [(event.progress, event.outcome) for event in events] == [
        (Progress.RINGING, None),
        (None, Outcome.COMPLETED),
    ]
    parties = {(event.provider_call_id, event.to_number, event.from_number) for event in events}
    assert parties == {(call_id, TO, FROM)}
    for event in events:
        # If the console's time was read as UTC, it would be hours away.
        assert event.occurred_at is not None
        assert abs(event.occurred_at - before) < timedelta(seconds=5)
    found = provider(carrier).lookup(call_id)
    assert found is not None
    assert (found.outcome, found.cause, found.duration_sec) == (Outcome.COMPLETED, "plivo:4000", 1)


@pytest.mark.parametrize(
    ("outcome", "ended", "cause", "count"),
    [
        ("busy", Outcome.BUSY, "plivo:3010", 2),
        ("no-answer", Outcome.NO_ANSWER, "plivo:3000", 2),
        ("canceled", Outcome.CANCELED, "plivo:1000", 2),
        ("rejected", Outcome.REJECTED, "plivo:3020", 2),
        ("failed", Outcome.FAILED, "plivo:5000", 1),
    ],
)
def test_an_unanswered_call_ends_with_its_cause(
    carrier: CarrierClient, outcome: str, ended: Outcome, cause: str, count: int
) -> None:
    carrier.script(outcome)
    call_id = place(carrier)

    last = told(carrier, count)[-1]
    assert (last.outcome, last.cause, last.duration_sec) == (ended, cause, 0)
    found = provider(carrier).lookup(call_id)
    assert found is not None
    assert (found.outcome, found.cause) == (ended, cause)


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
    carrier: CarrierClient, outcome: str, detection: MachineDetection, heard: list[tuple[Amd | None, Outcome | None]]
) -> None:
    carrier.script(outcome)
    place(carrier, machine_detection=detection)

    assert [(event.amd, event.outcome) for event in told(carrier, len(heard))] == heard


def test_a_callback_is_signed_for_the_account_and_no_other(carrier: CarrierClient) -> None:
    place(carrier, callback_url=f"{carrier.sink.url}/cb?b=%20x&a=1#ct=2000")

    assert len(told(carrier, 2)) == 2
    callback = carrier.sink.received[0].request(carrier.sink.url)
    for changed in (
        replace(callback, body=callback.body.replace(b"ringing", b"completed")),
        replace(callback, url=callback.url.replace("a=1", "a=2")),
    ):
        with pytest.raises(SignatureError):
            provider(carrier).verify(changed)
    with pytest.raises(SignatureError):
        provider(carrier, auth_token="other").verify(callback)


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
    assert told(carrier, 2)[1].outcome is Outcome.COMPLETED
    assert len(carrier.requests()) == 1


def test_a_call_whose_answer_is_held_back_rings_all_the_same(carrier: CarrierClient) -> None:
    carrier.script("timeout")

    result = dial(carrier, Http(read_sec=0.1))
    assert isinstance(result, PlacementUnknown)
    assert result.cause == "answer-lost"
    assert told(carrier, 2)[1].outcome is Outcome.COMPLETED


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
        ({"ring_sec": 30}, Progress.QUEUED, Outcome.CANCELED),
        ({"ring_sec": 2}, Progress.RINGING, Outcome.CANCELED),
        ({"talk_sec": 30}, Progress.IN_PROGRESS, Outcome.COMPLETED),
    ],
)
def test_a_call_under_way_is_looked_up_and_hung_up(
    carrier: CarrierClient, times: dict[str, int], progress: Progress, ended: Outcome
) -> None:
    carrier.script({"outcome": "completed", **times})
    call_id = place(carrier)
    plivo = provider(carrier)

    def reached() -> bool:
        found = plivo.lookup(call_id)
        return found is not None and found.progress is progress

    wait_until(reached)
    assert plivo.hang_up(call_id) is True
    wait_until(lambda: bool(carrier.sink.received) and told(carrier, 1)[-1].outcome is ended)
    assert plivo.hang_up(call_id) is False
    assert plivo.hang_up("00000000") is False
    assert plivo.lookup("00000000") is None


def test_wrong_credentials_are_refused_and_use_up_no_outcome(carrier: CarrierClient) -> None:
    carrier.script("busy")

    assert ask(carrier, {}, token="other")[0] == 401
    with pytest.raises(Unanswered):
        provider(carrier, auth_token="other").lookup("00000000")
    assert [(each["status"], each["outcome"]) for each in carrier.requests()] == [(401, None)]


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
def test_a_malformed_create_call_is_refused(carrier: CarrierClient, changed: dict[str, object], said: str) -> None:
    status, refusal = ask(carrier, changed)

    assert (status, refusal) == (400, {"api_id": refusal["api_id"], "error": said})
    (logged,) = carrier.requests("")
    assert (logged["provider"], logged["status"], logged["sid"]) == ("plivo", 400, None)
