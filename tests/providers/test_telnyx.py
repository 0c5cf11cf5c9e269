"""Telnyx's events and TeXML callbacks, and what is read from them."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import strategies as st

from chalicelib.domain.events import CallEvent, Progress
from chalicelib.domain.outcome import Amd, Outcome
from chalicelib.providers import CallbackRequest
from chalicelib.providers.telnyx import Telnyx
from chalicelib.providers.telnyx_events import DETECTIONS, HANGUP_CAUSES, NUMBER_REASONS, refusal_in
from chalicelib.providers.telnyx_placing import ACCOUNT_FAULTS, LIMIT_ERRORS
from tests.providers.reading import FORM_TYPE, JSON_TYPE, VALUES, CallbackCase, CallbackTests, random_bodies

KEY = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
LEG = "428c31b6-7af4-4bcb-b7f5-5013ef9657c1"
CONTROL = "v3:MdI91X4lWFEs7IgbBEOT9M4AigoY08M0WWZFISt1Yw2axZ_IiE4pqg"
URL = "https://redial.example.com/callbacks/telnyx/t0k3n"


def telnyx() -> Telnyx:
    credentials = {"api_key": "KEY1", "connection_id": "7267", "public_key": KEY}
    return Telnyx(credentials, now=lambda: datetime(2026, 1, 26, tzinfo=UTC))


# Events


def parsed(kind: str, body: Mapping[str, Any] | None = None, **payload: object) -> CallEvent:
    ids = {"call_control_id": CONTROL, "call_leg_id": LEG, "call_session_id": LEG}
    event = {"event_type": kind, "id": "e1", "occurred_at": "2018-02-02T22:25:27Z", "payload": ids | payload}
    request = CallbackRequest("POST", URL, JSON_TYPE, json.dumps(body or {"data": event}).encode())
    (found,) = telnyx().parse(request)
    return found


def test_a_hangup_is_read_whole():
    sample = {
        "event_type": "call.hangup",
        "id": "0ccc7b54-4df3-4bca-a65a-3da1ecc777f0",
        "occurred_at": "2018-02-02T22:25:27.521992Z",
        "payload": {
            "call_control_id": CONTROL,
            "call_leg_id": LEG,
            "call_session_id": LEG,
            "connection_id": "7267",
            "from": "+35319605860",
            "to": "+13129457420",
            "hangup_cause": "call_rejected",
            "hangup_source": "caller",
            "sip_hangup_cause": "603",
            "start_time": "2018-02-02T22:20:27.521992Z",
            "state": "hangup",
        },
        "record_type": "event",
    }
    expected = CallEvent(
        event_id="0ccc7b54-4df3-4bca-a65a-3da1ecc777f0",
        provider_call_id=LEG,
        status="call-rejected",
        outcome=Outcome.REJECTED,
        occurred_at=datetime(2018, 2, 2, 22, 25, 27, 521992, tzinfo=UTC),
        duration_sec=None,
        cause="telnyx:call_rejected",
        to_number="+13129457420",
        from_number="+35319605860",
        session=LEG,
        evidence={
            "event_type": "call.hangup",
            "occurred_at": "2018-02-02T22:25:27.521992Z",
            "call_control_id": CONTROL,
            "call_session_id": LEG,
            "hangup_cause": "call_rejected",
            "hangup_source": "caller",
            "sip_hangup_cause": "603",
            "state": "hangup",
            "start_time": "2018-02-02T22:20:27.521992Z",
        },
    )
    assert parsed("", {"data": sample, "meta": {"attempt": 2}}) == expected
    assert parsed("", sample) == expected


@pytest.mark.parametrize(
    ("cause", "sip", "outcome", "told"),
    [
        *((cause, "486", outcome, f"telnyx:{cause}") for cause, outcome in HANGUP_CAUSES.items()),
        ("unspecified", "404", Outcome.INVALID_NUMBER, "sip:404"),
        ("unspecified", "503 Service Unavailable", Outcome.FAILED, "sip:503"),
        ("unspecified", "200", Outcome.COMPLETED, "telnyx:unspecified"),
        ("unspecified", "unspecified", Outcome.FAILED, "telnyx:unspecified"),
        ("a_new_word", "486", Outcome.BUSY, "sip:486"),
        ("", "", Outcome.FAILED, None),
    ],
)
def test_a_hangup_ends_the_call_by_its_cause_and_else_by_sip(cause: str, sip: str, outcome: Outcome, told: str | None):
    event = parsed("call.hangup", hangup_cause=cause, sip_hangup_cause=sip)
    assert (event.outcome, event.cause, event.fault, event.progress) == (outcome, told, None, None)
    assert event.status == (cause.replace("_", "-") or "hangup")


@pytest.mark.parametrize(
    ("cause", "sip", "reason"),
    [
        ("user_busy", "486 User Busy D5", "D5"),
        ("user_busy", "486 D56", "D56"),
        ("not_found", "404 Not Found D18", "D18"),
        ("not_found", "404 D19", "D19"),
        ("call_rejected", "403 User channel limit exceeded D1", "D1"),
        ("no_answer", "480 RG1", "RG1"),
        ("call_rejected", "403 D99", "D99"),
        ("unspecified", "403 P05", "P05"),
    ],
)
def test_telnyxs_own_reasons_are_faults_of_the_account(cause: str, sip: str, reason: str):
    event = parsed("call.hangup", hangup_cause=cause, sip_hangup_cause=sip)
    assert (event.outcome, event.cause, event.fault) == (None, f"telnyx:{reason}", f"telnyx:{reason}")


@pytest.mark.parametrize(("reason", "outcome"), NUMBER_REASONS.items())
def test_a_few_of_its_reasons_are_about_the_number(reason: str, outcome: Outcome):
    event = parsed("call.hangup", hangup_cause="call_rejected", sip_hangup_cause=f"403 Refused {reason}")
    assert (event.outcome, event.cause, event.fault) == (outcome, f"telnyx:{reason}", None)


def test_a_reason_counts_at_no_other_place_and_after_no_answer():
    headers = [{"name": "User-to-User", "value": "D5"}]
    busy = parsed("call.hangup", hangup_cause="user_busy", sip_headers=headers, client_state="D5")
    assert busy.outcome is Outcome.BUSY
    answered = parsed("call.hangup", hangup_cause="normal_clearing", sip_hangup_cause="200 D5")
    assert answered.outcome is Outcome.COMPLETED
    assert [refusal_in(text) for text in (None, "", "ABD5", "D5x", "D123")] == [None] * 5


@pytest.mark.parametrize(
    ("kind", "result", "amd"),
    [(kind, result, amd) for kind, results in DETECTIONS.items() for result, amd in results.items()],
)
def test_amd_of_each_kind_is_read_and_ends_nothing(kind: str, result: str, amd: Amd):
    event = parsed(kind, result=result)
    assert (event.amd, event.outcome, event.progress) == (amd, None, None)


def test_not_sure_counts_as_a_person_and_a_new_word_as_nothing():
    unsure = parsed("call.machine.detection.ended", result="not_sure").amd
    assert unsure is Amd.UNKNOWN
    assert not unsure.is_machine
    assert parsed("call.machine.detection.ended", result="parrot").amd is None


@pytest.mark.parametrize(
    ("missing", "call_id"),
    [
        ({}, LEG),
        ({"call_control_id": None}, LEG),
        ({"call_leg_id": None}, CONTROL),
        ({"call_leg_id": None, "call_control_id": ""}, LEG),
        ({"call_leg_id": "a b"}, CONTROL),
    ],
)
def test_a_call_is_named_by_its_leg_if_the_control_id_is_missing(missing: dict[str, Any], call_id: str):
    assert parsed("call.machine.detection.ended", result="machine", **missing).provider_call_id == call_id


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("call.dtmf.received", {"digit": "1"}),
        ("call.gather.ended", {"digits": "12#", "status": "valid"}),
        ("call.ai_gather.ended", {"status": "valid"}),
        ("call.conversation.ended", {"duration_sec": 31, "reason": "user_hangup"}),
        ("call.conversation_insights.generated", {"insight_group_id": "i"}),
        ("call_dtmf_received", {"digit": "1"}),  # version 1
    ],
)
def test_a_key_that_was_pressed_and_a_conversation_prove_an_answer(kind: str, payload: dict[str, object]):
    event = parsed(kind, **payload)
    assert (event.progress, event.outcome, event.amd) == (Progress.IN_PROGRESS, None, None)


@pytest.mark.parametrize("status", ["timeout", "call_hangup", "cancelled"])
def test_a_gathering_that_got_no_digit_proves_nothing(status: str):
    assert parsed("call.gather.ended", digits="", status=status).progress is None


def test_unknown_events_are_kept_and_end_nothing():
    event = parsed("call.playback.ended", status="completed")
    assert (event.status, event.progress, event.outcome, event.amd) == ("playback-ended", None, None, None)
    assert parsed("call.answered").progress is Progress.IN_PROGRESS


def test_an_event_without_an_id_has_a_stable_one():
    event = {"event_type": "call.hangup", "occurred_at": "2018-02-02T22:25:27Z", "payload": {"call_leg_id": LEG}}
    assert parsed("", {"data": event}).event_id == f"{LEG}:call.hangup:2018-02-02T22:25:27Z"


# TeXML


def texml(**fields: str) -> CallEvent:
    form = urlencode({"CallSid": CONTROL, **fields}).encode()
    (event,) = telnyx().parse(CallbackRequest("POST", URL, FORM_TYPE, form))
    assert telnyx().parse(CallbackRequest("POST", URL, {}, json.dumps({"CallSid": CONTROL} | fields).encode())) == [
        event
    ]
    return event


def test_a_texml_callback_is_read_as_a_form():
    event = texml(CallStatus="completed", CallDuration="2", SequenceNumber="0", Timestamp="2021-04-28 21:51:18.731479Z")
    assert event == CallEvent(
        event_id=f"{CONTROL}:0:completed",
        provider_call_id=CONTROL,
        status="completed",
        outcome=Outcome.COMPLETED,
        occurred_at=datetime(2021, 4, 28, 21, 51, 18, 731479, tzinfo=UTC),
        duration_sec=2,
        sequence=0,
        evidence={
            "CallStatus": "completed",
            "CallDuration": "2",
            "SequenceNumber": "0",
            "Timestamp": "2021-04-28 21:51:18.731479Z",
        },
    )


@pytest.mark.parametrize(
    ("fields", "outcome", "cause"),
    [
        ({"CallStatus": "failed"}, Outcome.FAILED, None),
        ({"CallStatus": "failed", "HangupCause": "call_rejected"}, Outcome.REJECTED, "telnyx:call_rejected"),
        ({"CallStatus": "failed", "HangupCause": "normal_clearing"}, Outcome.FAILED, None),
        ({"CallStatus": "busy", "HangupCause": "not_found"}, Outcome.BUSY, None),
        ({"CallStatus": "no-answer"}, Outcome.NO_ANSWER, None),
        ({"CallStatus": "canceled", "ErrorCode": "D5"}, Outcome.CANCELED, None),
        ({"CallStatus": "failed", "ErrorCode": "10016"}, Outcome.INVALID_NUMBER, "telnyx:10016"),
        ({"CallStatus": "failed", "ErrorMessage": "not in whitelisted countries D13"}, Outcome.ERROR, "telnyx:D13"),
        ({"CallStatus": "completed", "AnsweredBy": "machine_end_beep"}, Outcome.VOICEMAIL, None),
        ({"CallStatus": "completed", "AnsweredBy": "fax_detected"}, Outcome.VOICEMAIL, None),
        ({"CallStatus": "completed", "AnsweredBy": "human_business"}, Outcome.COMPLETED, None),
    ],
)
def test_texml_endings_have_their_outcomes(fields: dict[str, str], outcome: Outcome, cause: str | None):
    event = texml(**fields)
    assert (event.outcome, event.cause, event.fault) == (outcome, cause, None)


@pytest.mark.parametrize("code", ["D5", "D18", *sorted(ACCOUNT_FAULTS | LIMIT_ERRORS)])
def test_texml_names_the_accounts_faults_too(code: str):
    event = texml(CallStatus="busy", ErrorCode=code)
    assert (event.outcome, event.fault) == (None, f"telnyx:{code}")


@pytest.mark.parametrize(
    ("word", "amd"), [("human", Amd.HUMAN), ("machine", Amd.MACHINE), ("fax", Amd.FAX), ("silence", Amd.UNKNOWN)]
)
def test_texml_detection_comes_by_itself(word: str, amd: Amd):
    event = texml(AnsweredBy=word, MachineDetectionDuration="2500")
    assert (event.amd, event.outcome, event.event_id) == (amd, None, f"{CONTROL}:amd:{word}")


# Words that are not documented, and the webhooks of version 1


@pytest.mark.parametrize(
    ("cause", "sip", "outcome"),
    [
        ("busy", None, Outcome.BUSY),
        ("unallocated_number", None, Outcome.INVALID_NUMBER),
        ("UNALLOCATED-NUMBER", None, Outcome.INVALID_NUMBER),
        ("User Busy", None, Outcome.BUSY),
        ("normal", None, Outcome.COMPLETED),
        ("normal", "486", Outcome.BUSY),
        ("user_hangup", None, Outcome.COMPLETED),
        ("user_hangup", "480", Outcome.NO_ANSWER),
        ("timeout", "200", Outcome.COMPLETED),
        ("call_rejected", "200 OK", Outcome.COMPLETED),
        ("originator_cancel", "200", Outcome.CANCELED),
    ],
)
def test_undocumented_words_are_weighed_with_the_sip_code(cause: str, sip: str | None, outcome: Outcome):
    assert parsed("call.hangup", hangup_cause=cause, sip_hangup_cause=sip).outcome is outcome


def test_a_webhook_of_version_1_is_read_whole():
    payload = {"call_leg_id": LEG, "hangup_cause": "user_busy", "sip_hangup_cause": "486"}
    at = {"occurred_at": "2026-01-26T09:59:00Z"}
    body = {"record_type": "event", "id": "0ccc7b54", "created_at": "2026-01-26T09:59:01Z"}
    event = parsed("", {**body, "event_type": "call_hangup", "payload": payload | at})
    assert (event.event_id, event.provider_call_id, event.outcome) == ("0ccc7b54", LEG, Outcome.BUSY)
    assert event.occurred_at == datetime(2026, 1, 26, 9, 59, tzinfo=UTC)
    initiated = parsed("", {**body, "event_type": "call_initiated", "payload": {"call_leg_id": LEG}})
    assert (initiated.progress, initiated.occurred_at) == (
        Progress.INITIATED,
        datetime(2026, 1, 26, 9, 59, 1, tzinfo=UTC),
    )
    assert parsed("", {**body, "event_type": "call_answered", "payload": payload}).progress is Progress.IN_PROGRESS
    machine = {"call_leg_id": LEG, "result": "machine"}
    detected = parsed("", {**body, "event_type": "call_machine_detection_ended", "payload": machine})
    assert detected.amd is Amd.MACHINE


@pytest.mark.parametrize("status", ["busy", "no-answer", "failed"])
def test_a_person_detected_by_texml_counts_more_than_the_end(status: str):
    for word in ("human", "human_residence", "human_business"):
        assert texml(CallStatus=status, AnsweredBy=word).outcome is Outcome.COMPLETED
    assert texml(CallStatus=status, AnsweredBy="fax_detected").outcome is Outcome.VOICEMAIL


@pytest.mark.parametrize("heard", [{"Digits": "1"}, {"SpeechResult": "yes"}])
def test_what_a_gather_of_texml_posts_proves_an_answer(heard: dict[str, str]):
    assert texml(**heard).progress is Progress.IN_PROGRESS
    assert texml(CallStatus="no-answer", **heard).outcome is Outcome.COMPLETED
    assert texml(**dict.fromkeys(heard, "")).progress is None


@pytest.mark.parametrize(("cause", "outcome"), [("17", Outcome.BUSY), ("1", Outcome.INVALID_NUMBER)])
def test_q850_codes_are_causes_too(cause: str, outcome: Outcome):
    assert parsed("call.hangup", hangup_cause=cause).outcome is outcome
    assert texml(CallStatus="failed", HangupCause=cause).outcome is outcome


BUSY = {"CallSid": CONTROL, "CallStatus": "busy"}
PAYLOADS = st.dictionaries(st.sampled_from(["hangup_cause", "sip_hangup_cause", "result", "to", "call_leg_id"]), VALUES)
KINDS = st.sampled_from(["call.hangup", *DETECTIONS]) | st.text(max_size=30)
EVENTS = st.fixed_dictionaries({"event_type": KINDS, "id": VALUES, "payload": PAYLOADS | VALUES})


class TestTelnyx(CallbackTests):
    case = CallbackCase(
        provider=telnyx,
        malformed=[
            (CallbackRequest("POST", URL, headers, body), "")
            for headers in (JSON_TYPE, FORM_TYPE, {})
            for body in [
                b"",
                b"{}",
                b"[]",
                b"\xff",
                b"[" * 100_000,
                b'{"data": []}',
                b'{"data": {"payload": 1}}',
                b'{"data": {"payload": {}}}',
                b'{"data": {"payload": {"call_leg_id": [1]}}}',
                b"CallStatus=busy",
                b'{"data": {"event_type": "call.hangup", "payload": {"hangup_cause": "user_busy"}}}',
            ]
        ],
        alike=[
            CallbackRequest("POST", URL, FORM_TYPE, urlencode(BUSY).encode()),
            CallbackRequest("POST", URL, {}, json.dumps(BUSY).encode()),
        ],
        bodies=random_bodies({"CallSid": CONTROL}, ["CallStatus", "AnsweredBy", "HangupCause", "ErrorCode", "Digits"])
        | EVENTS.map(lambda event: json.dumps({"data": event}).encode()),
    )
