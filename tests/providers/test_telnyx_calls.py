"""The calls that are placed through Telnyx's Call Control, and Telnyx's answers."""

import base64
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest

from chalicelib.domain.events import CallEvent, Leg, Progress
from chalicelib.domain.outcome import Outcome
from chalicelib.providers import DeferredByProvider, MachineDetection, PlacementUnknown, Refused
from chalicelib.providers.http import Answer
from chalicelib.providers.telnyx import Telnyx
from chalicelib.providers.telnyx_events import NUMBER_REASONS
from chalicelib.providers.telnyx_placing import ACCOUNT_FAULTS, LIMIT_ERRORS, command_id
from tests.providers.dialing import DIAL, HANG_UPS, NOW, UNANSWERED, VAGUE, DialCase, DialTests
from tests.support.fake_http import FakeHttp, answer

LEG = "2dc6fc34-f9e0-11ea-b68e-02420a0f7768"
CONTROL = "v3:MdI91X4lWFEs7IgbBEOT9M4AigoY08M0WWZFISt1Yw2axZ_IiE4pqg"
API = "https://api.telnyx.com/v2"
GET_HEADERS = {"Authorization": "Bearer KEY1", "Accept": "application/json"}
POST_HEADERS = {**GET_HEADERS, "Content-Type": "application/json"}
CALLBACK = "https://redial.example.com/callbacks/telnyx/t0k3n"
TELNYX_DIAL = replace(
    DIAL,
    attempt=2,
    answer_url=None,
    callback_url=CALLBACK,
    agent_version_id="av_1",
    machine_detection=MachineDetection.ASYNC,
)
CREATED = {"record_type": "call", "call_control_id": CONTROL, "call_leg_id": LEG, "call_session_id": "s1"}
LOG_URL = f"{API}/call_events?{urlencode({'filter[leg_id]': LEG, 'filter[name]': 'call.hangup'})}"
BEGUN_URL = LOG_URL.replace("call.hangup", "call.initiated")
ACTIVE_URL = f"{API}/connections/7267/active_calls?page%5Bnumber%5D=1&page%5Bsize%5D=250"


def telnyx(http: FakeHttp, **credentials: str) -> Telnyx:
    given = {"api_key": "KEY1", "connection_id": "7267", "public_key": base64.b64encode(bytes(32)).decode()}
    return Telnyx(given | credentials, now=lambda: NOW, http=http)


def said(status: int, code: str, detail: str = "", pointer: str = "", **headers: str) -> Answer:
    """Return an answer with one error of Telnyx's."""
    error = {"code": code, "title": "Title", "detail": detail, "source": {"pointer": pointer}}
    return answer(status, {"errors": [error]}, **headers)


def logged(metadata: object) -> Answer:
    """Return a log of events whose last is a hangup with that metadata."""
    entry = {"name": "call.hangup", "call_leg_id": LEG, "event_timestamp": "2026-01-26T09:00:00Z", "metadata": metadata}
    return answer(200, {"data": [{"name": "call.answered", "call_leg_id": LEG}, entry]})


#: the call whose hangup is in the log, by its leg
BUSY = CallEvent(
    event_id=f"{LEG}:lookup:hangup",
    provider_call_id=LEG,
    status="user-busy",
    outcome=Outcome.BUSY,
    occurred_at=datetime(2026, 1, 26, 9, tzinfo=UTC),
    cause="telnyx:user_busy",
    evidence={"hangup_cause": "user_busy", "sip_hangup_cause": "486"},
)
#: the shapes in which the log holds an event's payload
NESTS = [lambda p: p, lambda p: {"payload": p}, lambda p: {"event": {"data": {"payload": p}}}]


#: the whole body of a dial
BODY = {
    "connection_id": "7267",
    "to": "+16505550199",
    "from": "+14155550100",
    "timeout_secs": 30,
    "time_limit_secs": 600,
    "command_id": command_id("call_1", 2),
    "client_state": base64.b64encode(b'{"call_id": "call_1", "attempt": 2, "agent_version_id": "av_1"}').decode(),
    "webhook_url": CALLBACK,
    "webhook_url_method": "POST",
    "answering_machine_detection": "detect",
}
PROGRAM = "https://agent.example.com/?call_id=1"
#: the body of a dial with an answer URL: the program there drives the call, and only our events come here
DRIVEN = {
    "webhook_url": PROGRAM,
    "webhook_urls_method": "POST",
    "webhook_urls": {
        "call.initiated": [CALLBACK],
        "call.hangup": [CALLBACK],
        "call.machine.detection.ended": [CALLBACK],
        "call.machine.greeting.ended": [CALLBACK],
        "call.machine.premium.detection.ended": [CALLBACK],
        "call.machine.premium.greeting.ended": [CALLBACK],
        # Both: the event starts the program, and its time is the call's answer.
        "call.answered": [PROGRAM, CALLBACK],
    },
}


class TestTelnyx(DialTests):
    case = DialCase(
        provider=telnyx,
        call_id=LEG,
        dial=TELNYX_DIAL,
        placed=answer(200, {"data": {**CREATED, "is_alive": False}}),
        placed_evidence={"http_status": "200", "call_control_id": CONTROL, "call_session_id": "s1"},
        calls_url=f"{API}/calls",
        headers=GET_HEADERS,
        post_headers=POST_HEADERS,
        account="7267",
        calls_per_second=30.0,
        requests=[
            ({}, BODY),
            ({"to_number": "+16505550111"}, {**BODY, "to": "+16505550111"}),
            ({"answer_url": PROGRAM}, {**BODY, **DRIVEN}),
            ({"machine_detection": MachineDetection.SYNC}, BODY),
            (
                {"machine_detection": MachineDetection.OFF},
                {name: value for name, value in BODY.items() if name != "answering_machine_detection"},
            ),
            # The longest call is kept within Telnyx's limits.
            *(
                ({"max_call_sec": asked}, {**BODY, "time_limit_secs": sent})
                for asked, sent in ((10, 60), (60, 60), (14_400, 14_000))
            ),
        ],
        addresses=[({"api_url": "http://127.0.0.1:9000/telnyx/"}, "http://127.0.0.1:9000/telnyx/v2/calls")],
        answers=[
            (answer(200, {"data": []}), PlacementUnknown("http:200")),
            (answer(200, {"data": {"call_control_id": CONTROL}}), PlacementUnknown("http:200")),
            (answer(200, {"data": {"call_leg_id": "../x"}}), PlacementUnknown("http:200")),
            (said(500, "10007"), PlacementUnknown("telnyx:10007")),
            (said(503, "10037"), PlacementUnknown("telnyx:10037")),
            (said(408, "10008"), PlacementUnknown("telnyx:10008")),
            (answer(402), DeferredByProvider("http:402", fault=True)),
            (
                said(429, "90103", x_ratelimit_reset="3"),
                DeferredByProvider("telnyx:90103", fault=False, retry_after_sec=3),
            ),
            (
                answer(429, retry_after="7", x_ratelimit_reset="3"),
                DeferredByProvider("http:429", fault=False, retry_after_sec=7),
            ),
            (said(422, "10016", pointer="/to"), Refused(Outcome.INVALID_NUMBER, "telnyx:10016")),
            (said(422, "10016"), Refused(Outcome.INVALID_NUMBER, "telnyx:10016")),
            (said(422, "10002", pointer="/to"), Refused(Outcome.INVALID_NUMBER, "telnyx:10002")),
            (said(422, "10016", pointer="/from"), DeferredByProvider("telnyx:10016", fault=True)),
            (said(422, "10015", pointer="/connection_id"), DeferredByProvider("telnyx:10015", fault=True)),
            (said(422, "10003", pointer="/webhook_url"), DeferredByProvider("telnyx:10003", fault=True)),
            (said(422, "10015"), Refused(Outcome.ERROR, "telnyx:10015")),
            (said(422, "90028", pointer="/timeout_secs"), Refused(Outcome.ERROR, "telnyx:90028")),
            (answer(404, b""), Refused(Outcome.ERROR, "http:404")),
            (answer(422, {"errors": "x"}), Refused(Outcome.ERROR, "http:422")),
            (said(403, "10010", "User channel limit exceeded D1"), DeferredByProvider("telnyx:D1", fault=False)),
            (said(403, "10010", "Connection disabled D10"), DeferredByProvider("telnyx:D10", fault=True)),
            (said(403, "10010", "Account blocked D19"), DeferredByProvider("telnyx:D19", fault=True)),
            *((said(403, "10010", f"No {d}"), Refused(o, f"telnyx:{d}")) for d, o in NUMBER_REASONS.items()),
            *((said(422, code), DeferredByProvider(f"telnyx:{code}", fault=True)) for code in sorted(ACCOUNT_FAULTS)),
            *((said(422, code), DeferredByProvider(f"telnyx:{code}", fault=False)) for code in sorted(LIMIT_ERRORS)),
        ],
        evidence=[
            (
                said(422, "10016", "x" * 999, "/to"),
                Refused(
                    Outcome.INVALID_NUMBER,
                    "telnyx:10016",
                    {"http_status": "422", "code": "10016", "title": "Title", "detail": "x" * 200, "pointer": "/to"},
                ),
            )
        ],
        lookups=[
            (
                [answer(200, {"data": []}), answer(200, {"data": [CREATED]})],
                CallEvent(
                    event_id=f"{LEG}:lookup:alive", provider_call_id=LEG, status="alive", progress=Progress.INITIATED
                ),
                [LOG_URL, ACTIVE_URL, BEGUN_URL],
            ),
            *(
                (
                    [logged(nest({"hangup_cause": "user_busy", "sip_hangup_cause": "486"}))],
                    BUSY,
                    [LOG_URL, BEGUN_URL],
                )
                for nest in NESTS
            ),
            # The call ends while Redial asks.
            (
                [
                    answer(200, {"data": []}),
                    answer(200, {"data": []}),
                    logged({"hangup_cause": "user_busy", "sip_hangup_cause": "486"}),
                ],
                BUSY,
                [LOG_URL, ACTIVE_URL, LOG_URL, BEGUN_URL],
            ),
        ],
        silent=[
            *((given, 1) for given in UNANSWERED),
            *((given, 3) for given in VAGUE),
            (answer(200, {"data": 1}), 3),
            (answer(200, {"data": [1, {"name": "call.hangup", "call_leg_id": "other"}]}), 3),
        ],
        hang_up_id=CONTROL,
        hang_ups=[*HANG_UPS, (said(422, "90018"), False)],
        hang_up_requests=[
            ("POST", f"{API}/calls/{CONTROL.replace(':', '%3A')}/actions/hangup", POST_HEADERS, {}),
        ],
        bad_ids=["", "../x", "a?b", "v3:", "v3:a/b", "é", "a\n", "a" * 65],
        resource=lambda call_id: answer(200, {"data": CREATED}),
    )
    test_a_dial_that_the_vendor_cannot_take_is_not_sent = None  # Telnyx judges every dial itself


def test_the_command_id_is_of_the_call_and_attempt_alone():
    assert len({command_id("call_1", 1), command_id("call_1", 2), command_id("call_2", 1)}) == 3
    assert uuid.UUID(command_id("call_1", 1)).version == 5


def test_telnyx_needs_no_answer_url():
    assert not telnyx(FakeHttp()).needs_answer_url


def test_a_texml_call_is_looked_up_by_the_leg_of_its_control_id():
    http = FakeHttp(answer(200, {"data": CREATED}), logged({"hangup_cause": "timeout"}))
    event = telnyx(http).lookup(CONTROL)
    assert event is not None
    assert (event.provider_call_id, event.outcome) == (CONTROL, Outcome.NO_ANSWER)
    assert [url for _, url, _, _ in http.sent] == [f"{API}/calls/{CONTROL.replace(':', '%3A')}", LOG_URL, BEGUN_URL]


@pytest.mark.parametrize(
    ("direction", "leg"),
    [("outgoing", Leg.OUTGOING), ("incoming", Leg.INBOUND), ("bridging", Leg.OTHER), (None, Leg.UNKNOWN)],
)
@pytest.mark.parametrize("nest", [lambda p: p, lambda p: {"event": {"data": {"payload": p}}}])
def test_the_log_of_the_initiation_has_leg_numbers_and_session(nest, direction: str | None, leg: Leg):
    payload = {"direction": direction, "to": "+16505550199", "from": "+14155550100"}
    begun = {"name": "call.initiated", "call_leg_id": LEG, "call_session_id": "s1", "metadata": nest(payload)}
    other = {**begun, "call_leg_id": "other", "call_session_id": "s2"}
    http = FakeHttp(logged({"hangup_cause": "user_busy"}), answer(200, {"data": [other, begun]}))
    event = telnyx(http).lookup(LEG)
    assert event is not None
    assert (event.leg, event.session, event.outcome) == (leg, "s1", Outcome.BUSY)
    assert (event.to_number, event.from_number) == ("+16505550199", "+14155550100")


@pytest.mark.parametrize("metadata", [{"no": "cause"}, "text"])
def test_a_hangup_in_the_log_without_a_cause_is_none(metadata: object):
    assert telnyx(FakeHttp(logged(metadata), answer(404))).lookup(LEG) is None


def test_hanging_up_finds_the_control_id_page_by_page():
    first = answer(200, {"data": [{"call_leg_id": "other"}], "meta": {"page_number": 1, "total_pages": 2}})
    http = FakeHttp(first, answer(200, {"data": [CREATED]}), answer(200, {"data": {"result": "ok"}}))
    assert telnyx(http).hang_up(LEG)
    assert http.sent == [
        ("GET", ACTIVE_URL, GET_HEADERS, None),
        ("GET", ACTIVE_URL.replace("=1&", "=2&"), GET_HEADERS, None),
        ("POST", f"{API}/calls/{CONTROL.replace(':', '%3A')}/actions/hangup", POST_HEADERS, {}),
    ]


@pytest.mark.parametrize(("rows", "asked"), [(250, 2), (249, 1), (0, 1)])
def test_a_list_that_does_not_count_its_pages_ends_with_a_short_one(rows: int, asked: int):
    full = answer(200, {"data": [{"call_leg_id": "other"}] * rows, "meta": {"cursors": {"after": "c2"}}})
    http = FakeHttp(full, answer(200, {"data": []}))
    assert not telnyx(http).hang_up(LEG)
    assert len(http.sent) == asked


def test_a_list_without_an_end_is_left_in_the_end():
    http = FakeHttp(answer(200, {"data": [], "meta": {"total_pages": 99}}))
    assert not telnyx(http).hang_up(LEG)
    assert len(http.sent) == 8


@pytest.mark.parametrize(("version", "is_wrong"), [("1", True), ("2", False), (None, False)])
def test_an_application_with_version_1_webhooks_has_a_wrong_setting(version: str | None, is_wrong: bool):
    http = FakeHttp(answer(200, {"data": {"id": "7267", "webhook_api_version": version}}))
    wrong = telnyx(http).wrong_setting()
    assert (wrong is not None) == is_wrong
    assert wrong is None or "webhook_api_version is 1" in wrong[0]
