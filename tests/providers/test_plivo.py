"""Plivo's callbacks: the progress of a call, its outcome, its cause, and AMD."""

import json
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest

from chalicelib import providers
from chalicelib.domain.events import CallEvent, Leg, Progress
from chalicelib.domain.outcome import Amd, Outcome
from chalicelib.providers.plivo_causes import ACCOUNT_FAULTS, CAUSE_NAMES, HANGUP_CAUSES, UNANSWERED
from chalicelib.providers.plivo_events import ENDINGS, EVIDENCE
from tests.providers.reading import JSON_TYPE, CallbackCase, CallbackTests, random_bodies, request

CALL = "64d3290a-87a6-46b4-a6e2-20f5f4e07a02"

HANGUP = {
    "ALegRequestUUID": CALL,
    "ALegUUID": CALL,
    "AnswerTime": "2024-09-26 14:05:18",
    "BillDuration": "120",
    "BillRate": "0.005",
    "CallStatus": "completed",
    "CallUUID": CALL,
    "Direction": "outbound",
    "Duration": "66",
    "EndTime": "2024-09-26 14:06:23",
    "Event": "Hangup",
    "From": "917658035735",
    "HangupCause": "NORMAL_CLEARING",
    "HangupCauseCode": "4000",
    "HangupCauseName": "Normal Hangup",
    "HangupSource": "Callee",
    "ParentAuthID": "MAZJNLNJIYNWMZYZHIMM",
    "RequestUUID": CALL,
    "STIRAttestation": "Not Applicable",
    "STIRVerification": "Not Applicable",
    "SessionStart": "2024-09-26 08:35:10.910772",
    "StartTime": "2024-09-26 14:05:08",
    "To": "917734555397",
    "TotalCost": "0.01000",
}


def plivo() -> providers.Provider:
    return providers.load(
        "plivo", {"auth_id": "MA1", "auth_token": "12345"}, now=lambda: datetime(2026, 1, 1, tzinfo=UTC)
    )


def parsed(**fields: str) -> CallEvent:
    (event,) = plivo().parse(request(urlencode({"RequestUUID": CALL, "CallUUID": CALL, **fields}).encode()))
    return event


def hung_up(**fields: str) -> CallEvent:
    return parsed(**{"Event": "Hangup", "CallStatus": "completed", "AnswerTime": "", **fields})


# Outcomes


def test_a_real_hangup_is_read_whole_without_its_local_times():
    (event,) = plivo().parse(request(urlencode(HANGUP).encode()))
    assert event == CallEvent(
        event_id=f"{CALL}:hangup:completed",
        provider_call_id=CALL,
        status="completed",
        outcome=Outcome.COMPLETED,
        occurred_at=datetime(2024, 9, 26, 8, 36, 25, 910772, tzinfo=UTC),
        duration_sec=66,
        cause="plivo:4000",
        to_number="+917734555397",
        from_number="+917658035735",
        leg=Leg.OUTGOING,
        evidence={name: HANGUP[name] for name in EVIDENCE if name in HANGUP},
    )


@pytest.mark.parametrize("status", [*ENDINGS, "a-new-word"])
@pytest.mark.parametrize(("code", "outcome"), HANGUP_CAUSES.items())
def test_the_cause_of_the_hangup_goes_before_the_status(code: str, outcome: Outcome, status: str):
    event = hung_up(CallStatus=status, HangupCauseCode=code)
    assert (event.outcome, event.cause, event.fault) == (outcome, f"plivo:{code}", None)
    assert (event.status, event.progress) == (status, None)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("3000", Outcome.NO_ANSWER),
        ("3010", Outcome.BUSY),
        ("3020", Outcome.REJECTED),
        ("3050", Outcome.INVALID_NUMBER),
        ("6010", Outcome.NO_ANSWER),
        ("7014", Outcome.FAILED),
        ("7034", Outcome.FAILED),
        ("8011", Outcome.FAILED),
        ("9100", Outcome.VOICEMAIL),
    ],
)
def test_some_causes_are_these(code: str, outcome: Outcome):
    assert hung_up(HangupCauseCode=code).outcome is outcome


@pytest.mark.parametrize("code", sorted(ACCOUNT_FAULTS))
def test_a_fault_of_the_account_is_not_an_outcome(code: str):
    event = hung_up(CallStatus="cancel", HangupCauseCode=code)
    assert (event.status, event.outcome, event.progress) == ("cancel", None, None)
    assert (event.cause, event.fault) == (f"plivo:{code}", f"plivo:{code}")


@pytest.mark.parametrize("code", ["", "x", "3999", "-1", "9" * 30])
@pytest.mark.parametrize(("status", "outcome"), ENDINGS.items())
def test_without_a_known_cause_the_status_counts(status: str, outcome: Outcome, code: str):
    event = hung_up(CallStatus=status, HangupCauseCode=code, AnswerTime="2024-09-26 14:05:18")
    assert (event.outcome, event.cause) == (outcome, "plivo:3999" if code == "3999" else None)


@pytest.mark.parametrize(
    ("code", "status", "answered", "outcome"),
    [
        ("0", "completed", "2024-09-26 14:05:18", Outcome.COMPLETED),
        ("0", "completed", "", Outcome.FAILED),
        ("0", "busy", "", Outcome.BUSY),
        ("0", "a-new-word", "", Outcome.FAILED),
        ("6020", "completed", "2024-09-26 14:05:18", Outcome.COMPLETED),
        ("6020", "completed", "", Outcome.FAILED),
        ("", "completed", "", Outcome.FAILED),
    ],
)
def test_completed_counts_only_for_a_call_that_was_answered(code: str, status: str, answered: str, outcome: Outcome):
    assert hung_up(CallStatus=status, HangupCauseCode=code, AnswerTime=answered).outcome is outcome


def test_an_end_without_event_or_times_counts():
    assert parsed(CallStatus="completed").outcome is Outcome.COMPLETED
    assert parsed(CallStatus="busy").outcome is Outcome.BUSY


# Events


@pytest.mark.parametrize(
    ("event", "status", "progress"),
    [
        ("Ring", "ringing", Progress.RINGING),
        ("StartApp", "in-progress", Progress.IN_PROGRESS),
        ("", "ringing", Progress.RINGING),
        ("Redirect", "completed", None),
    ],
)
def test_a_call_under_way_has_progress_and_no_outcome(event: str, status: str, progress: Progress | None):
    told = parsed(Event=event, CallStatus=status, SessionStart="2020-04-08 11:34:33.238707")
    assert told == CallEvent(
        event_id=f"{CALL}:{event.lower()}:{status}",
        provider_call_id=CALL,
        status=status,
        progress=progress,
        occurred_at=datetime(2020, 4, 8, 11, 34, 33, 238707, tzinfo=UTC),
        evidence={name: value for name, value in told.evidence.items() if value},
    )


@pytest.mark.parametrize(("word", "amd"), [("true", Amd.MACHINE), ("True", Amd.MACHINE), ("false", Amd.HUMAN)])
def test_detection_is_an_event_of_its_own_while_the_call_goes_on(word: str, amd: Amd):
    assert parsed(Event="MachineDetection", CallStatus="in-progress", Machine=word, IfMachine="continue") == CallEvent(
        event_id=f"{CALL}:machinedetection:in-progress",
        provider_call_id=CALL,
        status="in-progress",
        amd=amd,
        evidence={"Event": "MachineDetection", "CallStatus": "in-progress", "Machine": word},
    )


NAMED = [
    ("No Answer", Outcome.NO_ANSWER),
    ("NO_ANSWER", Outcome.NO_ANSWER),
    ("no-answer", Outcome.NO_ANSWER),
    ("NO_USER_RESPONSE", Outcome.NO_ANSWER),
    ("Busy Line", Outcome.BUSY),
    ("USER_BUSY", Outcome.BUSY),
    ("Busy Everywhere", Outcome.BUSY),
    ("CALL_REJECTED", Outcome.REJECTED),
    ("Declined", Outcome.REJECTED),
    ("Unallocated Number", Outcome.INVALID_NUMBER),
    ("UNALLOCATED_NUMBER", Outcome.INVALID_NUMBER),
    ("Invalid Destination Address", Outcome.INVALID_NUMBER),
    ("Spam Block", Outcome.DND),
    ("Destination Number Barred", Outcome.DND),
    ("Ring Timeout Reached", Outcome.NO_ANSWER),
    ("ORIGINATOR_CANCEL", Outcome.CANCELED),
    ("NETWORK_OUT_OF_ORDER", Outcome.FAILED),
    ("Machine Detected", Outcome.VOICEMAIL),
]


@pytest.mark.parametrize("key", ["HangupCause", "HangupCauseName"])
@pytest.mark.parametrize(("name", "outcome"), NAMED)
def test_a_hangup_that_names_its_cause_without_a_code_is_read_by_the_name(key: str, name: str, outcome: Outcome):
    for status in ("completed", "failed", ""):
        assert hung_up(**{key: name}, CallStatus=status).outcome is outcome
    assert hung_up(**{key: name}, HangupCauseCode="3010").outcome is Outcome.BUSY  # the code counts more


def test_every_code_has_a_name_and_every_name_a_code_that_is_known():
    assert set(CAUSE_NAMES.values()) == {*HANGUP_CAUSES, *ACCOUNT_FAULTS, *UNANSWERED} - UNNAMED


#: The ranges of the tables have a few numbers that the page does not list
UNNAMED = {str(code) for code in range(7025, 7032)}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("Cancelled (Out Of Credits)", "1010"),
        ("Canceled (Out Of Credits)", "1010"),
        ("CANCELED (Simultaneous dial limit reached)", "1020"),
        ("DNO Caller ID", "3140"),
        ("Concurrency Limit Breached", "5030"),
    ],
)
def test_a_fault_of_the_account_is_known_by_its_name(name: str, code: str):
    told = hung_up(HangupCauseName=name, CallStatus="failed")
    assert (told.outcome, told.fault, told.cause) == (None, f"plivo:{code}", f"plivo:{code}")


@pytest.mark.parametrize(
    ("code", "name", "outcome"),
    [
        ("17", "USER_BUSY", Outcome.BUSY),
        ("486", "Busy Line", Outcome.BUSY),
        ("19", "NO_ANSWER", Outcome.NO_ANSWER),
        ("16", "NORMAL_CLEARING", Outcome.FAILED),  # AnswerTime is empty
        ("200", "Normal Hangup", Outcome.FAILED),
        ("999", "As Yet Unknown", Outcome.FAILED),
        ("n/a", "Declined", Outcome.REJECTED),
    ],
)
def test_without_a_code_of_plivo_the_name_counts(code: str, name: str, outcome: Outcome):
    assert hung_up(HangupCauseCode=code, HangupCauseName=name).outcome is outcome


@pytest.mark.parametrize("name", ["NORMAL_CLEARING", "Normal Hangup", "normal clearing"])
def test_a_normal_hangup_without_a_code_says_no_more_than_the_status(name: str):
    assert hung_up(HangupCauseName=name, CallStatus="busy").outcome is Outcome.BUSY
    assert hung_up(HangupCauseName=name, CallStatus="completed").outcome is Outcome.FAILED  # AnswerTime is empty
    answered = {"AnswerTime": "2026-01-26 15:30:02", "Duration": "3"}
    assert hung_up(HangupCauseName=name, CallStatus="completed", **answered).outcome is Outcome.COMPLETED


@pytest.mark.parametrize("code", [code for code in HANGUP_CAUSES if code != "9100"])
def test_an_answer_time_with_a_duration_counts_more_than_any_cause(code: str):
    answered = {"AnswerTime": "2026-01-26 15:30:02", "HangupCauseCode": code}
    for lasted in ({"Duration": "3"}, {"Duration": "0", "BillDuration": "60"}):
        assert hung_up(**answered, **lasted).outcome is Outcome.COMPLETED
    billed = {"Event": "Hangup", "HangupCauseCode": code, "BillDuration": "60"}
    assert parsed(**billed).outcome is Outcome.COMPLETED
    assert parsed(**billed, AnswerTime="").outcome is HANGUP_CAUSES[code]
    assert hung_up(**answered, Duration="0", BillDuration="0").outcome is HANGUP_CAUSES[code]
    assert hung_up(HangupCauseCode=code, Duration="9").outcome is HANGUP_CAUSES[code]  # it rang


def test_an_answering_machine_at_the_end_is_a_voicemail_with_any_cause():
    answered = hung_up(HangupCauseCode="4000", Machine="true")
    assert (answered.outcome, answered.amd) == (Outcome.VOICEMAIL, Amd.MACHINE)
    assert hung_up(HangupCauseCode="3010", Machine="true").outcome is Outcome.VOICEMAIL
    assert hung_up(HangupCauseCode="3010", Machine="false").outcome is Outcome.BUSY
    assert hung_up(HangupCauseCode="4000", Machine="perhaps").outcome is Outcome.COMPLETED


def test_an_unknown_word_is_kept_and_decides_nothing():
    for event in ("Hold", "Hangup", ""):
        told = parsed(Event=event, CallStatus="On_Hold")
        assert (told.status, told.progress, told.outcome, told.fault) == ("on-hold", None, None, None)


@pytest.mark.parametrize(
    ("fields", "call_id"),
    [
        ({"RequestUUID": "r", "CallUUID": "c"}, "r"),
        ({"RequestUUID": "", "CallUUID": "c"}, "c"),
        ({"RequestUUID": "", "CallUUID": "b-leg", "ALegRequestUUID": "r"}, "b-leg"),
    ],
)
def test_a_call_is_named_as_the_answer_to_our_request_named_it(fields: dict[str, str], call_id: str):
    assert parsed(**fields).provider_call_id == call_id


@pytest.mark.parametrize(
    ("session", "start", "end", "at"),
    [
        ("2026-01-26 10:00:00", "2026-01-26 15:30:00", "2026-01-26 15:30:30", "2026-01-26T10:00:30Z"),
        ("2026-01-26 10:00:00", "2026-01-26 02:00:00", "2026-01-26 02:00:30", "2026-01-26T10:00:30Z"),
        ("2026-01-26 10:00:00", "", "2026-01-26 15:30:30", "2026-01-26T10:00:00Z"),
        ("2026-01-26 10:00:00", "2026-01-26 15:30:00", "2026-01-26 15:29:00", "2026-01-26T10:00:00Z"),
        ("2026-01-26 10:00:00", "2026-01-01 15:30:00", "2026-01-26 15:30:00", "2026-01-26T10:00:00Z"),
        ("9999-12-31 23:59:59", "2026-01-26 15:30:00", "2026-01-26 15:30:30", "9999-12-31T23:59:59Z"),
        ("", "2026-01-26 15:30:00", "2026-01-26 15:30:30", None),
    ],
)
def test_a_time_in_the_consoles_zone_is_never_taken_for_utc(session: str, start: str, end: str, at: str | None):
    told = hung_up(SessionStart=session, StartTime=start, EndTime=end)
    assert told.occurred_at == (datetime.fromisoformat(at) if at else None)


def test_a_word_that_is_not_a_number_is_left_out():
    event = parsed(From="91765803573590012", To="sip:someone@example.com", Duration="-1")
    assert (event.from_number, event.to_number, event.duration_sec) == (None, None, None)


def test_evidence_is_limited():
    event = parsed(HangupCauseName="x" * 9999, **{f"Field{n}": "y" for n in range(500)})
    assert event.evidence == {"HangupCauseName": "x" * 200}


@pytest.mark.parametrize(
    ("code", "outcome", "cause"),
    [
        ("17", Outcome.BUSY, "plivo:17"),
        ("486", Outcome.BUSY, "plivo:486"),
        ("1", Outcome.INVALID_NUMBER, "plivo:1"),
        ("16", Outcome.FAILED, "plivo:16"),  # AnswerTime is empty
    ],
)
def test_a_code_of_q850_or_sip_without_a_name_is_read(code: str, outcome: Outcome, cause: str):
    told = hung_up(HangupCauseCode=code, CallStatus="failed")
    assert (told.outcome, told.cause) == (outcome, cause)


BUSY = {"RequestUUID": CALL, "Event": "Hangup", "CallStatus": "completed", "HangupCauseCode": "3010"}
TYPED = {**BUSY, "HangupCauseCode": 3010, "Tags": ["a"], "Machine": None}


class TestPlivo(CallbackTests):
    case = CallbackCase(
        provider=plivo,
        malformed=[
            (request(b"CallStatus=busy"), "name no call"),
            (request(b"CallUUID=+&CallStatus=busy"), "name no call"),
            (request(b"RequestUUID=" + b"1" * 129), "name no call"),
            (request(b"CallUUID=%ff"), "the body is no form"),
            (request(b"[]", headers=JSON_TYPE), "the body is no JSON object"),
            (request(b'{"CallUUID": ["1"]}', headers=JSON_TYPE), "name no call"),
        ],
        alike=[
            request(urlencode(BUSY).encode()),
            request(urlencode(BUSY).encode(), headers={}),
            request(url=f"https://a.example/x?{urlencode(BUSY)}", method="GET"),
            request(json.dumps(TYPED).encode(), headers=JSON_TYPE),
        ],
        bodies=random_bodies(
            {"CallUUID": "1"},
            ["CallStatus", "Duration", "SessionStart", "StartTime", "EndTime", "HangupCauseCode", "Event"],
        ),
    )
