"""Twilio's callbacks: the progress of a call, its outcome, its cause, and AMD."""

import json
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest

from chalicelib import providers
from chalicelib.domain.events import CallEvent, Leg, Progress
from chalicelib.domain.outcome import Amd, Outcome
from chalicelib.providers.cxml import ANSWERED_BY
from chalicelib.providers.sip import SIP_OUTCOMES, outcome_of_sip
from chalicelib.providers.twilio import ACCOUNT_FAULTS, LIMIT_ERRORS, NUMBER_ERRORS
from tests.providers.cases.twilio import BUSY_BODY
from tests.providers.reading import JSON_TYPE, CallbackCase, CallbackTests, random_bodies, request

ACCOUNT = "AC37682153267845716245762454a"
CALL = "CA8367245817625617832576245724"


def twilio() -> providers.Provider:
    credentials = {"account_sid": ACCOUNT, "auth_token": "12345"}
    return providers.load("twilio", credentials, now=lambda: datetime(2026, 1, 1, tzinfo=UTC))


def parsed(**fields: str) -> CallEvent:
    (event,) = twilio().parse(request(urlencode({"CallSid": CALL, **fields}).encode()))
    return event


# Outcomes


def test_a_real_busy_callback_is_read_whole():
    assert twilio().parse(request(BUSY_BODY)) == [
        CallEvent(
            event_id=f"{CALL}:2:busy",
            provider_call_id=CALL,
            status="busy",
            outcome=Outcome.BUSY,
            occurred_at=datetime(2025, 10, 8, 13, 54, 12, tzinfo=UTC),
            duration_sec=0,
            sequence=2,
            cause="sip:487",
            to_number="+441111111111",
            from_number="+11111111111",
            leg=Leg.OUTGOING,
            evidence={
                "CallStatus": "busy",
                "CallDuration": "0",
                "SequenceNumber": "2",
                "Timestamp": "Wed, 08 Oct 2025 13:54:12 +0000",
                "CallbackSource": "call-progress-events",
                "SipResponseCode": "487",
            },
        )
    ]


@pytest.mark.parametrize("status", list(Progress))
def test_a_call_under_way_has_progress_and_no_outcome(status: Progress):
    assert parsed(CallStatus=status.value, SequenceNumber="0", SipResponseCode="404") == CallEvent(
        event_id=f"{CALL}:0:{status}",
        provider_call_id=CALL,
        status=status.value,
        progress=status,
        sequence=0,
        evidence={"CallStatus": status.value, "SequenceNumber": "0", "SipResponseCode": "404"},
    )


@pytest.mark.parametrize(
    ("status", "answered_by", "sip", "outcome", "cause"),
    [
        ("completed", "", "200", Outcome.COMPLETED, None),
        ("completed", "human", "", Outcome.COMPLETED, None),
        ("completed", "unknown", "", Outcome.COMPLETED, None),
        ("completed", "a_new_word", "", Outcome.COMPLETED, None),
        ("completed", "machine_start", "200", Outcome.VOICEMAIL, None),
        ("completed", "machine_end_beep", "", Outcome.VOICEMAIL, None),
        ("completed", "machine_end_silence", "", Outcome.VOICEMAIL, None),
        ("completed", "machine_end_other", "", Outcome.VOICEMAIL, None),
        ("completed", "fax", "", Outcome.VOICEMAIL, None),
        ("busy", "", "486", Outcome.BUSY, "sip:486"),
        ("busy", "", "600", Outcome.BUSY, "sip:600"),
        ("busy", "", "487", Outcome.BUSY, "sip:487"),
        ("busy", "", "603", Outcome.BUSY, "sip:603"),
        ("no-answer", "", "487", Outcome.NO_ANSWER, "sip:487"),
        ("no-answer", "", "480", Outcome.NO_ANSWER, "sip:480"),
        ("no-answer", "", "404", Outcome.NO_ANSWER, "sip:404"),
        ("no-answer", "", "", Outcome.NO_ANSWER, None),
        ("canceled", "", "487", Outcome.CANCELED, "sip:487"),
        ("failed", "", "", Outcome.FAILED, None),
        ("failed", "", "200", Outcome.FAILED, None),
        ("failed", "", "garbage", Outcome.FAILED, None),
        ("failed", "", "99999999999999999999", Outcome.FAILED, None),
        ("failed", "", "500", Outcome.FAILED, "sip:500"),
        ("failed", "", "503", Outcome.FAILED, "sip:503"),
        ("failed", "", "401", Outcome.FAILED, "sip:401"),
        *(("failed", "", str(sip), outcome, f"sip:{sip}") for sip, outcome in SIP_OUTCOMES.items()),
    ],
)
def test_an_end_is_read_from_status_then_amd_then_sip(status, answered_by, sip, outcome, cause):
    event = parsed(CallStatus=status, AnsweredBy=answered_by, SipResponseCode=sip)
    assert (event.status, event.outcome, event.cause, event.fault) == (status, outcome, cause, None)
    assert event.progress is None


def test_sip_codes_fall_back_in_these_groups():
    assert {code: outcome_of_sip(code) for code in (None, 100, 200, 300, 404, 420, 486, 503, 606, 700)} == {
        None: None,
        100: None,
        200: None,
        300: Outcome.FAILED,
        404: Outcome.INVALID_NUMBER,
        420: Outcome.FAILED,
        486: Outcome.BUSY,
        503: Outcome.FAILED,
        606: Outcome.FAILED,
        700: None,
    }


@pytest.mark.parametrize(("code", "outcome"), NUMBER_ERRORS.items())
def test_twilios_own_error_code_goes_before_status_and_sip(code: str, outcome: Outcome):
    event = parsed(CallStatus="failed", ErrorCode=code, SipResponseCode="486")
    assert (event.outcome, event.cause, event.fault) == (outcome, f"twilio:{code}", None)


@pytest.mark.parametrize("code", sorted(ACCOUNT_FAULTS | LIMIT_ERRORS))
def test_a_fault_of_the_account_is_not_an_outcome(code: str):
    event = parsed(CallStatus="failed", ErrorCode=code, SipResponseCode="403")
    assert (event.status, event.outcome, event.cause) == ("failed", None, f"twilio:{code}")
    assert event.fault == f"twilio:{code}"


@pytest.mark.parametrize("code", ["13224", "21211", "10004", "11200"])
def test_an_error_code_never_unmakes_an_answer_or_our_own_cancel(code: str):
    answered = parsed(CallStatus="completed", ErrorCode=code)
    assert (answered.outcome, answered.cause, answered.fault) == (Outcome.COMPLETED, f"twilio:{code}", None)
    assert parsed(CallStatus="canceled", ErrorCode=code).outcome is Outcome.CANCELED


@pytest.mark.parametrize("code", ["", "0", "x", "99999"])
def test_an_unknown_error_code_leaves_the_outcome_to_status_and_sip(code: str):
    event = parsed(CallStatus="failed", ErrorCode=code, SipResponseCode="404")
    assert event.outcome is Outcome.INVALID_NUMBER
    assert event.cause == ("twilio:99999" if code == "99999" else "sip:404")


# Events


@pytest.mark.parametrize(("word", "amd"), ANSWERED_BY.items())
def test_detection_that_comes_alone_is_an_event_of_its_own(word: str, amd: Amd):
    assert parsed(AnsweredBy=word, MachineDetectionDuration="2500", AccountSid=ACCOUNT) == CallEvent(
        event_id=f"{CALL}:amd:{word}",
        provider_call_id=CALL,
        amd=amd,
        evidence={"AnsweredBy": word, "MachineDetectionDuration": "2500"},
    )


def test_the_length_of_a_call_is_in_seconds_not_minutes():
    event = parsed(CallStatus="completed", Duration="1", CallDuration="49", AnsweredBy="human")
    assert (event.duration_sec, event.amd) == (49, Amd.HUMAN)


@pytest.mark.parametrize("text", ["", "-1", "4.5", "1e3", "abc", "²", "９", "9" * 5000])
def test_a_word_that_is_not_a_number_is_left_out(text: str):
    event = parsed(CallStatus="completed", CallDuration=text, SequenceNumber=text)
    assert (event.duration_sec, event.sequence) == (None, None)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("Sun, 25 Mar 2018 09:53:19 +0000", datetime(2018, 3, 25, 9, 53, 19, tzinfo=UTC)),
        ("Sun, 25 Mar 2018 09:53:19 -0700", datetime(2018, 3, 25, 16, 53, 19, tzinfo=UTC)),
        ("2021-04-28 21:51:18.731479Z", datetime(2021, 4, 28, 21, 51, 18, 731479, tzinfo=UTC)),
        ("2021-04-28T21:51:18", datetime(2021, 4, 28, 21, 51, 18, tzinfo=UTC)),
        ("", None),
        ("yesterday", None),
        ("Sun, 99 Mar 2018 09:53:19 +0000", None),
        ("0001-01-01T00:00+14:00", None),
        ("1" * 5000, None),
    ],
)
def test_a_time_is_read_in_either_format_or_left_out(text: str, at: datetime | None):
    assert parsed(CallStatus="ringing", Timestamp=text).occurred_at == at


def test_an_unknown_status_is_kept_and_decides_nothing():
    assert parsed(CallStatus="On_Hold", SequenceNumber="1") == CallEvent(
        event_id=f"{CALL}:1:on-hold",
        provider_call_id=CALL,
        status="on-hold",
        sequence=1,
        evidence={"CallStatus": "On_Hold", "SequenceNumber": "1"},
    )


def test_text_that_no_database_takes_is_made_storable():
    body = b'{"CallSid": "CA1", "CallStatus": "\\ud800"}'
    (event,) = twilio().parse(request(body, headers=JSON_TYPE))
    assert (event.status, event.evidence) == ("?", {"CallStatus": "?"})


def test_evidence_is_limited():
    event = parsed(CallStatus="failed", ErrorMessage="x" * 9999, **{f"Field{n}": "y" for n in range(500)})
    assert event.evidence == {"CallStatus": "failed", "ErrorMessage": "x" * 200}


COMPLETED = {"CallSid": CALL, "CallStatus": "completed", "CallDuration": "94", "SequenceNumber": "4"}
TYPED = {**COMPLETED, "CallDuration": 94, "SequenceNumber": 4, "ToZip": None, "Tags": ["a"], "Test": True}


class TestTwilio(CallbackTests):
    case = CallbackCase(
        provider=twilio,
        malformed=[
            (request(b"CallStatus=busy"), "CallSid is ''"),
            (request(b"CallSid=+&CallStatus=busy"), "CallSid is ' '"),
            (request(b"CallSid=CA1&AccountSid=AC2"), f"AccountSid is 'AC2'; expected '{ACCOUNT}'"),
            (request(b"CallSid=%ff"), "the body is no form"),
            (request(b"CallSid=CA1&" + b"a=1&" * 2000), "the body is no form"),
            (request(b"CallSid=CA1&a=" + b"1" * 200_000), "the body is no form"),
            (request(url="https://a.example/x?CallSid=%ff", method="GET"), "the query is no form"),
            (request(b"[]", headers=JSON_TYPE), "the body is no JSON object"),
            (request(b"\xff", headers=JSON_TYPE), "the body is no JSON object"),
            (request(b"[" * 100_000, headers=JSON_TYPE), "the body is no JSON object"),
            (request(b'{"CallSid": ["CA1"]}', headers=JSON_TYPE), "CallSid is ''"),
        ],
        alike=[
            request(urlencode(COMPLETED).encode()),
            request(url=f"https://a.example/x?{urlencode(COMPLETED)}#rc=2", method="GET"),
            request(json.dumps(TYPED).encode(), headers=JSON_TYPE),
        ],
        bodies=random_bodies(
            {"CallSid": "CA1"},
            ["CallStatus", "CallDuration", "Timestamp", "ErrorCode", "AnsweredBy", "SequenceNumber"],
        ),
    )
