"""The calls that are placed through Exotel's API, and Exotel's answers."""

from dataclasses import replace
from datetime import UTC, datetime

from chalicelib.domain.events import CallEvent
from chalicelib.domain.outcome import Amd, Outcome
from chalicelib.providers import DeferredByProvider, PlacementUnknown, Refused
from chalicelib.providers.exotel import Exotel
from chalicelib.providers.signing import basic_login
from tests.providers.dialing import DIAL, NOW, SILENT, DialCase, DialTests
from tests.support.fake_http import FakeHttp, answer

SID = "80bfbec2d78bbbf10fb851f4fa165211"
TOKEN = "call_01.1.0123456789abcdef0123456789abcdef"
FLOWS = "http://my.exotel.com/acme1/exoml/start_voice"
CALLS_URL = "https://api.exotel.com/v1/Accounts/acme1/Calls"
HEADERS = {"Authorization": basic_login("key", "token"), "Accept": "application/json"}
CALLBACK = f"https://redial.example.com/callbacks/exotel/{TOKEN}"
FORM = {
    "From": "+919876543210",
    "CallerId": "08047104890",
    "Url": f"{FLOWS}/926",
    "CallType": "trans",
    "TimeLimit": "600",
    "TimeOut": "30",
    "StatusCallback": CALLBACK,
    "StatusCallbackEvents[0]": "terminal",
    "StatusCallbackContentType": "application/json",
    "CustomField": TOKEN,
}
RESOURCE = {
    "Sid": SID,
    "DateUpdated": "2017-03-03 10:53:33",
    "To": "08047104890",
    "From": "09876543210",
    "PhoneNumberSid": "08047104890",
    "Status": "completed",
    "EndTime": "2017-03-03 10:49:50",
    "Duration": "77",
    "AnsweredBy": None,
    "Details": {
        "ConversationDuration": 8,
        "Leg1Status": "completed",
        "Leg2Status": "busy",
        "Legs": [{"Leg": {"Id": 1, "OnCallDuration": 21}}, {"Leg": {"Id": 2, "OnCallDuration": 8}}],
    },
}
#: the event that is made of RESOURCE
COMPLETED = CallEvent(
    event_id=f"{SID}:lookup:completed:",
    provider_call_id=SID,
    status="completed",
    outcome=Outcome.COMPLETED,
    occurred_at=datetime(2017, 3, 3, 5, 19, 50, tzinfo=UTC),
    duration_sec=21,
    to_number="+919876543210",
    from_number="+918047104890",
    evidence={
        "Status": "completed",
        "ConversationDuration": "8",
        "Duration": "77",
        "DateUpdated": "2017-03-03 10:53:33",
        "EndTime": "2017-03-03 10:49:50",
        "Leg1.Status": "completed",
        "Leg1.OnCallDuration": "21",
        "Leg2.Status": "busy",
        "Leg2.OnCallDuration": "8",
    },
)
LOOKUP_URL = f"{CALLS_URL}/{SID}.json?details=true"

#: status and message of a refusal that ends the attempt -> the outcome
REFUSALS = [
    (400, "Bad parameter", Outcome.ERROR),
    (403, "Number is registered under TRAI NDNC", Outcome.DND),
    (400, "DND number, call not allowed", Outcome.DND),
]


def exotel(http: FakeHttp, **credentials: str) -> Exotel:
    usual = {"account_sid": "acme1", "api_key": "key", "api_token": "token"}
    return Exotel(usual | credentials, now=lambda: NOW, http=http)


class TestExotel(DialTests):
    case = DialCase(
        provider=exotel,
        call_id=SID,
        dial=replace(
            DIAL,
            from_number="+918047104890",
            to_number="+919876543210",
            answer_url=None,
            callback_url=CALLBACK,
            agent_version_id="926",
        ),
        placed=answer(200, {"Call": {"Sid": SID, "Status": "in-progress"}}),
        placed_evidence={"http_status": "200", "Sid": SID, "Status": "in-progress"},
        calls_url=f"{CALLS_URL}/connect.json",
        headers=HEADERS,
        post_headers=HEADERS,
        account="acme1",
        calls_per_second=3.0,
        requests=[
            ({}, list(FORM.items())),
            (
                {"from_number": "+14155550100", "max_call_sec": 99_999},
                list({**FORM, "CallerId": "+14155550100", "TimeLimit": "14400"}.items()),
            ),
            # An answer URL goes before the flow of the agent, and the address of a flow has no query.
            ({"answer_url": f"{FLOWS}/7?call_id=x"}, list({**FORM, "Url": f"{FLOWS}/7"}.items())),
            (
                {"answer_url": "https://example.com/flow?call_id=x"},
                list({**FORM, "Url": "https://example.com/flow?call_id=x"}.items()),
            ),
        ],
        addresses=[
            (
                {"api_url": "https://api.in.exotel.com/", "account_sid": "a/../b"},
                "https://api.in.exotel.com/v1/Accounts/a%2F..%2Fb/Calls/connect.json",
            )
        ],
        unsendable=[
            ({"agent_version_id": agent}, DeferredByProvider("no-answer-url", fault=True))
            for agent in (None, "", "../x")
        ],
        answers=[
            (answer(200, {"Call": []}), PlacementUnknown("http:200")),
            (answer(201, {"Call": {"Sid": "../x"}}), PlacementUnknown("http:201")),
            *(
                (answer(status, b"nope"), DeferredByProvider(f"http:{status}", fault=True))
                for status in (402, 403, 404)
            ),
            (answer(409, {}), DeferredByProvider("http:409", fault=False)),
            *(
                (answer(status, {"RestException": {"Status": status, "Message": m}}), Refused(o, f"http:{status}"))
                for status, m, o in REFUSALS
            ),
        ],
        evidence=[
            (
                answer(400, {"RestException": {"Status": 400, "Message": "x" * 999}}),
                Refused(Outcome.ERROR, "http:400", {"http_status": "400", "Status": "400", "Message": "x" * 200}),
            )
        ],
        lookups=[
            ([answer(200, {"Call": RESOURCE})], COMPLETED, [LOOKUP_URL]),
            (
                [answer(200, {"Call": {**RESOURCE, "AnsweredBy": "machine"}})],
                replace(
                    COMPLETED,
                    event_id=f"{SID}:lookup:completed:machine",
                    outcome=Outcome.VOICEMAIL,
                    amd=Amd.MACHINE,
                ),
                [LOOKUP_URL],
            ),
            (
                [answer(200, {"Call": {"Sid": SID, "Status": "no-answer"}})],
                CallEvent(
                    event_id=f"{SID}:lookup:no-answer:",
                    provider_call_id=SID,
                    status="no-answer",
                    outcome=Outcome.NO_ANSWER,
                    evidence={"Status": "no-answer"},
                ),
                [LOOKUP_URL],
            ),
        ],
        silent=[
            *SILENT,
            (answer(200, {"Call": {"Sid": SID}}), 1),
            (answer(200, {"Call": {"Sid": SID, "Status": {}}}), 1),
            (answer(200, {"Call": {"Sid": "other", "Status": "busy"}}), 1),
        ],
        # Exotel's API has no hang-up.
        hang_ups=[(answer(200, {}), False)],
        hang_up_requests=[],
        resource=lambda call_id: answer(200, {"Call": {"Sid": call_id, "Status": "busy"}}),
    )
