"""The calls that are placed through Twilio's REST API, and Twilio's answers."""

from dataclasses import replace
from datetime import UTC, datetime

from chalicelib.domain.events import CallEvent, Progress
from chalicelib.domain.outcome import Amd, Outcome
from chalicelib.providers import DeferredByProvider, Http, MachineDetection, PlacementUnknown, Refused
from chalicelib.providers.twilio import ACCOUNT_FAULTS, NUMBER_ERRORS, Twilio
from tests.providers.dialing import DIAL, HANG_UPS, NOW, RETRY_AFTER, SILENT, DialCase, DialTests
from tests.support import cxml
from tests.support.fake_http import answer

ACCOUNT = "AC" + "1" * 32
CALL = "CA" + "2" * 32
CALLS_URL = f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Calls"
HEADERS = cxml.headers(ACCOUNT, "first")
CALLBACK = "https://redial.example.com/callbacks/twilio/t0k3n"
FORM = [*cxml.call_form(CALLBACK), ("TimeLimit", "600")]
ASYNC_AMD = [
    ("AsyncAmd", "true"),
    ("AsyncAmdStatusCallback", CALLBACK),
    ("AsyncAmdStatusCallbackMethod", "POST"),
]
RECORD = {
    "sid": CALL,
    "status": "completed",
    "duration": "49",
    "answered_by": "machine_start",
    "start_time": "Mon, 26 Jan 2026 10:00:00 +0000",
    "end_time": "Mon, 26 Jan 2026 10:00:49 +0000",
    "price": None,
}

#: status, body and cause of a refusal that has no outcome of its own
ERRORS = [
    (400, {"code": 21205, "message": "Url is not a valid URL"}, "twilio:21205"),
    (400, {"code": "21205"}, "twilio:21205"),
    (400, {"code": None}, "http:400"),
    (400, {"code": True}, "http:400"),
    (400, {"code": {"a": 1}}, "http:400"),
    (404, b"", "http:404"),
    (422, b"null", "http:422"),
]
#: status and code of a throttled dial
THROTTLED = [(429, 20429), (400, 10004)]


def twilio(http: Http, **credentials: str) -> Twilio:
    return Twilio({"account_sid": ACCOUNT, "auth_token": "first,second", **credentials}, now=lambda: NOW, http=http)


class TestTwilio(DialTests):
    case = DialCase(
        provider=twilio,
        call_id=CALL,
        dial=replace(DIAL, callback_url=CALLBACK),
        placed=answer(201, {"sid": CALL, "status": "queued", "uri": "/x"}),
        placed_evidence={"http_status": "201", "sid": CALL, "status": "queued"},
        calls_url=f"{CALLS_URL}.json",
        headers=HEADERS,
        post_headers=HEADERS,
        account=ACCOUNT,
        calls_per_second=1.0,
        requests=[
            ({}, FORM),
            ({"machine_detection": MachineDetection.SYNC}, [*FORM, ("MachineDetection", "Enable")]),
            ({"machine_detection": MachineDetection.ASYNC}, [*FORM, ("MachineDetection", "Enable"), *ASYNC_AMD]),
        ],
        addresses=[
            (
                {"api_url": "http://127.0.0.1:9000/"},
                f"http://127.0.0.1:9000/2010-04-01/Accounts/{ACCOUNT}/Calls.json",
            ),
            (
                {"account_sid": "AC1/../2?"},
                "https://api.twilio.com/2010-04-01/Accounts/AC1%2F..%2F2%3F/Calls.json",
            ),
        ],
        unsendable=[({"answer_url": None}, DeferredByProvider("no-answer-url", fault=True))],
        answers=[
            *((answer(201, {"sid": sid}), PlacementUnknown("http:201")) for sid in (None, 7, "../Accounts")),
            (answer(403, b"nope"), DeferredByProvider("http:403", fault=True)),
            *(
                (
                    answer(status, {"code": code}, **header),
                    DeferredByProvider(f"twilio:{code}", False, retry_after_sec=seconds),
                )
                for status, code in THROTTLED
                for header, seconds in RETRY_AFTER
            ),
            *(
                (answer(400, {"code": int(code)}), DeferredByProvider(f"twilio:{code}", fault=True))
                for code in sorted(ACCOUNT_FAULTS)
            ),
            *(
                (answer(status, {"code": int(code)}), Refused(outcome, f"twilio:{code}"))
                for code, outcome in NUMBER_ERRORS.items()
                for status in (400, 403)
            ),
            *((answer(status, body), Refused(Outcome.ERROR, cause)) for status, body, cause in ERRORS),
        ],
        evidence=[
            (
                answer(400, {"code": 21211, "message": "x" * 999, "more_info": "https://x", "status": 400}),
                Refused(
                    Outcome.INVALID_NUMBER,
                    "twilio:21211",
                    {"http_status": "400", "status": "400", "code": "21211", "message": "x" * 200},
                ),
            ),
            (
                answer(500, {"code": 20500, "message": "Server Error", "more_info": "https://x", "status": 500}),
                PlacementUnknown(
                    "twilio:20500",
                    {"http_status": "500", "status": "500", "code": "20500", "message": "Server Error"},
                ),
            ),
        ],
        lookups=[
            (
                [answer(200, RECORD)],
                CallEvent(
                    event_id=f"{CALL}:lookup:completed:machine_start",
                    provider_call_id=CALL,
                    status="completed",
                    outcome=Outcome.VOICEMAIL,
                    occurred_at=datetime(2026, 1, 26, 10, 0, 49, tzinfo=UTC),
                    duration_sec=49,
                    amd=Amd.MACHINE,
                    evidence={name: value for name, value in RECORD.items() if value is not None},
                ),
                [f"{CALLS_URL}/{CALL}.json"],
            ),
            (
                [answer(200, {"sid": CALL, "status": "in-progress", "duration": None, "end_time": None})],
                CallEvent(
                    event_id=f"{CALL}:lookup:in-progress:",
                    provider_call_id=CALL,
                    status="in-progress",
                    progress=Progress.IN_PROGRESS,
                    evidence={"sid": CALL, "status": "in-progress"},
                ),
                [f"{CALLS_URL}/{CALL}.json"],
            ),
        ],
        silent=[
            *SILENT,
            (answer(404, {"code": 20404}), 1),
            (answer(200, {"sid": CALL}), 1),
            (answer(200, {"sid": CALL, "status": {}}), 1),
            (answer(200, {"sid": "CA9", "status": "completed"}), 1),
        ],
        hang_ups=[*HANG_UPS, (answer(400, {"code": 21220}), False)],
        hang_up_requests=[("POST", f"{CALLS_URL}/{CALL}.json", HEADERS, [("Status", "completed")])],
        bad_ids=["", "CA", "XX1", "CA1/../../Accounts", "CA1?x=1", "CA1\n", "CA é", "CA" + "1" * 65],
        resource=lambda call_id: answer(200, {"sid": call_id, "status": "completed"}),
    )
