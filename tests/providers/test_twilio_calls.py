"""Calls placed through Twilio's REST API: what is sent, once, and what each answer means."""

import base64
from dataclasses import replace
from datetime import UTC, datetime

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
    PutOff,
    Refused,
)
from chalicelib.providers.http import Answer, AnswerLost, NotSent
from chalicelib.providers.twilio import ACCOUNT_FAULTS, NUMBER_ERRORS, Twilio
from tests.support.fake_http import FakeHttp, answer, asked_now

ACCOUNT = "AC" + "1" * 32
CALL = "CA" + "2" * 32
NOW = datetime(2026, 1, 26, 10, 30, tzinfo=UTC)
CALLS_URL = f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Calls"
HEADERS = {
    "Authorization": "Basic " + base64.b64encode(f"{ACCOUNT}:first".encode()).decode(),
    "Accept": "application/json",
}
CALLBACK = "https://redial.example.com/callbacks/twilio/t0k3n"
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


def twilio(http: Http, **credentials: str) -> Twilio:
    return Twilio({"account_sid": ACCOUNT, "auth_token": "first,second", **credentials}, now=lambda: NOW, http=http)


def dialled(given: Answer | Exception) -> DialResult:
    http = FakeHttp(given)
    result = twilio(http).dial(DIAL)
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


ASYNC_AMD = [
    ("AsyncAmd", "true"),
    ("AsyncAmdStatusCallback", CALLBACK),
    ("AsyncAmdStatusCallbackMethod", "POST"),
]


@pytest.mark.parametrize(
    ("detection", "extra"),
    [
        (MachineDetection.OFF, []),
        (MachineDetection.SYNC, [("MachineDetection", "Enable")]),
        (MachineDetection.ASYNC, [("MachineDetection", "Enable"), *ASYNC_AMD]),
    ],
)
def test_a_call_is_asked_for_once_with_the_whole_form(detection: MachineDetection, extra: list[tuple[str, str]]):
    http = FakeHttp(answer(201, {"sid": CALL, "status": "queued", "uri": "/x"}))
    result = twilio(http).dial(replace(DIAL, machine_detection=detection))
    assert result == Placed(CALL, {"http_status": "201", "sid": CALL, "status": "queued"})
    form = [
        ("To", "+16505550199"),
        ("From", "+14155550100"),
        ("Url", "https://example.com/answer.xml?call_id=call_1"),
        ("Method", "POST"),
        ("StatusCallback", CALLBACK),
        ("StatusCallbackMethod", "POST"),
        ("StatusCallbackEvent", "initiated"),
        ("StatusCallbackEvent", "ringing"),
        ("StatusCallbackEvent", "answered"),
        ("StatusCallbackEvent", "completed"),
        ("Timeout", "30"),
        ("TimeLimit", "600"),
        *extra,
    ]
    assert http.sent == [("POST", f"{CALLS_URL}.json", HEADERS, form)]


def test_the_api_may_live_elsewhere():
    http = FakeHttp(answer(200, {"sid": CALL}))
    provider = twilio(http, api_url="http://127.0.0.1:9000/")
    assert provider.dial(DIAL) == Placed(CALL, {"http_status": "200", "sid": CALL})
    assert [url for _, url, _, _ in http.sent] == [f"http://127.0.0.1:9000/2010-04-01/Accounts/{ACCOUNT}/Calls.json"]
    assert (provider.name, provider.account, provider.calls_per_second) == ("twilio", ACCOUNT, 1.0)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (201, b""),
        (201, b"<html>"),
        (201, b"\xff"),
        (201, b"[" * 100_000),
        (200, []),
        (201, {}),
        (201, {"sid": None}),
        (201, {"sid": 7}),
        (201, {"sid": "../Accounts"}),
        (204, b""),
        (500, b""),
        (502, b"<html>"),
        (503, {"sid": CALL}),
        (302, b""),
        (303, b""),
        (101, b""),
    ],
)
def test_an_answer_that_leaves_it_open_is_never_taken_for_a_no(status: int, body: object):
    assert bare(dialled(answer(status, body))) == (PlacementUnknown, f"http:{status}")


def test_twilios_internal_error_leaves_it_open_too():
    said = {"code": 20500, "message": "Internal Server Error", "more_info": "https://x", "status": 500}
    assert dialled(answer(500, said)) == PlacementUnknown(
        "twilio:20500",
        {"http_status": "500", "status": "500", "code": "20500", "message": "Internal Server Error"},
    )


def test_what_was_not_sent_is_deferred_and_what_was_not_answered_is_unknown():
    assert dialled(NotSent("refused")) == PutOff("network", fault=False, evidence={"error": "refused"})
    assert dialled(AnswerLost("x" * 999)) == PlacementUnknown("answer-lost", {"error": "x" * 200})


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ({}, None),
        ({"retry_after": "7"}, 7),
        ({"retry_after": "Mon, 26 Jan 2026 10:31:30 GMT"}, 90),
        ({"retry_after": "Mon, 26 Jan 2026 10:00:00 GMT"}, 0),
        ({"retry_after": "-1"}, None),
        ({"retry_after": "soon"}, None),
    ],
)
def test_too_fast_is_deferred_for_as_long_as_twilio_says(header: dict[str, str], seconds: int | None):
    too_many = {"code": 20429, "message": "Too Many Requests"}
    assert bare(dialled(answer(429, too_many, **header))) == (PutOff, "twilio:20429", False, seconds)
    assert bare(dialled(answer(429, b"", **header))) == (PutOff, "http:429", False, seconds)
    assert bare(dialled(answer(400, {"code": 10004}, **header))) == (PutOff, "twilio:10004", False, seconds)


@pytest.mark.parametrize("code", sorted(ACCOUNT_FAULTS))
def test_a_fault_of_the_account_uses_up_no_attempt(code: str):
    assert bare(dialled(answer(400, {"code": int(code)}))) == (PutOff, f"twilio:{code}", True, None)


@pytest.mark.parametrize("status", [401, 403, 307, 308])
def test_a_refused_login_or_a_moved_api_is_a_fault_of_the_account(status: int):
    assert bare(dialled(answer(status, b"nope"))) == (PutOff, f"http:{status}", True, None)


@pytest.mark.parametrize("status", [400, 403])
@pytest.mark.parametrize(("code", "outcome"), NUMBER_ERRORS.items())
def test_a_refused_number_ends_the_attempt(status: int, code: str, outcome: Outcome):
    assert bare(dialled(answer(status, {"code": int(code)}))) == (Refused, outcome, f"twilio:{code}")


@pytest.mark.parametrize(
    ("status", "body", "cause"),
    [
        (400, {"code": 21205, "message": "Url is not a valid URL"}, "twilio:21205"),
        (400, {"code": "21205"}, "twilio:21205"),
        (400, {"code": None}, "http:400"),
        (400, {"code": True}, "http:400"),
        (400, {"code": {"a": 1}}, "http:400"),
        (404, b"", "http:404"),
        (422, b"null", "http:422"),
    ],
)
def test_any_other_refusal_is_an_error_of_the_request(status: int, body: object, cause: str):
    assert bare(dialled(answer(status, body))) == (Refused, Outcome.ERROR, cause)


def test_a_refusal_keeps_what_twilio_said_in_brief():
    said = {"code": 21211, "message": "x" * 999, "more_info": "https://x", "status": 400}
    evidence = {"http_status": "400", "status": "400", "code": "21211", "message": "x" * 200}
    assert dialled(answer(400, said)) == Refused(Outcome.INVALID_NUMBER, "twilio:21211", evidence)


def test_without_an_answer_url_nothing_is_sent():
    http = FakeHttp(answer(201, {"sid": CALL}))
    assert twilio(http).dial(replace(DIAL, answer_url=None)) == PutOff("no-answer-url", fault=True)
    assert http.sent == []


def test_a_call_that_has_ended_is_looked_up_with_its_outcome():
    resource = {
        "sid": CALL,
        "status": "completed",
        "duration": "49",
        "answered_by": "machine_start",
        "start_time": "Mon, 26 Jan 2026 10:00:00 +0000",
        "end_time": "Mon, 26 Jan 2026 10:00:49 +0000",
        "price": None,
    }
    http = FakeHttp(answer(200, resource))
    assert twilio(http).lookup(CALL) == CallEvent(
        event_id=f"{CALL}:lookup:completed:machine_start",
        provider_call_id=CALL,
        status="completed",
        outcome=Outcome.VOICEMAIL,
        occurred_at=datetime(2026, 1, 26, 10, 0, 49, tzinfo=UTC),
        duration_sec=49,
        amd=Amd.MACHINE,
        evidence={name: value for name, value in resource.items() if value is not None},
    )
    assert http.sent == [("GET", f"{CALLS_URL}/{CALL}.json", HEADERS, None)]


def test_a_call_under_way_is_looked_up_without_an_outcome():
    resource = {"sid": CALL, "status": "in-progress", "duration": None, "start_time": None, "end_time": None}
    assert twilio(FakeHttp(answer(200, resource))).lookup(CALL) == CallEvent(
        event_id=f"{CALL}:lookup:in-progress:",
        provider_call_id=CALL,
        status="in-progress",
        progress=Progress.IN_PROGRESS,
        evidence={"sid": CALL, "status": "in-progress"},
    )


@pytest.mark.parametrize(
    "given",
    [
        NotSent("x"),
        AnswerLost("x"),
        answer(404, {"code": 20404}),
        answer(401),
        answer(500),
        answer(302),
        answer(200, b"<html>"),
        answer(200, []),
        answer(200, {}),
        answer(200, {"sid": CALL}),
        answer(200, {"sid": CALL, "status": {}}),
        answer(200, {"sid": "CA9", "status": "completed"}),
    ],
)
def test_a_call_that_cannot_be_asked_after_is_none(given: Answer | Exception):
    http = FakeHttp(given)
    assert asked_now(given, lambda: twilio(http).lookup(CALL)) is None
    assert len(http.sent) == 1


@pytest.mark.parametrize(
    ("given", "said_yes"),
    [
        (answer(200, {"sid": CALL}), True),
        (answer(204, b""), True),
        (answer(400, {"code": 21220}), False),
        (answer(404), False),
        (answer(500), False),
        (NotSent("x"), False),
        (AnswerLost("x"), False),
    ],
)
def test_hanging_up_is_asked_for_once(given: Answer | Exception, said_yes: bool):
    http = FakeHttp(given)
    assert bool(asked_now(given, lambda: twilio(http).hang_up(CALL))) is said_yes
    assert http.sent == [("POST", f"{CALLS_URL}/{CALL}.json", HEADERS, [("Status", "completed")])]


@pytest.mark.parametrize(
    "call_sid", ["", "CA", "XX1", "CA1/../../Accounts", "CA1?x=1", "CA1\n", "CA é", "CA" + "1" * 65]
)
def test_what_is_no_call_sid_never_gets_into_a_url(call_sid: str):
    http = FakeHttp(answer(200, {"sid": call_sid, "status": "completed"}))
    assert twilio(http).lookup(call_sid) is None
    assert twilio(http).hang_up(call_sid) is False
    assert http.sent == []


def test_an_account_sid_is_escaped_in_the_url():
    http = FakeHttp(answer(404))
    twilio(http, account_sid="AC1/../2?").dial(DIAL)
    assert http.sent[0][1] == "https://api.twilio.com/2010-04-01/Accounts/AC1%2F..%2F2%3F/Calls.json"
