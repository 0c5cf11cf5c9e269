"""The calls that are placed through Bolna's API, and Bolna's answers."""

from dataclasses import replace

from chalicelib.domain.events import CallEvent
from chalicelib.domain.outcome import Amd, Outcome
from chalicelib.providers import DeferredByProvider, PlacementUnknown, Refused
from chalicelib.providers.bolna import Bolna
from tests.providers.dialing import DIAL, HANG_UPS, NOW, SILENT, DialCase, DialTests
from tests.support.fake_http import FakeHttp, answer

ID = "123e4567-e89b-12d3-a456-426614174000"
AGENT = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
TOKEN = "call_01.1.0123456789abcdef0123456789abcdef"
API = "https://api.bolna.ai"
HEADERS = {"Authorization": "Bearer bn-key", "Accept": "application/json"}
EXECUTION = {"id": ID, "status": "completed", "conversation_duration": 9, "answered_by_voice_mail": True}


def bolna(http: FakeHttp, **credentials: str) -> Bolna:
    return Bolna({"api_key": "bn-key", **credentials}, now=lambda: NOW, http=http)


class TestBolna(DialTests):
    case = DialCase(
        provider=bolna,
        call_id=ID,
        dial=replace(
            DIAL,
            answer_url=None,
            callback_url=f"https://redial.example.com/callbacks/bolna/{TOKEN}",
            agent_version_id=AGENT,
            variables={"customer_name": "Asha", "redial_token": "the user's own"},
        ),
        placed=answer(200, {"message": "done", "status": "queued", "execution_id": ID}),
        placed_evidence={"http_status": "200", "execution_id": ID, "status": "queued", "message": "done"},
        calls_url=f"{API}/call",
        headers=HEADERS,
        post_headers={**HEADERS, "Content-Type": "application/json"},
        account="54ce778fe096",  # the beginning of the SHA-256 of the key
        calls_per_second=8.0,
        # Redial retries the call, so a dial asks for no retries of Bolna's.
        requests=[
            (
                {},
                {
                    "agent_id": AGENT,
                    "recipient_phone_number": "+16505550199",
                    "from_phone_number": "+14155550100",
                    "user_data": {"customer_name": "Asha", "redial_token": TOKEN},
                },
            )
        ],
        addresses=[({"api_url": "http://127.0.0.1:9/bolna/"}, "http://127.0.0.1:9/bolna/call")],
        unsendable=[({"agent_version_id": agent}, Refused(Outcome.ERROR, "no-agent")) for agent in (None, "")],
        answers=[
            *((answer(200, {"execution_id": word}), PlacementUnknown("http:200")) for word in (None, {}, "../x")),
            *((answer(status, b"nope"), DeferredByProvider(f"http:{status}", fault=True)) for status in (402, 403)),
            (
                answer(400, {"message": "recipient_phone_number is not valid"}),
                Refused(Outcome.INVALID_NUMBER, "http:400"),
            ),
            (
                answer(422, {"detail": [{"loc": ["body", "recipient_phone_number"]}]}),
                Refused(Outcome.INVALID_NUMBER, "http:422"),
            ),
            (answer(422, {"detail": [{"loc": ["body", "agent_id"]}]}), Refused(Outcome.ERROR, "http:422")),
            (answer(404, {"message": "agent not found"}), Refused(Outcome.ERROR, "http:404")),
        ],
        evidence=[
            (
                answer(404, {"message": "x" * 999}),
                Refused(Outcome.ERROR, "http:404", {"http_status": "404", "message": "x" * 200}),
            )
        ],
        lookups=[
            (
                [answer(200, EXECUTION)],
                CallEvent(
                    event_id=f"{ID}:lookup:completed:machine",
                    provider_call_id=ID,
                    status="completed",
                    outcome=Outcome.VOICEMAIL,
                    duration_sec=9,
                    amd=Amd.MACHINE,
                    evidence={"status": "completed", "conversation_duration": "9", "answered_by_voice_mail": "true"},
                ),
                [f"{API}/executions/{ID}"],
            )
        ],
        silent=[
            *SILENT,
            (answer(200, {"id": ID}), 1),
            (answer(200, {"id": ID, "status": []}), 1),
            (answer(200, {"id": "other", "status": "busy"}), 1),
        ],
        hang_ups=[*HANG_UPS, (answer(200, {"status": "stopped"}), True)],
        hang_up_requests=[("POST", f"{API}/call/{ID}/stop", HEADERS, None)],
        resource=lambda call_id: answer(200, {"id": call_id, "status": "busy"}),
    )


def test_the_id_of_an_agent_may_be_any_text_of_the_json_body():
    http = FakeHttp(TestBolna.case.placed)
    bolna(http).dial(replace(TestBolna.case.dial, agent_version_id="../x"))
    assert [body["agent_id"] for _, _, _, body in http.sent] == ["../x"]
