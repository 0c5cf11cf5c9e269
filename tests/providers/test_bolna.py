"""The executions in Bolna's callbacks, and the events that are read from them."""

import json
from datetime import UTC, datetime

import pytest

from chalicelib.domain.events import CallEvent, Progress
from chalicelib.domain.outcome import Amd, Outcome
from chalicelib.providers import CallbackRequest, SignatureError
from chalicelib.providers.bolna import ENDINGS, HANGUP_REASONS, PICKED_UP, PROGRESS, UNREACHED, Bolna
from tests.providers.cases import NOW
from tests.providers.reading import CallbackCase, CallbackTests, random_bodies

ID = "123e4567-e89b-12d3-a456-426614174000"
TOKEN = "call_01.1.0123456789abcdef0123456789abcdef"


def bolna(**credentials: str) -> Bolna:
    return Bolna({"api_key": "bn-key", **credentials}, now=lambda: NOW)


def request(body: object, source_ip: str | None = None, content_type: str = "application/json") -> CallbackRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    url = "https://redial.example.com/callbacks/bolna"
    return CallbackRequest("POST", url, {"Content-Type": content_type}, raw, source_ip)


def parsed(**fields: object) -> CallEvent:
    (event,) = bolna().parse(request({"id": ID, **fields}))
    return event


def ended(status: str, seconds: object = None, reason: str | None = None, voice_mail: object = None) -> CallEvent:
    return parsed(
        status=status,
        conversation_duration=seconds,
        answered_by_voice_mail=voice_mail,
        telephony_data={"hangup_reason": reason},
    )


def test_a_whole_execution_is_read():
    execution = {
        "id": ID,
        "agent_id": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
        "created_at": "2025-11-19T08:48:27.193399",
        "updated_at": "2025-11-19T08:49:25.219095",
        "answered_by_voice_mail": None,
        "conversation_duration": 24.2,
        "status": "completed",
        "termination_reason": "callee_hung_up",
        "telephony_data": {
            "duration": "42",
            "to_number": "+10123456789",
            "from_number": "+19876540070",
            "provider": "twilio",
            "provider_call_id": "CA42",
            "hangup_by": "Callee",
            "hangup_reason": "Call recipient hung up",
            "hangup_provider_code": 4000,
        },
        "context_details": {"recipient_data": {"redial_token": TOKEN}, "recipient_phone_number": "+10123456789"},
    }
    assert bolna().parse(request(execution)) == [
        CallEvent(
            event_id=f"{ID}:completed",
            provider_call_id=ID,
            status="completed",
            outcome=Outcome.COMPLETED,
            occurred_at=datetime(2025, 11, 19, 8, 49, 25, 219095, tzinfo=UTC),
            duration_sec=25,
            cause="bolna:Call recipient hung up",
            to_number="+10123456789",
            from_number="+19876540070",
            token=TOKEN,
            evidence={
                "status": "completed",
                "termination_reason": "callee_hung_up",
                "conversation_duration": "24.2",
                "updated_at": "2025-11-19T08:49:25.219095",
                "provider": "twilio",
                "provider_call_id": "CA42",
                "duration": "42",
                "hangup_by": "Callee",
                "hangup_reason": "Call recipient hung up",
                "hangup_provider_code": "4000",
            },
        )
    ]


def test_an_execution_that_bolna_itself_will_retry_is_read():
    event = parsed(
        status="scheduled",
        retry_count=1,
        retry_history=[{"attempt": 1, "status": "no-answer", "at": "2026-01-26T10:00:00Z"}],
        scheduled_at="2026-01-26T10:30:00Z",
    )
    assert (event.progress, event.outcome, event.evidence["retry_count"]) == (Progress.QUEUED, None, "1")


@pytest.mark.parametrize(("word", "progress"), PROGRESS.items())
def test_each_status_on_the_way_is_progress(word: str, progress: Progress):
    event = parsed(status=word, conversation_duration=0, telephony_data={"duration": "0"})
    assert (event.progress, event.outcome, event.cause) == (progress, None, None)


def test_a_line_that_was_cut_is_not_the_end():
    event = ended("call-disconnected", 0, "Call recipient hung up")
    assert (event.status, event.progress, event.outcome, event.cause) == ("call-disconnected", None, None, None)


@pytest.mark.parametrize(("word", "outcome"), ENDINGS.items())
def test_each_status_has_its_outcome(word: str, outcome: Outcome):
    assert ended(word, 9 if outcome is Outcome.COMPLETED else 0).outcome is outcome


@pytest.mark.parametrize(("reason", "outcome"), HANGUP_REASONS.items())
def test_a_completed_call_without_a_conversation_is_what_its_reason_says(reason: str, outcome: Outcome):
    event = ended("completed", 0, reason.title())
    hung_up = reason in PICKED_UP
    assert event.outcome is (Outcome.NO_ANSWER if outcome is Outcome.COMPLETED and not hung_up else outcome)
    assert event.cause == f"bolna:{reason.title()}"
    assert ended("completed", 31, reason).outcome is Outcome.COMPLETED


@pytest.mark.parametrize(
    ("seconds", "reason", "outcome", "cause"),
    [
        (0, None, Outcome.NO_ANSWER, "bolna:no-conversation"),
        (0, "A new reason", Outcome.NO_ANSWER, "bolna:A new reason"),
        ("0", None, Outcome.NO_ANSWER, "bolna:no-conversation"),
        (0.0, None, Outcome.NO_ANSWER, "bolna:no-conversation"),
        (0.4, None, Outcome.COMPLETED, None),
        ("85", None, Outcome.COMPLETED, None),
        (None, None, Outcome.COMPLETED, None),
        (None, "Call recipient rejected", Outcome.REJECTED, "bolna:Call recipient rejected"),
        (None, "Call ended", Outcome.COMPLETED, "bolna:Call ended"),
        (-1, None, Outcome.COMPLETED, None),
        ("soon", None, Outcome.COMPLETED, None),
    ],
)
def test_completed_counts_only_with_a_conversation(seconds, reason, outcome, cause):
    event = ended("completed", seconds, reason)
    assert (event.outcome, event.cause) == (outcome, cause)


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"conversation_duration": 24.2, "conversation_time": 9, "telephony_data": {"duration": 7}}, 25),
        ({"conversation_time": 9, "telephony_data": {"duration": 7}}, 9),
        ({"telephony_data": {"duration": 7}}, 7),
        ({"telephony_data": {"duration": "7"}}, 7),
        ({"telephony_data": None}, None),
        ({"conversation_duration": 1e400}, None),
    ],
)
def test_the_duration_is_that_of_the_conversation_if_there_is_one(fields: dict[str, object], seconds: int | None):
    assert parsed(status="completed", **fields).duration_sec == seconds


@pytest.mark.parametrize("status", [word for word, outcome in ENDINGS.items() if outcome in UNREACHED])
@pytest.mark.parametrize(
    ("reason", "outcome"),
    [("Call recipient rejected", Outcome.REJECTED), ("Call recipient number invalid", Outcome.INVALID_NUMBER)],
)
def test_the_reason_counts_if_nobody_was_reached(status: str, reason: str, outcome: Outcome):
    assert ended(status, 0, reason).outcome is outcome
    assert ended(status, 0, "Call ended").outcome is ENDINGS[status]


def test_a_reason_does_not_change_our_own_cancel():
    assert ended("stopped", 0, "Call recipient was busy").outcome is Outcome.CANCELED


@pytest.mark.parametrize("said", [True, "true"])
def test_a_voicemail_is_no_conversation(said: object):
    assert (ended("completed", 14, None, said).outcome, ended("completed", 14, None, said).amd) == (
        Outcome.VOICEMAIL,
        Amd.MACHINE,
    )
    assert ended("completed", 0, "Call completed", said).outcome is Outcome.VOICEMAIL
    early = ended("in-progress", 0, None, said)
    assert (early.amd, early.progress, early.outcome) == (Amd.MACHINE, None, None)
    assert early.event_id != ended("in-progress").event_id


@pytest.mark.parametrize("said", [None, False, "false", 1, [], {}])
def test_any_other_value_is_no_result_of_amd(said: object):
    assert ended("completed", 14, None, said).amd is None


def test_an_empty_balance_is_a_fault_and_no_outcome():
    event = parsed(status="balance-low")
    assert (event.outcome, event.fault, event.cause) == (None, "bolna:balance-low", "bolna:balance-low")


def test_an_unknown_status_is_kept_and_decides_nothing():
    event = parsed(status="Call_Parked")
    assert (event.status, event.progress, event.outcome, event.fault) == ("call-parked", None, None, None)


VARIABLES = {"redial_token": TOKEN, "customer_name": "Asha"}


@pytest.mark.parametrize(
    "place",
    [
        {"user_data": VARIABLES},
        {"recipient_data": VARIABLES},
        {"context_details": {"recipient_data": VARIABLES}},
        {"context_details": {"user_data": VARIABLES}},
        {"context_details": VARIABLES},
        {"user_data": {"redial_token": "nonsense"}, "context_details": {"recipient_data": VARIABLES}},
    ],
)
def test_our_token_is_found_in_each_place_of_the_variables(place: dict[str, object]):
    assert parsed(status="busy", **place).token == TOKEN


@pytest.mark.parametrize("value", [None, "", "x", 7, [], {}, f"{TOKEN}\n", "call_01.1.short", "call_01.x." + "0" * 32])
def test_a_word_that_is_not_a_token_is_left_out(value: object):
    assert parsed(status="busy", user_data={"redial_token": value}).token is None
    assert parsed(status="busy", user_data=value, context_details=value).token is None


@pytest.mark.parametrize(("identity", "call_id"), [({"id": 71}, "71"), ({"execution_id": ID}, ID), ({"id": ID}, ID)])
def test_an_id_is_an_opaque_word(identity: dict[str, object], call_id: str):
    (event,) = bolna().parse(request({**identity, "status": "busy"}, content_type="text/plain"))
    assert (event.provider_call_id, event.event_id) == (call_id, f"{call_id}:busy")


def test_with_an_allowlist_only_its_addresses_are_accepted():
    listed = bolna(allowed_ips="13.203.39.153,13.126.9.249")
    listed.verify(request({}, "13.126.9.249"))
    for source_ip in ("13.126.9.250", None):
        with pytest.raises(SignatureError):
            listed.verify(request({}, source_ip))
    bolna().verify(request({}, "198.51.100.1"))


def test_the_account_is_named_without_its_key():
    assert bolna().account == bolna().account != bolna(api_key="bn-other").account
    assert "bn-key" not in bolna().account


@pytest.mark.parametrize("reason", ["Call recipient hungup", "Call recipient hung-up", "call_recipient_hung_up"])
def test_a_call_that_is_hung_up_at_once_reached_its_person(reason: str):
    assert ended("completed", 0, reason).outcome is Outcome.COMPLETED


@pytest.mark.parametrize("status", ["busy", "no-answer", "failed", "error", "stopped", "balance-low"])
def test_a_conversation_counts_more_than_the_word_of_the_end(status: str):
    event = ended(status, 12, "Call unanswered")
    assert (event.outcome, event.fault) == (Outcome.COMPLETED, None)
    assert ended(status, 12, None, True).outcome is Outcome.VOICEMAIL
    assert parsed(status=status, transcript="user: hello").outcome is Outcome.COMPLETED
    assert parsed(status=status, telephony_data={"duration": "30"}).outcome is not Outcome.COMPLETED


def test_q850_names_are_reasons_too():
    assert ended("failed", 0, "USER_BUSY").outcome is Outcome.BUSY
    assert ended("failed", 0, "NORMAL_CLEARING").outcome is Outcome.FAILED


@pytest.mark.parametrize("name", ["hangup_provider_code", "hangup_code"])
def test_a_q850_code_of_the_telephony_provider_is_the_cause(name: str):
    assert parsed(status="failed", telephony_data={name: 17}).outcome is Outcome.BUSY
    assert parsed(status="completed", conversation_duration=0, telephony_data={name: "19"}).outcome is Outcome.NO_ANSWER
    assert parsed(status="failed", telephony_data={name: "4000"}).outcome is Outcome.FAILED
    said = {"hangup_reason": "Call recipient was busy", name: 1}
    assert parsed(status="failed", telephony_data=said).outcome is Outcome.BUSY


@pytest.mark.parametrize("talked", [{"conversation_duration": 12}, {"transcript": "user: hello"}])
def test_a_conversation_of_a_call_that_has_not_ended_proves_an_answer(talked: dict[str, object]):
    for status in ("call-disconnected", "as-yet-unknown", "ringing"):
        assert parsed(status=status, **talked).progress is Progress.IN_PROGRESS
        assert parsed(status=status, answered_by_voice_mail=True, **talked).progress is None
    assert parsed(status="call-disconnected", conversation_duration=0, transcript=" ").progress is None


class TestBolna(CallbackTests):
    case = CallbackCase(
        provider=bolna,
        malformed=[
            (request(body), "")
            for body in [b"", b"{", b"[]", b"null", b"id=1", b"\xff", b"{}", b'{"id": "a b"}', b'{"id": {}}']
        ],
        alike=[request({"id": ID, "status": "busy"}), request({"id": ID, "status": "busy"}, content_type="text/plain")],
        bodies=random_bodies(
            {"id": "1"},
            ["id", "status", "telephony_data", "context_details", "user_data", "answered_by_voice_mail", "updated_at"],
        ),
    )
