"""The calls that are placed through SignalWire's cXML API, and its answers."""

from dataclasses import replace

from chalicelib.domain.events import CallEvent, Progress
from chalicelib.domain.outcome import Outcome
from chalicelib.providers import DeferredByProvider, MachineDetection, PlacementUnknown, Refused
from chalicelib.providers.signalwire import ACCOUNT_FAULTS, INTERNAL_ERRORS, LIMIT_ERRORS, NUMBER_ERRORS, SignalWire
from tests.providers.dialing import DIAL, NOW, DialCase, DialTests
from tests.support import cxml
from tests.support.fake_http import FakeHttp, answer

PROJECT = "8a7f2c1e-0b4d-4f7e-a1c3-6d5e4f3a2b1c"
CALL = "2f6c8a54-7d1e-4b7b-9d0c-5a3f1e8b6c01"
PATH = f"/api/laml/2010-04-01/Accounts/{PROJECT}/Calls"
CALLS_URL = f"https://example.signalwire.com{PATH}"
HEADERS = cxml.headers(PROJECT, "PTtoken")
CALLBACK = "https://redial.example.com/callbacks/signalwire/t0k3n"
FORM = cxml.call_form(CALLBACK)
RESOURCE = {"sid": CALL, "status": "failed", "duration": 0, "sip_result_code": "486", "end_time": None}


def signalwire(http: FakeHttp, **credentials: str) -> SignalWire:
    usual = {"space_url": "example.signalwire.com", "project_id": PROJECT, "api_token": "PTtoken", "signing_key": "PSK"}
    return SignalWire(usual | credentials, now=lambda: NOW, http=http)


class TestSignalWire(DialTests):
    case = DialCase(
        provider=signalwire,
        call_id=CALL,
        dial=replace(DIAL, callback_url=CALLBACK),
        placed=answer(200, {"sid": CALL, "status": "queued"}),
        placed_evidence={"http_status": "200", "sid": CALL, "status": "queued"},
        calls_url=f"{CALLS_URL}.json",
        headers=HEADERS,
        post_headers=HEADERS,
        account=PROJECT,
        calls_per_second=1.0,
        requests=[
            ({}, FORM),
            ({"machine_detection": MachineDetection.SYNC}, [*FORM, ("MachineDetection", "Enable")]),
        ],
        # A space may be named in any of these ways.
        addresses=[
            ({"space_url": "example.signalwire.com"}, f"https://example.signalwire.com{PATH}.json"),
            ({"space_url": "https://example.signalwire.com/"}, f"https://example.signalwire.com{PATH}.json"),
            ({"space_url": "example"}, f"https://example.signalwire.com{PATH}.json"),
            ({"space_url": "http://127.0.0.1:9000"}, f"http://127.0.0.1:9000{PATH}.json"),
            (
                {"space_url": "example", "api_url": "http://127.0.0.1:9000/signalwire/"},
                f"http://127.0.0.1:9000/signalwire{PATH}.json",
            ),
        ],
        unsendable=[({"answer_url": None}, DeferredByProvider("no-answer-url", fault=True))],
        answers=[
            (answer(200, {"sid": "../x"}), PlacementUnknown("http:200")),
            (answer(422, {"code": "21205"}), Refused(Outcome.ERROR, "signalwire:21205")),
            *((answer(422, {"code": c}), Refused(o, f"signalwire:{c}")) for c, o in NUMBER_ERRORS.items()),
            *(
                (answer(400, {"code": c}), DeferredByProvider(f"signalwire:{c}", fault=True))
                for c in sorted(ACCOUNT_FAULTS)
            ),
            *(
                (answer(400, {"code": c}), DeferredByProvider(f"signalwire:{c}", fault=False))
                for c in sorted(LIMIT_ERRORS)
            ),
            *((answer(400, {"code": c}), PlacementUnknown(f"signalwire:{c}")) for c in sorted(INTERNAL_ERRORS)),
        ],
        evidence=[
            (
                answer(422, {"code": "21205", "message": "x" * 999}),
                Refused(
                    Outcome.ERROR,
                    "signalwire:21205",
                    {"http_status": "422", "code": "21205", "message": "x" * 200},
                ),
            )
        ],
        lookups=[
            (
                [answer(200, RESOURCE)],
                CallEvent(
                    event_id=f"{CALL}:lookup:failed:",
                    provider_call_id=CALL,
                    status="failed",
                    outcome=Outcome.BUSY,
                    duration_sec=0,
                    cause="sip:486",
                    evidence={"sid": CALL, "status": "failed", "duration": "0", "sip_result_code": "486"},
                ),
                [f"{CALLS_URL}/{CALL}.json"],
            ),
            (
                [answer(200, {"sid": CALL, "status": "ringing"})],
                CallEvent(
                    event_id=f"{CALL}:lookup:ringing:",
                    provider_call_id=CALL,
                    status="ringing",
                    progress=Progress.RINGING,
                    evidence={"sid": CALL, "status": "ringing"},
                ),
                [f"{CALLS_URL}/{CALL}.json"],
            ),
        ],
        hang_up_requests=[("POST", f"{CALLS_URL}/{CALL}.json", HEADERS, [("Status", "completed")])],
        bad_ids=["", "-a", "a/../b", "a?b", "a\n", "é"],
        resource=lambda call_id: answer(200, {"sid": call_id, "status": "completed"}),
    )
