"""SignalWire's callbacks: which of them are believed, and what they say."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest

from chalicelib.domain.events import CallEvent, Leg
from chalicelib.domain.outcome import Amd, Outcome
from chalicelib.errors import RedialError
from chalicelib.providers import CallbackRequest, MalformedCallback, SignatureError, load
from chalicelib.providers.signalwire import ACCOUNT_FAULTS, LIMIT_ERRORS, SignalWire
from tests.providers.cases import case
from tests.providers.reading import FORM_TYPE, JSON_TYPE, CallbackCase, CallbackTests, random_bodies

PROJECT = "8a7f2c1e-0b4d-4f7e-a1c3-6d5e4f3a2b1c"
CALL = "2f6c8a54-7d1e-4b7b-9d0c-5a3f1e8b6c01"
NOW = datetime(2026, 1, 26, 10, tzinfo=UTC)

# The vendor's own vectors: signalwire-python, tests/unit/security/test_webhook_validator.py
A_KEY = "PSKtest1234567890abcdef"
A_URL = "https://example.ngrok.io/webhook"
A_BODY = b'{"event":"call.state","params":{"call_id":"abc-123","state":"answered"}}'
A_SIGNATURE = "c3c08c1fefaf9ee198a100d5906765a6f394bf0f"
B_KEY = "12345"
B_URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
B_BODY = b"CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212"
B_SIGNATURE = "RSOYDt4T1cUTdK1PDd93/VVr8B8="


def signalwire(**credentials: str) -> SignalWire:
    given = {
        "space_url": "example.signalwire.com",
        "project_id": PROJECT,
        "api_token": "PTtoken",
        "signing_key": f"{A_KEY},{B_KEY}",
    }
    return SignalWire(given | credentials, now=lambda: NOW)


def request(
    body: bytes = b"",
    signature: str | None = None,
    url: str = A_URL,
    headers: Mapping[str, str] = FORM_TYPE,
    name: str = "x-signalwire-signature",
) -> CallbackRequest:
    signed = {} if signature is None else {name: signature}
    return CallbackRequest("POST", url, {**headers, **signed}, body)


def accepts(callback: CallbackRequest) -> bool:
    try:
        signalwire().verify(callback)
    except SignatureError:
        return False
    return True


def base64_hmac(text: str, key: str = B_KEY) -> str:
    return base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha1).digest()).decode()


# Signatures


@pytest.mark.parametrize("headers", [JSON_TYPE, FORM_TYPE, {}])
def test_the_vendors_vectors_are_accepted_with_any_content_type(headers: Mapping[str, str]):
    assert accepts(request(A_BODY, A_SIGNATURE, headers=headers))
    assert accepts(request(B_BODY, B_SIGNATURE, B_URL, headers))


# The vendor's own vectors of an older SDK: PyPI signalwire 2.1.1, tests/test_request_validator.py
PSK = "PSK_V3bF8oyeRNpJWGoRWHNYQMUU"
BUSY_URL = "http://0aac-189-71-169-171.ngrok-free.app/voice"
BUSY = {
    "AccountSid": "6bfbbe86-a901-4197-8759-2a0de1fa319d",
    "ApiVersion": "2010-04-01",
    "CallbackSource": "call-progress-events",
    "CallSid": "0703574f-b151-465d-aedb-28972eb513c7",
    "CallStatus": "busy",
    "Direction": "outbound-api",
    "From": "sip:+17063958228@sip.swire.io",
    "HangupBy": "sip:jpsantos@joaosantos-2a0de1fa319d.sip.swire.io",
    "HangupDirection": "inbound",
    "Timestamp": "Thu, 09 Nov 2023 17:05:04 +0000",
    "To": "sip:jpsantos@joaosantos-2a0de1fa319d.sip.swire.io",
    "SipResultCode": "486",
}
UNANSWERED_URL = "https://675d-189-71-169-171.ngrok-free.app/voice"
UNANSWERED = {
    **BUSY,
    "CallSid": "a97d4e8a-6047-4e2b-be48-fb96b33b5642",
    "CallStatus": "no-answer",
    "HangupBy": "sip:+17063958228@sip.swire.io",
    "HangupDirection": "outbound",
    "Timestamp": "Thu, 09 Nov 2023 14:40:55 +0000",
    "SipResultCode": "487",
}
BUSY_SIGNATURE, UNANSWERED_SIGNATURE = "lf3nWPmUr2y6jSeeoMW4mg58vgI=", "muUMpldcBHlzuXGZ5gbw1ETZCYA="


@pytest.mark.parametrize(
    ("url", "fields", "signature", "outcome"),
    [
        (BUSY_URL, BUSY, BUSY_SIGNATURE, Outcome.BUSY),
        (UNANSWERED_URL, UNANSWERED, UNANSWERED_SIGNATURE, Outcome.NO_ANSWER),
    ],
)
def test_the_older_sdks_vectors_are_accepted_as_a_form_and_as_json(
    url: str, fields: Mapping[str, str], signature: str, outcome: Outcome
):
    provider = signalwire(signing_key=PSK, project_id=BUSY["AccountSid"])
    for body, headers in ((urlencode(fields).encode(), FORM_TYPE), (json.dumps(fields, indent=12).encode(), JSON_TYPE)):
        callback = request(body, signature, url, headers)
        provider.verify(callback)
        assert [event.outcome for event in provider.parse(callback)] == [outcome]
        with pytest.raises(SignatureError):
            provider.verify(request(body.replace(b"no-answer", b"busy").replace(b"486", b"603"), signature, url))


@pytest.mark.parametrize("more", [{"nested": {"CallStatus": "x"}}, {"list": ["x"]}, {"flag": True}, {"nothing": None}])
def test_json_with_a_value_that_a_form_signature_cannot_cover_is_refused(more: Mapping[str, object]):
    body = json.dumps({**UNANSWERED, **more}).encode()
    with pytest.raises(SignatureError, match="unsigned"):
        signalwire(signing_key=PSK).verify(request(body, UNANSWERED_SIGNATURE, UNANSWERED_URL, JSON_TYPE))


def test_the_older_sdks_signature_of_json_is_accepted():
    body = (
        b'{"call":{"call_id":"b5d63b2e-f75b-4dc8-b6d4-269b635f96c0",'
        b'"node_id":"fa3570ae-f8bd-42c2-83f4-9950d906c91b@us-west",'
        b'"segment_id":"b5d63b2e-f75b-4dc8-b6d4-269b635f96c0","call_state":"created","direction":"inbound",'
        b'"type":"phone","from":"+12135877632","to":"+12089806814","from_number":"+12135877632",'
        b'"to_number":"+12089806814","project_id":"4b7ae78a-d02e-4889-a63b-08b156d5916e",'
        b'"space_id":"62615f44-2a34-4235-b38b-76b5a1de6ef8"},"vars":{}}'
    )
    signature, url = "b18500437ebb010220ddd770cbe6fd531ea0ba0d", "https://81f2-2-45-18-191.ngrok-free.app/"
    provider = signalwire(signing_key="PSK_7TruNcSNTxp4zNrykMj4EPzF")
    provider.verify(request(body, signature, url, JSON_TYPE))
    with pytest.raises(SignatureError):
        provider.verify(request(body + b" ", signature, url, JSON_TYPE))


def test_the_alias_header_counts_if_signalwires_own_is_missing():
    assert accepts(request(B_BODY, B_SIGNATURE, B_URL, name="X-Twilio-Signature"))
    both = request(B_BODY, B_SIGNATURE, B_URL, {**FORM_TYPE, "X-SignalWire-Signature": "wrong"}, "X-Twilio-Signature")
    assert not accepts(both)


def test_a_repeated_name_is_signed_each_time_in_the_order_sent():
    body = b"Sid=CA1&Digits=5678&Digits=1234&Digits=1234"
    in_order = base64_hmac(f"{B_URL}Digits5678Digits1234Digits1234SidCA1")
    as_twilio_does = base64_hmac(f"{B_URL}Digits1234Digits5678SidCA1")
    assert accepts(request(body, in_order, B_URL))
    assert not accepts(request(body, as_twilio_does, B_URL))


def test_a_body_is_accepted_if_it_has_the_hash_in_the_url():
    url = f"{A_URL}?bodySHA256={hashlib.sha256(A_BODY).hexdigest()}"
    assert accepts(request(A_BODY, base64_hmac(url), url, JSON_TYPE))
    assert not accepts(request(A_BODY + b" ", base64_hmac(url), url, JSON_TYPE))


def test_a_signature_of_the_url_alone_vouches_for_no_body():
    assert not accepts(request(A_BODY, base64_hmac(A_URL), headers=JSON_TYPE))
    assert not accepts(request(A_BODY, base64_hmac(A_URL), headers={}))
    assert not accepts(request(B_BODY, base64_hmac(A_URL)))


@pytest.mark.parametrize(
    ("signed", "seen", "holds"),
    [
        ("https://a.example/x", "https://a.example:443/x", True),
        ("https://a.example:443/x", "https://a.example/x", True),
        ("http://a.example/x", "http://a.example:80/x", True),
        ("https://a.example:8443/x", "https://a.example:8443/x", True),
        ("https://a.example/x", "https://a.example:8443/x", False),
        ("https://a.example/x", "http://a.example/x", False),
    ],
)
def test_only_the_standard_port_may_be_signed_or_not(signed: str, seen: str, holds: bool):
    assert accepts(request(b"a=1", base64_hmac(f"{signed}a1"), seen)) is holds


@pytest.mark.parametrize(
    "tampered",
    [
        request(A_BODY.replace(b"answered", b"ended"), A_SIGNATURE),
        request(A_BODY, A_SIGNATURE, A_URL + "?"),
        request(A_BODY, A_SIGNATURE.upper()),
        request(A_BODY, A_SIGNATURE[:-1]),
        request(B_BODY.replace(b"1234", b"1235"), B_SIGNATURE, B_URL),
        request(B_BODY, "é\udcff", B_URL),
        request(B_BODY, "", B_URL),
        request(B_BODY, None, B_URL),
        request(b"\xff", B_SIGNATURE, "\ud800"),
        request(b"a=1&" * 2000, B_SIGNATURE, B_URL),
    ],
)
def test_a_callback_with_a_wrong_signature_is_rejected(tampered: CallbackRequest):
    assert not accepts(tampered)


def test_a_missing_key_is_rejected_at_once():
    with pytest.raises(RedialError, match="SIGNALWIRE_SIGNING_KEY holds no key"):
        signalwire(signing_key=" , ")


# Callbacks


def test_a_callback_in_json_says_what_the_same_one_in_a_form_says():
    provider, told = load("signalwire", case("signalwire").credentials, now=lambda: NOW), case("signalwire")
    in_json = replace(told.request("completed.json"), headers={})
    (event,) = provider.parse(in_json)
    assert event == CallEvent(
        event_id=f"{CALL}:3:completed",
        provider_call_id=CALL,
        status="completed",
        outcome=Outcome.COMPLETED,
        occurred_at=datetime(2026, 1, 26, 10, 0, 4, tzinfo=UTC),
        duration_sec=42,
        sequence=3,
        to_number="+16505550199",
        from_number="+14155550100",
        leg=Leg.OUTGOING,
        evidence={
            "CallStatus": "completed",
            "CallDuration": "42",
            "SequenceNumber": "3",
            "Timestamp": "Mon, 26 Jan 2026 10:00:04 +0000",
            "CallbackSource": "call-progress-events",
            "SipInviteResultPhrase": "OK",
            "SipResultCode": "200",
        },
    )
    assert provider.parse(told.request("completed.form")) == [event]
    assert provider.parse(replace(told.request("completed.form"), headers=JSON_TYPE)) == [event]


def parsed(**fields: str) -> CallEvent:
    (event,) = signalwire().parse(request(urlencode({"CallSid": CALL, **fields}).encode()))
    return event


@pytest.mark.parametrize(
    ("sip", "outcome"),
    [
        ("404", Outcome.INVALID_NUMBER),
        ("480", Outcome.NO_ANSWER),
        ("486", Outcome.BUSY),
        ("603", Outcome.REJECTED),
        ("500", Outcome.FAILED),
        ("", Outcome.FAILED),
    ],
)
def test_signalwires_sip_code_says_why_a_call_failed(sip: str, outcome: Outcome):
    assert parsed(CallStatus="failed", SipResultCode=sip, SipResponseCode="603").outcome is outcome


@pytest.mark.parametrize("code", sorted(ACCOUNT_FAULTS | LIMIT_ERRORS))
def test_a_fault_of_the_account_is_not_an_outcome(code: str):
    event = parsed(CallStatus="failed", ErrorCode=code)
    assert (event.outcome, event.fault, event.cause) == (None, f"signalwire:{code}", f"signalwire:{code}")


@pytest.mark.parametrize(("word", "amd"), [("human", Amd.HUMAN), ("machine", Amd.MACHINE)])
def test_detection_has_two_words(word: str, amd: Amd):
    assert parsed(AnsweredBy=word).amd is amd


def test_the_project_may_be_spelled_in_capitals_but_must_be_ours():
    assert parsed(CallStatus="busy", AccountSid=PROJECT.upper()).outcome is Outcome.BUSY
    with pytest.raises(MalformedCallback, match="AccountSid is 'other'"):
        parsed(CallStatus="busy", AccountSid="other")


SHORT = {"CallSid": CALL, "CallStatus": "busy"}


class TestSignalWire(CallbackTests):
    case = CallbackCase(
        provider=signalwire,
        malformed=[(request(A_BODY, headers=JSON_TYPE), "CallSid")],  # an event of Relay
        alike=[request(urlencode(SHORT).encode()), request(json.dumps(SHORT).encode(), headers=JSON_TYPE)],
        bodies=random_bodies({"CallSid": "a"}, ["CallStatus", "CallDuration", "AnsweredBy", "SipResultCode"]),
    )
