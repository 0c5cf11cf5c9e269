"""The calls that are placed through DialNexa's API, and DialNexa's answers."""

from dataclasses import replace

from chalicelib.domain.events import CallEvent
from chalicelib.domain.outcome import Outcome
from chalicelib.providers import DeferredByProvider, PlacementUnknown, Refused
from chalicelib.providers.dialnexa import DialNexa
from tests.providers.dialing import DIAL, NOW, SILENT, DialCase, DialTests
from tests.support.fake_http import FakeHttp, answer

CALL = "call_abc123xyz"
AGENT = "agent_2g7Xy3tY53gRlp"
TOKEN = "call_01.1.0123456789abcdef0123456789abcdef"
CALLS_URL = "https://api.dialnexa.com/v1/calls"
HEADERS = {"Authorization": "Bearer key_1:secret", "Accept": "application/json"}
RESOURCE = {"id": CALL, "to_number": "+919876543210", "status": "hangup", "end_reason": "user_busy", "duration": 0}

#: status and message of a refusal that ends the attempt -> the outcome
REFUSALS = [
    (400, "phone_number must be a valid E.164 phone number", Outcome.INVALID_NUMBER),
    (400, ["x", "phone_number must be a valid one", 7], Outcome.INVALID_NUMBER),
    (400, "metadata must be an object", Outcome.ERROR),
    (403, "Destination country or network prefix is not enabled for this workspace", Outcome.ERROR),
    (404, "Agent or phone number not found", Outcome.ERROR),
]


def dialnexa(http: FakeHttp, **credentials: str) -> DialNexa:
    return DialNexa({"api_key": "key_1:secret", "webhook_secret": "s", **credentials}, now=lambda: NOW, http=http)


class TestDialNexa(DialTests):
    case = DialCase(
        provider=dialnexa,
        call_id=CALL,
        dial=replace(
            DIAL,
            answer_url=None,
            callback_url=f"https://redial.example.com/callbacks/dialnexa/{TOKEN}",
            agent_version_id=AGENT,
            variables={"customer_name": "Asha"},
        ),
        placed=answer(201, {"id": CALL, "to_phone_number": "+16505550199", "agent_version_number": 1}),
        placed_evidence={"http_status": "201", "id": CALL},
        calls_url=CALLS_URL,
        headers=HEADERS,
        post_headers={**HEADERS, "Content-Type": "application/json"},
        account="key_1",
        calls_per_second=1.0,
        requests=[
            (
                {},
                {
                    "agent_id": AGENT,
                    "phone_number": "+16505550199",
                    "metadata": {"customer_name": "Asha", "redial_token": TOKEN},
                },
            )
        ],
        addresses=[({"api_url": "http://127.0.0.1:9/dialnexa/"}, "http://127.0.0.1:9/dialnexa/v1/calls")],
        unsendable=[({"agent_version_id": agent}, Refused(Outcome.ERROR, "no-agent")) for agent in (None, "")],
        answers=[
            *((answer(200, {"id": word}), PlacementUnknown("http:200")) for word in (None, {}, "../x")),
            *((answer(status, b"nope"), DeferredByProvider(f"http:{status}", fault=True)) for status in (402, 403)),
            (answer(409, {}), DeferredByProvider("http:409", fault=False)),
            *((answer(status, {"message": m}), Refused(o, f"http:{status}")) for status, m, o in REFUSALS),
        ],
        evidence=[
            (
                answer(404, {"message": "x" * 999}),
                Refused(Outcome.ERROR, "http:404", {"http_status": "404", "message": "x" * 200}),
            )
        ],
        lookups=[
            (
                [answer(200, RESOURCE)],
                CallEvent(
                    event_id=f"{CALL}:lookup:hangup:dialnexa:user-busy",
                    provider_call_id=CALL,
                    status="hangup",
                    outcome=Outcome.BUSY,
                    duration_sec=0,
                    cause="dialnexa:user-busy",
                    to_number="+919876543210",
                    evidence={"status": "hangup", "end_reason": "user_busy", "duration": "0"},
                ),
                [f"{CALLS_URL}/{CALL}"],
            )
        ],
        silent=[
            *SILENT,
            (answer(200, {"id": CALL}), 1),
            (answer(200, {"id": CALL, "status": []}), 1),
            (answer(200, {"id": "other", "status": "busy"}), 1),
        ],
        # DialNexa's API has no hang-up.
        hang_ups=[(answer(200, {}), False)],
        hang_up_requests=[],
        resource=lambda call_id: answer(200, {"id": call_id, "status": "busy"}),
    )


def test_the_id_of_an_agent_may_be_any_text_of_the_json_body():
    http = FakeHttp(TestDialNexa.case.placed)
    dialnexa(http).dial(replace(TestDialNexa.case.dial, agent_version_id="../x"))
    assert [body["agent_id"] for _, _, _, body in http.sent] == ["../x"]
