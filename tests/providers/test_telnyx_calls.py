"""Calls placed through Telnyx's Call Control: what is sent, once, and what each answer means."""

import base64
import json
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest

from chalicelib.domain.events import CallEvent, Leg, Progress
from chalicelib.domain.outcome import Outcome
from chalicelib.providers import DialRequest, MachineDetection, Placed, PlacementUnknown, PutOff, Refused
from chalicelib.providers.http import Answer, AnswerLost, NotSent
from chalicelib.providers.telnyx import Telnyx
from chalicelib.providers.telnyx_events import NUMBER_REASONS
from chalicelib.providers.telnyx_placing import ACCOUNT_FAULTS, PACE_LIMITS, command_id
from tests.support.fake_http import FakeHttp, answer, asked_now

LEG = "2dc6fc34-f9e0-11ea-b68e-02420a0f7768"
CONTROL = "v3:MdI91X4lWFEs7IgbBEOT9M4AigoY08M0WWZFISt1Yw2axZ_IiE4pqg"
NOW = datetime(2026, 1, 26, 10, tzinfo=UTC)
API = "https://api.telnyx.com/v2"
GET_HEADERS = {"Authorization": "Bearer KEY1", "Accept": "application/json"}
POST_HEADERS = {**GET_HEADERS, "Content-Type": "application/json"}
CALLBACK = "https://redial.example.com/callbacks/telnyx/t0k3n"
DIAL = DialRequest("call_1", 2, "+14155550100", "+16505550199", None, CALLBACK, agent_version_id="av_1")
CREATED = {"record_type": "call", "call_control_id": CONTROL, "call_leg_id": LEG, "call_session_id": "s1"}
LOG_URL = f"{API}/call_events?{urlencode({'filter[leg_id]': LEG, 'filter[name]': 'call.hangup'})}"
BEGUN_URL = LOG_URL.replace("call.hangup", "call.initiated")
ACTIVE_URL = f"{API}/connections/7267/active_calls?page%5Bnumber%5D=1&page%5Bsize%5D=250"


def telnyx(http: FakeHttp, **credentials: str) -> Telnyx:
    given = {"api_key": "KEY1", "connection_id": "7267", "public_key": base64.b64encode(bytes(32)).decode()}
    return Telnyx(given | credentials, now=lambda: NOW, http=http)


def said(status: int, code: str, detail: str = "", pointer: str = "", **headers: str) -> Answer:
    """An answer with one error of Telnyx's."""
    error = {"code": code, "title": "Title", "detail": detail, "source": {"pointer": pointer}}
    return answer(status, {"errors": [error]}, **headers)


def test_a_call_is_asked_for_once_with_the_whole_body():
    http = FakeHttp(answer(200, {"data": {**CREATED, "is_alive": False}}))
    assert telnyx(http).dial(DIAL) == Placed(
        LEG, {"http_status": "200", "call_control_id": CONTROL, "call_session_id": "s1"}
    )
    ((method, url, headers, body),) = http.sent
    assert (method, url, headers) == ("POST", f"{API}/calls", POST_HEADERS)
    assert isinstance(body, dict)
    state = json.loads(base64.b64decode(body.pop("client_state")))
    assert state == {"call_id": "call_1", "attempt": 2, "agent_version_id": "av_1"}
    assert body == {
        "connection_id": "7267",
        "to": "+16505550199",
        "from": "+14155550100",
        "timeout_secs": 45,
        "time_limit_secs": 3600,
        "command_id": command_id("call_1", 2),
        "webhook_url": CALLBACK,
        "webhook_url_method": "POST",
        "answering_machine_detection": "detect",
    }


def body_of(request: DialRequest) -> dict[str, object]:
    http = FakeHttp(answer(200, {"data": CREATED}))
    telnyx(http).dial(request)
    body = http.sent[0][3]
    assert isinstance(body, dict)
    return body


def test_the_command_id_is_of_the_call_and_attempt_alone():
    assert body_of(DIAL)["command_id"] == body_of(replace(DIAL, to_number="+16505550111"))["command_id"]
    assert len({command_id("call_1", 1), command_id("call_1", 2), command_id("call_2", 1)}) == 3
    assert uuid.UUID(command_id("call_1", 1)).version == 5


def test_an_answer_url_is_the_program_that_drives_the_call_and_only_our_events_come_here():
    body = body_of(replace(DIAL, answer_url="https://agent.example.com/?call_id=1"))
    assert body["webhook_url"] == "https://agent.example.com/?call_id=1"
    assert body["webhook_urls"] == {
        "call.initiated": [CALLBACK],
        "call.hangup": [CALLBACK],
        "call.machine.detection.ended": [CALLBACK],
        "call.machine.greeting.ended": [CALLBACK],
        "call.machine.premium.detection.ended": [CALLBACK],
        "call.machine.premium.greeting.ended": [CALLBACK],
        # Both: it starts the program, and its time is the call's answer
        "call.answered": ["https://agent.example.com/?call_id=1", CALLBACK],
    }


@pytest.mark.parametrize(("asked", "sent"), [(10, 60), (60, 60), (14_400, 14_000)])
def test_the_longest_call_is_kept_within_telnyxs_limits(asked: int, sent: int):
    assert body_of(replace(DIAL, max_call_sec=asked))["time_limit_secs"] == sent


@pytest.mark.parametrize(
    ("mode", "sent"),
    [(MachineDetection.OFF, None), (MachineDetection.SYNC, "detect"), (MachineDetection.ASYNC, "detect")],
)
def test_detection_is_asked_for_or_left_out(mode: MachineDetection, sent: str | None):
    assert body_of(replace(DIAL, machine_detection=mode)).get("answering_machine_detection") == sent


def test_the_api_may_live_elsewhere_and_the_account_is_the_connection():
    http = FakeHttp(answer(200, {"data": CREATED}))
    provider = telnyx(http, api_url="http://127.0.0.1:9000/telnyx/")
    provider.dial(DIAL)
    assert http.sent[0][1] == "http://127.0.0.1:9000/telnyx/v2/calls"
    assert (provider.account, provider.calls_per_second, provider.needs_answer_url) == ("7267", 30.0, False)


@pytest.mark.parametrize(
    ("given", "result"),
    [
        (NotSent("refused"), PutOff("network", fault=False)),
        (AnswerLost("late"), PlacementUnknown("answer-lost")),
        (answer(200, b"<html>"), PlacementUnknown("http:200")),
        (answer(200, {}), PlacementUnknown("http:200")),
        (answer(200, {"data": []}), PlacementUnknown("http:200")),
        (answer(200, {"data": {"call_control_id": CONTROL}}), PlacementUnknown("http:200")),
        (answer(200, {"data": {"call_leg_id": "../x"}}), PlacementUnknown("http:200")),
        (said(500, "10007"), PlacementUnknown("telnyx:10007")),
        (said(503, "10037"), PlacementUnknown("telnyx:10037")),
        (said(408, "10008"), PlacementUnknown("telnyx:10008")),
        (answer(302), PlacementUnknown("http:302")),
        (answer(307), PutOff("http:307", fault=True)),
        (answer(401), PutOff("http:401", fault=True)),
        (answer(402), PutOff("http:402", fault=True)),
        (said(429, "90103", x_ratelimit_reset="3"), PutOff("telnyx:90103", fault=False, retry_after_sec=3)),
        (answer(429, retry_after="7", x_ratelimit_reset="3"), PutOff("http:429", fault=False, retry_after_sec=7)),
        (said(422, "10016", pointer="/to"), Refused(Outcome.INVALID_NUMBER, "telnyx:10016")),
        (said(422, "10016"), Refused(Outcome.INVALID_NUMBER, "telnyx:10016")),
        (said(422, "10002", pointer="/to"), Refused(Outcome.INVALID_NUMBER, "telnyx:10002")),
        (said(422, "10016", pointer="/from"), PutOff("telnyx:10016", fault=True)),
        (said(422, "10015", pointer="/connection_id"), PutOff("telnyx:10015", fault=True)),
        (said(422, "10003", pointer="/webhook_url"), PutOff("telnyx:10003", fault=True)),
        (said(422, "10015"), Refused(Outcome.ERROR, "telnyx:10015")),
        (said(422, "90028", pointer="/timeout_secs"), Refused(Outcome.ERROR, "telnyx:90028")),
        (answer(404, b""), Refused(Outcome.ERROR, "http:404")),
        (answer(422, {"errors": "x"}), Refused(Outcome.ERROR, "http:422")),
        (said(403, "10010", "User channel limit exceeded D1"), PutOff("telnyx:D1", fault=False)),
        (said(403, "10010", "Connection disabled D10"), PutOff("telnyx:D10", fault=True)),
        (said(403, "10010", "Account blocked D19"), PutOff("telnyx:D19", fault=True)),
        *((said(403, "10010", f"No {d}"), Refused(o, f"telnyx:{d}")) for d, o in NUMBER_REASONS.items()),
        *((said(422, code), PutOff(f"telnyx:{code}", fault=True)) for code in sorted(ACCOUNT_FAULTS)),
        *((said(422, code), PutOff(f"telnyx:{code}", fault=False)) for code in sorted(PACE_LIMITS)),
    ],
)
def test_each_answer_to_a_new_call_has_its_meaning(given: Answer | Exception, result: object):
    http = FakeHttp(given)
    assert replace(telnyx(http).dial(DIAL), evidence={}) == result
    assert len(http.sent) == 1


def test_a_refusal_keeps_what_telnyx_said_in_brief():
    result = telnyx(FakeHttp(said(422, "10016", "x" * 999, "/to"))).dial(DIAL)
    evidence = {"http_status": "422", "code": "10016", "title": "Title", "detail": "x" * 200, "pointer": "/to"}
    assert result == Refused(Outcome.INVALID_NUMBER, "telnyx:10016", evidence)


# Looking up and hanging up


def logged(metadata: object) -> Answer:
    entry = {"name": "call.hangup", "call_leg_id": LEG, "event_timestamp": "2026-01-26T09:00:00Z", "metadata": metadata}
    return answer(200, {"data": [{"name": "call.answered", "call_leg_id": LEG}, entry]})


@pytest.mark.parametrize("nest", [lambda p: p, lambda p: {"payload": p}, lambda p: {"event": {"data": {"payload": p}}}])
def test_a_call_that_has_ended_is_looked_up_in_the_log_of_events(nest):
    http = FakeHttp(logged(nest({"hangup_cause": "user_busy", "sip_hangup_cause": "486"})))
    assert telnyx(http).lookup(LEG) == CallEvent(
        event_id=f"{LEG}:lookup:hangup",
        provider_call_id=LEG,
        status="user-busy",
        outcome=Outcome.BUSY,
        occurred_at=datetime(2026, 1, 26, 9, tzinfo=UTC),
        cause="telnyx:user_busy",
        evidence={"hangup_cause": "user_busy", "sip_hangup_cause": "486"},
    )
    assert http.sent == [("GET", url, GET_HEADERS, None) for url in (LOG_URL, BEGUN_URL)]


def test_a_call_without_a_hangup_lives_if_the_connection_lists_it():
    http = FakeHttp(answer(200, {"data": []}), answer(200, {"data": [CREATED]}))
    assert telnyx(http).lookup(LEG) == CallEvent(
        event_id=f"{LEG}:lookup:alive", provider_call_id=LEG, status="alive", progress=Progress.INITIATED
    )
    assert [url for _, url, _, _ in http.sent] == [LOG_URL, ACTIVE_URL, BEGUN_URL]


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
def test_the_log_of_the_beginning_tells_leg_numbers_and_session(nest, direction: str | None, leg: Leg):
    payload = {"direction": direction, "to": "+16505550199", "from": "+14155550100"}
    begun = {"name": "call.initiated", "call_leg_id": LEG, "call_session_id": "s1", "metadata": nest(payload)}
    other = {**begun, "call_leg_id": "other", "call_session_id": "s2"}
    http = FakeHttp(logged({"hangup_cause": "user_busy"}), answer(200, {"data": [other, begun]}))
    event = telnyx(http).lookup(LEG)
    assert event is not None
    assert (event.leg, event.session, event.outcome) == (leg, "s1", Outcome.BUSY)
    assert (event.to_number, event.from_number) == ("+16505550199", "+14155550100")


@pytest.mark.parametrize(
    "given",
    [
        NotSent("x"),
        AnswerLost("x"),
        answer(404),
        answer(200, b"<html>"),
        answer(200, []),
        answer(200, {"data": 1}),
        answer(200, {"data": [1, {"name": "call.hangup", "call_leg_id": "other"}]}),
        logged({"no": "cause"}),
        logged("text"),
    ],
)
def test_a_call_that_cannot_be_asked_after_is_none(given: Answer | Exception):
    http = FakeHttp(given, answer(404))
    assert asked_now(given, lambda: telnyx(http).lookup(LEG)) is None


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


def test_a_control_id_is_hung_up_at_once_and_a_refusal_is_false():
    http = FakeHttp(said(422, "90018"))
    assert not telnyx(http).hang_up(CONTROL)
    assert len(http.sent) == 1


def test_a_list_without_an_end_is_left_in_the_end():
    http = FakeHttp(answer(200, {"data": [], "meta": {"total_pages": 99}}))
    assert not telnyx(http).hang_up(LEG)
    assert len(http.sent) == 8


@pytest.mark.parametrize("call_id", ["", "../x", "a?b", "v3:", "v3:a/b", "é", "a\n", "a" * 65])
def test_what_is_no_call_id_never_gets_into_a_url(call_id: str):
    http = FakeHttp(answer(200, {"data": CREATED}))
    assert telnyx(http).lookup(call_id) is None
    assert not telnyx(http).hang_up(call_id)
    assert http.sent == []


@pytest.mark.parametrize(("version", "is_wrong"), [("1", True), ("2", False), (None, False)])
def test_an_application_with_version_1_webhooks_has_a_wrong_setting(version: str | None, is_wrong: bool):
    http = FakeHttp(answer(200, {"data": {"id": "7267", "webhook_api_version": version}}))
    wrong = telnyx(http).wrong_setting()
    assert (wrong is not None) == is_wrong
    assert wrong is None or "webhook_api_version is 1" in wrong[0]
