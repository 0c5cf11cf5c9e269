"""DialNexa's webhooks: which of them are believed, and what they say."""

import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.events import CallEvent, Leg, Progress
from chalicelib.domain.outcome import Amd, Outcome
from chalicelib.errors import RedialError
from chalicelib.providers import CallbackRequest, SignatureError
from chalicelib.providers.dialnexa import ENDINGS, EVENT_PROGRESS, HANGUP_REASONS, PROGRESS, DialNexa
from tests.providers.cases import NOW
from tests.providers.reading import VALUES, CallbackCase, CallbackTests, random_bodies

SECRET = "whsec"
CALL = "call_abc123xyz"
TOKEN = "call_01.1.0123456789abcdef0123456789abcdef"
BODY = b'{"event_type":"call_ended","payload":{"call":{"id":"call_1","status":"completed"}}}'
#: computed with OpenSSL 3: openssl dgst -sha256 -hmac whsec
DIGEST = "d670fa33fdc2fdcb37ff821f251fc2249bc84bbf5d88204752becf9f85ff8c98"


def dialnexa(**credentials: str) -> DialNexa:
    return DialNexa({"api_key": "key_1:secret", "webhook_secret": SECRET, **credentials}, now=lambda: NOW)


def request(body: object, **headers: str) -> CallbackRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return CallbackRequest("POST", "https://redial.example.com/callbacks/dialnexa", named, raw)


def accepts(callback: CallbackRequest, secret: str = SECRET) -> bool:
    try:
        dialnexa(webhook_secret=secret).verify(callback)
    except SignatureError:
        return False
    return True


# Signatures


@pytest.mark.parametrize("header", ["x_dialnexa_signature", "X_DialNexa_Signature", "x_nexa_signature"])
@pytest.mark.parametrize("prefix", ["", "sha256="])
def test_either_header_is_taken_with_or_without_the_prefix(header: str, prefix: str):
    assert accepts(request(BODY, **{header: f"{prefix}{DIGEST}"}))


@pytest.mark.parametrize("secrets", [f"{SECRET},other", f"other,{SECRET}", f" other , {SECRET} "])
def test_while_a_secret_is_rotated_either_is_taken(secrets: str):
    assert accepts(request(BODY, x_dialnexa_signature=DIGEST), secrets)


@pytest.mark.parametrize(
    "tampered",
    [
        request(BODY),
        request(BODY + b" ", x_dialnexa_signature=DIGEST),
        request(BODY.replace(b"completed", b"hangup"), x_dialnexa_signature=DIGEST),
        request(b"", x_dialnexa_signature=DIGEST),
        request(BODY, x_dialnexa_signature=""),
        request(BODY, x_dialnexa_signature="sha256="),
        request(BODY, x_dialnexa_signature=DIGEST[:-1]),
        request(BODY, x_dialnexa_signature=f"{DIGEST} "),
        request(BODY, x_dialnexa_signature=f"sha1={DIGEST}"),
        request(BODY, x_dialnexa_signature=f"sha256=sha256={DIGEST}"),
        request(BODY, x_dialnexa_signature="é\udcff\x00"),
        request(BODY, x_signature=DIGEST),
        request({"event_type": "verification"}),
    ],
)
def test_a_callback_with_a_wrong_signature_is_rejected(tampered: CallbackRequest):
    assert not accepts(tampered)


def test_another_workspaces_secret_is_refused_and_so_is_an_empty_one():
    assert not accepts(request(BODY, x_dialnexa_signature=DIGEST), "other")
    empty = hmac.new(b"", BODY, hashlib.sha256).hexdigest()
    assert not accepts(request(BODY, x_dialnexa_signature=empty), f"{SECRET},")
    with pytest.raises(RedialError, match="DIALNEXA_WEBHOOK_SECRET holds no secret"):
        dialnexa(webhook_secret=" , ")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.text(max_size=80))
def test_a_random_word_is_not_a_signature(body: bytes, signature: str):
    assert not accepts(request(body, x_dialnexa_signature=signature))


# Events


def webhook(event: str | None, **call: object) -> dict[str, object]:
    return {"event_type": event, "payload": {"call": {"id": CALL, **call}}}


def parsed(event: str | None, **call: object) -> CallEvent:
    (found,) = dialnexa().parse(request(webhook(event, **call)))
    return found


def test_the_start_of_a_call_is_read_whole():
    call = {
        "direction": "outbound",
        "type": "phone_call",
        "category": "batch",
        "category_id": "batch_001",
        "from_number": "12137771234",
        "to_number": "12137771235",
        "status": "initiated",
        "agent_id": "agent_987654321",
        "initiated_at": "2025-05-02T10:21:15.945Z",
    }
    assert parsed("call_initiated", **call) == CallEvent(
        event_id=f"{CALL}:call-initiated:initiated",
        provider_call_id=CALL,
        status="initiated",
        progress=Progress.INITIATED,
        occurred_at=datetime(2025, 5, 2, 10, 21, 15, 945000, tzinfo=UTC),
        to_number="+12137771235",
        from_number="+12137771234",
        leg=Leg.OUTGOING,
        evidence={
            "event_type": "call-initiated",
            "status": "initiated",
            "direction": "outbound",
            "category": "batch",
            "initiated_at": "2025-05-02T10:21:15.945Z",
        },
    )
    ended = parsed("call_ended", **{**call, "status": "hangup", "disconnection_reason": "user_did_not_pick_up"})
    assert (ended.outcome, ended.cause) == (Outcome.NO_ANSWER, "dialnexa:user-did-not-pick-up")
    assert (ended.occurred_at, ended.progress) == (None, None)


@pytest.mark.parametrize(("reason", "outcome"), HANGUP_REASONS.items())
@pytest.mark.parametrize("name", ["hangup_reason", "disconnection_reason", "end_reason"])
def test_a_call_that_never_connected_is_what_its_reason_says(name: str, reason: str, outcome: Outcome):
    event = parsed("call_ended", status="hangup", **{name: reason.replace("-", "_")})
    assert (event.status, event.outcome, event.cause, event.fault) == ("hangup", outcome, f"dialnexa:{reason}", None)
    assert event.amd is (Amd.MACHINE if outcome is Outcome.VOICEMAIL else None)


def test_the_newer_reason_goes_before_the_older():
    event = parsed("call_ended", status="hangup", hangup_reason="user_busy", disconnection_reason="unknown")
    assert event.outcome is Outcome.BUSY


def test_an_unknown_reason_is_kept_and_the_status_gives_the_outcome():
    event = parsed("call_ended", status="hangup", hangup_reason="Alien_Abduction")
    assert (event.outcome, event.cause) == (Outcome.FAILED, "dialnexa:alien-abduction")


def test_after_an_answer_only_a_voicemail_changes_the_outcome():
    event = parsed("call_ended", status="completed", hangup_reason="user_busy", duration=42)
    assert (event.outcome, event.duration_sec) == (Outcome.COMPLETED, 42)
    heard = parsed("call_ended", status="completed", hangup_reason="voicemail_detected")
    assert (heard.outcome, heard.amd) == (Outcome.VOICEMAIL, Amd.MACHINE)


def test_a_trunk_that_refuses_its_login_is_a_fault_and_no_outcome():
    event = parsed("call_ended", status="hangup", hangup_reason="sip_auth_failed")
    assert (event.outcome, event.fault, event.progress) == (None, "dialnexa:sip-auth-failed", None)


@pytest.mark.parametrize(("word", "outcome"), ENDINGS.items())
@pytest.mark.parametrize("event", ["call_ended", "call.ended"])
def test_each_status_has_its_outcome(event: str, word: str, outcome: Outcome):
    assert parsed(event, status=word.replace("-", "_")).outcome is outcome


@pytest.mark.parametrize(
    ("event", "status", "reason", "outcome"),
    [
        ("call.completed", None, None, Outcome.COMPLETED),
        ("call.failed", None, None, Outcome.FAILED),
        ("call.failed", None, "user_busy", Outcome.BUSY),
        ("call.failed", "failed", "unallocated_phone_number", Outcome.INVALID_NUMBER),
        ("call.no_answer", None, None, Outcome.NO_ANSWER),
        ("call.no_answer", "hangup", None, Outcome.NO_ANSWER),
        ("call.no_answer", "failed", None, Outcome.NO_ANSWER),
        ("call_no_answer", "no-answer", None, Outcome.NO_ANSWER),
        ("call.busy", "hangup", None, Outcome.BUSY),
        ("call.failed", "no_answer", None, Outcome.NO_ANSWER),
        ("call_ended", None, "user_busy", Outcome.BUSY),
        ("call_ended", "a_new_word", "user_busy", Outcome.BUSY),
        ("call_ended", "a_new_word", None, None),
        ("call_ended", None, None, None),
    ],
)
def test_both_event_vocabularies_are_understood(event, status, reason, outcome):
    assert parsed(event, status=status, hangup_reason=reason).outcome is outcome


@pytest.mark.parametrize(("event", "progress"), EVENT_PROGRESS.items())
@pytest.mark.parametrize("dot", ["_", "."])
def test_an_event_on_the_way_is_progress_with_any_status(event: str, progress: Progress, dot: str):
    found = parsed(event.replace("-", dot, 1).replace("-", "_"), status="completed")
    assert (found.progress, found.outcome) == (progress, None)


@pytest.mark.parametrize(("word", "progress"), PROGRESS.items())
def test_a_status_on_the_way_is_progress(word: str, progress: Progress):
    assert parsed("call_updated", status=word).progress is progress


def test_an_unknown_event_is_kept_and_decides_nothing():
    event = parsed("call_paused", status="on_hold")
    assert (event.status, event.progress, event.outcome, event.fault) == ("on-hold", None, None, None)
    assert parsed("call_paused").status == "call-paused"


@pytest.mark.parametrize(
    "body",
    [
        {"event_type": "verification", "message": "Verify", "timestamp": "2026-01-26T10:00:00Z"},
        {"event_type": "verification", "payload": {"message": "Verify", "timestamp": 1}},
        {"event": "Verification"},
    ],
)
def test_the_verification_of_the_address_carries_no_events(body: dict[str, object]):
    assert dialnexa().parse(request(body)) == []


@pytest.mark.parametrize(
    "body",
    [
        {"event_type": "call_ended", "payload": {"call": {"id": CALL, "status": "completed"}}},
        {"event": "call.ended", "data": {"call": {"id": CALL, "status": "completed"}}},
        {"event": "call.ended", "data": {"id": CALL, "status": "completed"}},
        {"type": "call.completed", "call": {"id": CALL}},
        {"event_type": "call_completed", "payload": {"id": CALL}},
        {"event_type": "call_completed", "id": CALL},
    ],
)
def test_the_call_is_found_in_each_of_the_published_envelopes(body: dict[str, object]):
    (event,) = dialnexa().parse(request(body))
    assert (event.provider_call_id, event.outcome) == (CALL, Outcome.COMPLETED)


@pytest.mark.parametrize(
    "body",
    [
        {"payload": {"call": {"id": CALL, "metadata": {"redial_token": TOKEN}}}},
        {"payload": {"call": {"id": CALL}, "metadata": {"redial_token": TOKEN}}},
        {"payload": {"call": {"id": CALL}}, "metadata": {"redial_token": TOKEN}},
    ],
)
def test_our_token_is_read_from_the_metadata(body: dict[str, object]):
    (event,) = dialnexa().parse(request({"event_type": "call_ended", **body}))
    assert event.token == TOKEN


def test_without_the_metadata_there_is_no_token():
    assert parsed("call_ended", metadata={"redial_token": "x"}).token is None
    assert parsed("call_ended", metadata="x").token is None
    assert parsed("call_ended").token is None


def test_the_account_is_the_keys_id_and_a_key_without_one_is_refused():
    assert dialnexa().account == "key_1"
    for key in ("key", "key:", ":secret"):
        with pytest.raises(RedialError, match="DIALNEXA_API_KEY is not of the form key_id:secret"):
            dialnexa(api_key=key)


def test_a_conversation_counts_more_than_the_word_of_the_end():
    for reason in ("user_busy", "sip_auth_failed", "unknown"):
        talked = parsed("call_ended", status="hangup", hangup_reason=reason, transcript="User: hello")
        assert (talked.outcome, talked.fault) == (Outcome.COMPLETED, None)
    assert parsed("call_ended", status="failed", duration=9).outcome is Outcome.COMPLETED
    answered = parsed("call_ended", status="no_answer", duration=9, answered_at="2026-01-26T10:00:00Z")
    assert answered.outcome is Outcome.COMPLETED


def test_ring_time_is_not_talk_time():
    rang = parsed("call_ended", status="hangup", hangup_reason="user_did_not_pick_up", duration=30)
    assert rang.outcome is Outcome.NO_ANSWER


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [("USER_BUSY", Outcome.BUSY), ("Unallocated Number", Outcome.INVALID_NUMBER), ("NORMAL_CLEARING", Outcome.FAILED)],
)
def test_q850_names_are_reasons_too(reason: str, outcome: Outcome):
    assert parsed("call_ended", status="hangup", hangup_reason=reason).outcome is outcome


def test_a_q850_code_is_a_reason_too():
    assert parsed("call_ended", status="hangup", hangup_reason=17).outcome is Outcome.BUSY


def test_a_transcript_of_a_call_that_has_not_ended_proves_an_answer():
    assert parsed("call_analyzed", status="as-yet-unknown", transcript="user: hello").progress is Progress.IN_PROGRESS
    assert parsed("call_analyzed", status="as-yet-unknown", transcript="").progress is None


class TestDialNexa(CallbackTests):
    case = CallbackCase(
        provider=dialnexa,
        malformed=[
            (request(body), "")
            for body in [
                b"",
                b"{",
                b"[]",
                b"null",
                b"a=b",
                b"{}",
                b'{"event_type":"call_ended"}',
                b'{"payload":{"call":{"id":" "}}}',
            ]
        ],
        alike=[request(webhook("call_ended", status="busy")), request(webhook("call.ended", status="busy"))],
        bodies=random_bodies(
            {"id": CALL},
            ["id", "status", "hangup_reason", "duration", "ended_at", "to_number", "metadata"],
            wrap=lambda call: webhook("call_ended", **call),
        )
        | st.dictionaries(st.sampled_from(["event_type", "payload", "metadata"]), VALUES).map(
            lambda body: json.dumps(body).encode()
        ),
    )
