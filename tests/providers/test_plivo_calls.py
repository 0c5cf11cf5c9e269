"""Calls placed through Plivo's REST API: what is sent, once, and what each answer means."""

import base64
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from chalicelib.domain.events import CallEvent, Leg, Progress
from chalicelib.domain.outcome import Outcome
from chalicelib.providers import (
    DialRequest,
    DialResult,
    MachineDetection,
    Placed,
    PlacementUnknown,
    PutOff,
    Refused,
)
from chalicelib.providers.http import Answer, AnswerLost, NotSent
from chalicelib.providers.plivo import Plivo
from tests.support.fake_http import FakeHttp, answer, asked_now

ACCOUNT = "MAYWJIZTLKODK5NTM3ND"
CALL = "9834029e-58b6-11e1-b8b7-a5bd0e4e126f"
NOW = datetime(2026, 1, 26, 10, 30, tzinfo=UTC)
URL = f"https://api.plivo.com/v1/Account/{ACCOUNT}"
ASKING = {
    "Authorization": "Basic " + base64.b64encode(f"{ACCOUNT}:first".encode()).decode(),
    "Accept": "application/json",
}
CALLBACK = "https://redial.example.com/callbacks/plivo/t0k3n"
DIAL = DialRequest(
    call_id="call_1",
    attempt=1,
    from_number="+14155550100",
    to_number="+16505550199",
    answer_url="https://example.com/answer.xml?call_id=call_1",
    callback_url=CALLBACK,
    machine_detection=MachineDetection.OFF,
    ring_timeout_sec=30,
    max_call_sec=600,
)
FIRED = {"message": "call fired", "request_uuid": CALL, "api_id": "97ceeb52-58b6-11e1-86da-77300b68f8bb"}


def plivo(http: FakeHttp, **credentials: str) -> Plivo:
    return Plivo({"auth_id": ACCOUNT, "auth_token": "first,second", **credentials}, now=lambda: NOW, http=http)


def dialled(given: Answer | Exception) -> DialResult:
    http = FakeHttp(given)
    result = plivo(http).dial(DIAL)
    assert len(http.sent) == 1
    return result


def bare(result: DialResult) -> tuple[object, ...]:
    """A result without its evidence."""
    if isinstance(result, PutOff):
        return (PutOff, result.cause, result.fault, result.retry_after_sec)
    if isinstance(result, Refused):
        return (Refused, result.outcome, result.cause)
    assert isinstance(result, PlacementUnknown)
    return (PlacementUnknown, result.cause)


@pytest.mark.parametrize(
    ("detection", "extra"),
    [
        (MachineDetection.OFF, {}),
        (MachineDetection.SYNC, {"machine_detection": "true"}),
        (
            MachineDetection.ASYNC,
            {
                "machine_detection": "true",
                "machine_detection_url": CALLBACK,
                "machine_detection_method": "POST",
            },
        ),
    ],
)
def test_a_call_is_asked_for_once_with_the_whole_body(detection: MachineDetection, extra: dict[str, str]):
    http = FakeHttp(answer(201, FIRED))
    result = plivo(http).dial(replace(DIAL, machine_detection=detection))
    assert result == Placed(CALL, {"http_status": "201", **FIRED})
    body = {
        "from": "14155550100",
        "to": "16505550199",
        "answer_url": "https://example.com/answer.xml?call_id=call_1",
        "answer_method": "POST",
        "ring_url": CALLBACK,
        "ring_method": "POST",
        "hangup_url": CALLBACK,
        "hangup_method": "POST",
        "ring_timeout": 30,
        "time_limit": 600,
        **extra,
    }
    assert http.sent == [("POST", f"{URL}/Call/", {**ASKING, "Content-Type": "application/json"}, body)]


def test_the_api_may_live_elsewhere():
    http = FakeHttp(answer(201, FIRED))
    provider = plivo(http, api_url="http://127.0.0.1:9000/plivo/", auth_id="MA1/../2?")
    assert isinstance(provider.dial(DIAL), Placed)
    assert [url for _, url, _, _ in http.sent] == ["http://127.0.0.1:9000/plivo/v1/Account/MA1%2F..%2F2%3F/Call/"]
    assert (provider.name, provider.account, provider.calls_per_second) == ("plivo", "MA1/../2?", 2.0)


@pytest.mark.parametrize(
    ("changed", "result"),
    [
        ({"answer_url": None}, (PutOff, "no-answer-url", True, None)),
        ({"to_number": "+16505550199<+16505550111"}, (Refused, Outcome.INVALID_NUMBER, "to-number")),
        ({"to_number": "sip:a@b.example"}, (Refused, Outcome.INVALID_NUMBER, "to-number")),
        ({"to_number": ""}, (Refused, Outcome.INVALID_NUMBER, "to-number")),
        ({"from_number": "+14155550100<+16505550111"}, (PutOff, "from-number", True, None)),
        ({"from_number": "14155550100"}, (PutOff, "from-number", True, None)),
    ],
)
def test_what_cannot_be_asked_for_is_not(changed: dict[str, str | None], result: tuple[object, ...]):
    http = FakeHttp(answer(201, FIRED))
    assert bare(plivo(http).dial(replace(DIAL, **changed))) == result
    assert http.sent == []


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (201, b""),
        (201, b"<html>"),
        (201, b"[" * 100_000),
        (200, []),
        (201, {}),
        (201, {"request_uuid": None}),
        (201, {"request_uuid": [CALL]}),
        (201, {"request_uuid": "../Account"}),
        (408, b""),
        (500, b""),
        (502, b"<html>"),
        (503, FIRED),
        (302, b""),
        (101, b""),
    ],
)
def test_an_answer_that_leaves_it_open_is_never_taken_for_a_no(status: int, body: object):
    assert bare(dialled(answer(status, body))) == (PlacementUnknown, f"http:{status}")


def test_what_was_not_sent_is_deferred_and_what_was_not_answered_is_unknown():
    assert dialled(NotSent("refused")) == PutOff("network", fault=False, evidence={"error": "refused"})
    assert dialled(AnswerLost("x" * 999)) == PlacementUnknown("answer-lost", {"error": "x" * 200})


@pytest.mark.parametrize(("header", "seconds"), [({}, None), ({"retry_after": "7"}, 7)])
def test_too_fast_is_deferred_for_as_long_as_plivo_says(header: dict[str, str], seconds: int | None):
    assert bare(dialled(answer(429, {"error": "rate limited"}, **header))) == (PutOff, "http:429", False, seconds)


@pytest.mark.parametrize("status", [401, 402, 403, 404, 405, 307, 308])
def test_a_refused_login_or_a_wrong_address_is_a_fault_of_the_account(status: int):
    assert bare(dialled(answer(status, b"nope"))) == (PutOff, f"http:{status}", True, None)


@pytest.mark.parametrize(
    ("status", "error", "outcome"),
    [
        (400, "to parameter is not a valid phone number", Outcome.INVALID_NUMBER),
        (400, "Invalid 'to' number", Outcome.INVALID_NUMBER),
        (400, "destination number is invalid", Outcome.INVALID_NUMBER),
        (400, {"to": ["is not a valid number"]}, Outcome.INVALID_NUMBER),
        (400, "src and destination cannot overlap", Outcome.INVALID_NUMBER),
        (400, "to number must include a country code to be valid", Outcome.INVALID_NUMBER),
        (403, "Geo permission is not enabled for the destination", Outcome.DND),
        (400, "calls to this country are not allowed", Outcome.DND),
        (400, "answer_url needs to be a valid URL", Outcome.ERROR),
        (400, "ring_timeout failed to validate", Outcome.ERROR),
        (400, None, Outcome.ERROR),
        (422, ["?"], Outcome.ERROR),
    ],
)
def test_a_refusal_is_read_by_the_parameter_that_it_names(status: int, error: object, outcome: Outcome):
    assert bare(dialled(answer(status, {"error": error}))) == (Refused, outcome, f"http:{status}")


@pytest.mark.parametrize(
    "error",
    [
        "from parameter is not a valid phone number",
        "Invalid 'from' number",
        "src is not valid",
        "caller_id is not verified",
        "insufficient credits",
        {"from": "unknown"},
    ],
)
def test_a_refusal_that_would_meet_every_call_uses_up_no_attempt(error: object):
    assert bare(dialled(answer(400, {"error": error}))) == (PutOff, "http:400", True, None)


def test_a_refusal_keeps_what_plivo_said_in_brief():
    evidence = {"http_status": "400", "api_id": "97ceeb52", "error": "x" * 200}
    assert dialled(answer(400, {"api_id": "97ceeb52", "error": "x" * 999})) == Refused(
        Outcome.ERROR, "http:400", evidence
    )


RECORD = {
    "answer_time": "2022-06-28 19:39:05+05:30",
    "bill_duration": 11,
    "call_direction": "outbound",
    "call_duration": 11,
    "call_uuid": CALL,
    "end_time": "2022-06-28 19:39:15+05:30",
    "from_number": "+14155550100",
    "to_number": "16505550199",
    "hangup_cause_name": "End Of XML Instructions",
    "hangup_cause_code": 4010,
    "hangup_source": "Plivo",
    "parent_call_uuid": None,
}


def test_a_call_that_has_ended_is_looked_up_with_its_outcome():
    http = FakeHttp(answer(200, RECORD))
    kept = {name: str(value) for name, value in RECORD.items() if value and name != "call_direction"}
    assert plivo(http).lookup(CALL) == CallEvent(
        event_id=f"{CALL}:lookup:4010",
        provider_call_id=CALL,
        status="completed",
        outcome=Outcome.COMPLETED,
        occurred_at=datetime(2022, 6, 28, 14, 9, 15, tzinfo=UTC),
        duration_sec=11,
        cause="plivo:4010",
        to_number="+16505550199",
        from_number="+14155550100",
        leg=Leg.OUTGOING,
        evidence=kept,
    )
    assert http.sent == [("GET", f"{URL}/Call/{CALL}/", ASKING, None)]


@pytest.mark.parametrize(
    ("changed", "outcome", "fault"),
    [
        ({"hangup_cause_code": 3010, "answer_time": None}, Outcome.BUSY, None),
        ({"hangup_cause_code": 1010, "answer_time": None}, None, "plivo:1010"),
        ({"hangup_cause_code": None, "answer_time": None}, Outcome.FAILED, None),
        ({"hangup_cause_code": None}, Outcome.COMPLETED, None),
    ],
)
def test_a_record_tells_its_cause_first(changed: dict[str, object], outcome: Outcome | None, fault: str | None):
    event = plivo(FakeHttp(answer(200, {**RECORD, **changed}))).lookup(CALL)
    assert event is not None
    assert (event.outcome, event.fault) == (outcome, fault)


def test_an_end_time_without_a_zone_is_left_out():
    event = plivo(FakeHttp(answer(200, {**RECORD, "end_time": "2022-06-28 19:39:15"}))).lookup(CALL)
    assert event is not None
    assert event.occurred_at is None


def test_a_call_under_way_is_found_among_the_live_then_the_queued():
    live = {"call_status": "in-progress", "call_uuid": CALL, "session_start": "2026-01-26 10:00:00.050872"}
    missing = answer(404, {"error": "not found"})
    http = FakeHttp(missing, answer(200, live))
    assert plivo(http).lookup(CALL) == CallEvent(
        event_id=f"{CALL}:lookup:in-progress",
        provider_call_id=CALL,
        status="in-progress",
        progress=Progress.IN_PROGRESS,
        occurred_at=datetime(2026, 1, 26, 10, 0, 0, 50872, tzinfo=UTC),
        evidence=live,
    )
    http = FakeHttp(missing, missing, answer(200, {"call_status": "queued", "call_uuid": CALL}))
    event = plivo(http).lookup(CALL)
    assert event is not None
    assert event.progress is Progress.QUEUED
    urls = [f"{URL}/Call/{CALL}/", f"{URL}/Call/{CALL}/?status=live", f"{URL}/Call/{CALL}/?status=queued"]
    assert [url for _, url, _, _ in http.sent] == urls


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        (NotSent("x"), 1),
        (AnswerLost("x"), 1),
        (answer(401), 1),
        (answer(500), 1),
        (answer(302), 1),
        (answer(404, {"error": "not found"}), 3),
        (answer(200, b"<html>"), 3),
        (answer(200, []), 3),
        (answer(200, {"call_uuid": CALL}), 3),
        (answer(200, {**RECORD, "call_uuid": "other"}), 3),
    ],
)
def test_a_call_that_cannot_be_asked_after_is_none(given: Answer | Exception, asked: int):
    http = FakeHttp(given)
    assert asked_now(given, lambda: plivo(http).lookup(CALL)) is None
    assert len(http.sent) == asked


@pytest.mark.parametrize(
    ("given", "said_yes"),
    [
        (answer(204, b""), True),
        (answer(400), False),
        (answer(500), False),
        (NotSent("x"), False),
        (AnswerLost("x"), False),
    ],
)
def test_hanging_up_is_asked_for_once(given: Answer | Exception, said_yes: bool):
    http = FakeHttp(given)
    assert bool(asked_now(given, lambda: plivo(http).hang_up(CALL))) is said_yes
    assert http.sent == [("DELETE", f"{URL}/Call/{CALL}/", ASKING, None)]


def test_a_request_that_is_no_call_yet_is_canceled():
    http = FakeHttp(answer(404), answer(204, b""))
    assert plivo(http).hang_up(CALL) is True
    urls = [f"{URL}/Call/{CALL}/", f"{URL}/Request/{CALL}/"]
    assert [(method, url) for method, url, _, _ in http.sent] == [("DELETE", url) for url in urls]
    assert plivo(FakeHttp(answer(404))).hang_up(CALL) is False


@pytest.mark.parametrize("call_id", ["", "../Account", "1?x=1", "1\n", "é", "1" * 65])
def test_what_is_no_call_id_never_gets_into_a_url(call_id: str):
    http = FakeHttp(answer(200, {**RECORD, "call_uuid": call_id}))
    assert plivo(http).lookup(call_id) is None
    assert plivo(http).hang_up(call_id) is False
    assert http.sent == []
