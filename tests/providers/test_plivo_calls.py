"""The calls that are placed through Plivo's REST API, and Plivo's answers."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from chalicelib.domain.events import CallEvent, Leg, Progress
from chalicelib.domain.outcome import Outcome
from chalicelib.providers import DeferredByProvider, MachineDetection, PlacementUnknown, Refused
from chalicelib.providers.http import AnswerLost, NotSent
from chalicelib.providers.plivo import Plivo
from tests.providers.dialing import DIAL, NOW, UNANSWERED, DialCase, DialTests
from tests.support.carrier_client import basic
from tests.support.fake_http import FakeHttp, answer

ACCOUNT = "MAYWJIZTLKODK5NTM3ND"
CALL = "9834029e-58b6-11e1-b8b7-a5bd0e4e126f"
URL = f"https://api.plivo.com/v1/Account/{ACCOUNT}"
HEADERS = {**basic(ACCOUNT, "first"), "Accept": "application/json"}
CALLBACK = "https://redial.example.com/callbacks/plivo/t0k3n"
FIRED = {"message": "call fired", "request_uuid": CALL, "api_id": "97ceeb52-58b6-11e1-86da-77300b68f8bb"}
BODY = {
    "from": "14155550100",
    "to": "16505550199",
    "answer_url": "https://example.com/answer?call_id=call_1",
    "answer_method": "POST",
    "ring_url": CALLBACK,
    "ring_method": "POST",
    "hangup_url": CALLBACK,
    "hangup_method": "POST",
    "ring_timeout": 30,
    "time_limit": 600,
}
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
LIVE = {"call_status": "in-progress", "call_uuid": CALL, "session_start": "2026-01-26 10:00:00.050872"}
MISSING = answer(404, {"error": "not found"})
LOOKUP_URLS = tuple(f"{URL}/Call/{CALL}/{query}" for query in ("", "?status=queued", "?status=live", ""))
ENDED = CallEvent(
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
    evidence={name: str(value) for name, value in RECORD.items() if value and name != "call_direction"},
)

#: status and error of a refusal that ends the attempt -> the outcome; it is read by the parameter that it names
REFUSALS = [
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
]
#: the errors that every call of the account would meet
ACCOUNT_ERRORS = [
    "from parameter is not a valid phone number",
    "Invalid 'from' number",
    "src is not valid",
    "caller_id is not verified",
    "insufficient credits",
    {"from": "unknown"},
]


def plivo(http: FakeHttp, **credentials: str) -> Plivo:
    return Plivo({"auth_id": ACCOUNT, "auth_token": "first,second", **credentials}, now=lambda: NOW, http=http)


class TestPlivo(DialTests):
    case = DialCase(
        provider=plivo,
        call_id=CALL,
        dial=replace(DIAL, callback_url=CALLBACK),
        placed=answer(201, FIRED),
        placed_evidence={"http_status": "201", **FIRED},
        calls_url=f"{URL}/Call/",
        headers=HEADERS,
        post_headers={**HEADERS, "Content-Type": "application/json"},
        account=ACCOUNT,
        calls_per_second=2.0,
        requests=[
            ({}, BODY),
            ({"machine_detection": MachineDetection.SYNC}, {**BODY, "machine_detection": "true"}),
            (
                {"machine_detection": MachineDetection.ASYNC},
                {
                    **BODY,
                    "machine_detection": "true",
                    "machine_detection_url": CALLBACK,
                    "machine_detection_method": "POST",
                },
            ),
        ],
        addresses=[
            (
                {"api_url": "http://127.0.0.1:9000/plivo/", "auth_id": "MA1/../2?"},
                "http://127.0.0.1:9000/plivo/v1/Account/MA1%2F..%2F2%3F/Call/",
            )
        ],
        unsendable=[
            ({"answer_url": None}, DeferredByProvider("no-answer-url", fault=True)),
            *(
                ({"to_number": number}, Refused(Outcome.INVALID_NUMBER, "to-number"))
                for number in ("+16505550199<+16505550111", "sip:a@b.example", "")
            ),
            *(
                ({"from_number": number}, DeferredByProvider("from-number", fault=True))
                for number in ("+14155550100<+16505550111", "14155550100")
            ),
        ],
        answers=[
            *(
                (answer(201, {"request_uuid": word}), PlacementUnknown("http:201"))
                for word in (None, [CALL], "../Account")
            ),
            *(
                (answer(status, b"nope"), DeferredByProvider(f"http:{status}", fault=True))
                for status in (402, 403, 404, 405)
            ),
            *((answer(status, {"error": e}), Refused(o, f"http:{status}")) for status, e, o in REFUSALS),
            *((answer(400, {"error": error}), DeferredByProvider("http:400", fault=True)) for error in ACCOUNT_ERRORS),
        ],
        evidence=[
            (
                answer(400, {"api_id": "97ceeb52", "error": "x" * 999}),
                Refused(Outcome.ERROR, "http:400", {"http_status": "400", "api_id": "97ceeb52", "error": "x" * 200}),
            )
        ],
        lookups=[
            ([answer(200, RECORD)], ENDED, LOOKUP_URLS[:1]),
            # The call ends while Redial asks.
            ([MISSING, MISSING, MISSING, answer(200, RECORD)], ENDED, LOOKUP_URLS),
            (
                [MISSING, MISSING, answer(200, LIVE)],
                CallEvent(
                    event_id=f"{CALL}:lookup:in-progress",
                    provider_call_id=CALL,
                    status="in-progress",
                    progress=Progress.IN_PROGRESS,
                    occurred_at=datetime(2026, 1, 26, 10, 0, 0, 50872, tzinfo=UTC),
                    evidence=LIVE,
                ),
                LOOKUP_URLS[:3],
            ),
            (
                [MISSING, answer(200, {"call_status": "queued", "call_uuid": CALL})],
                CallEvent(
                    event_id=f"{CALL}:lookup:queued",
                    provider_call_id=CALL,
                    status="queued",
                    progress=Progress.QUEUED,
                    evidence={"call_status": "queued", "call_uuid": CALL},
                ),
                LOOKUP_URLS[:2],
            ),
        ],
        silent=[
            *((given, 1) for given in (*UNANSWERED, answer(302))),
            *((answer(200, body), 4) for body in (b"<html>", [], {"call_uuid": CALL}, {**RECORD, "call_uuid": "x"})),
            (MISSING, 4),
        ],
        hang_ups=[
            (answer(204, b""), True),
            (answer(400), False),
            (answer(500), False),
            (NotSent("x"), False),
            (AnswerLost("x"), False),
        ],
        hang_up_requests=[("DELETE", f"{URL}/Call/{CALL}/", HEADERS, None)],
        resource=lambda call_id: answer(200, {**RECORD, "call_uuid": call_id}),
    )


@pytest.mark.parametrize(
    ("changed", "outcome", "fault"),
    [
        ({"hangup_cause_code": 3010, "answer_time": None}, Outcome.BUSY, None),
        ({"hangup_cause_code": 1010, "answer_time": None}, None, "plivo:1010"),
        ({"hangup_cause_code": None, "answer_time": None}, Outcome.FAILED, None),
        ({"hangup_cause_code": None}, Outcome.COMPLETED, None),
    ],
)
def test_the_cause_of_a_record_counts_first(changed: dict[str, object], outcome: Outcome | None, fault: str | None):
    event = plivo(FakeHttp(answer(200, {**RECORD, **changed}))).lookup(CALL)
    assert event is not None
    assert (event.outcome, event.fault) == (outcome, fault)


def test_an_end_time_without_a_zone_is_left_out():
    event = plivo(FakeHttp(answer(200, {**RECORD, "end_time": "2022-06-28 19:39:15"}))).lookup(CALL)
    assert event is not None
    assert event.occurred_at is None


def test_a_request_that_is_no_call_yet_is_canceled():
    http = FakeHttp(answer(404), answer(204, b""))
    assert plivo(http).hang_up(CALL) is True
    urls = [f"{URL}/Call/{CALL}/", f"{URL}/Request/{CALL}/"]
    assert [(method, url) for method, url, _, _ in http.sent] == [("DELETE", url) for url in urls]
    assert plivo(FakeHttp(answer(404))).hang_up(CALL) is False


def test_a_request_that_becomes_a_call_meanwhile_is_hung_up():
    http = FakeHttp(answer(404), answer(404), answer(204, b""))
    assert plivo(http).hang_up(CALL) is True
    urls = [f"{URL}/Call/{CALL}/", f"{URL}/Request/{CALL}/", f"{URL}/Call/{CALL}/"]
    assert [(method, url) for method, url, _, _ in http.sent] == [("DELETE", url) for url in urls]
