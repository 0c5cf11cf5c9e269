"""Telnyx's signatures, compared with a vector that two libraries agree on."""

import base64
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.errors import RedialError
from chalicelib.providers import CallbackRequest, SignatureError
from chalicelib.providers.telnyx import Telnyx
from ops.local.carrier_telnyx import public_key, signature

# No vector of the vendor's is published. This one was computed with two libraries, which agree.
SEED = bytes(range(32))
KEY = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
OTHER_KEY = public_key(bytes(32))
TIMESTAMP = "1700000000"
NOW = datetime.fromtimestamp(1_700_000_000, UTC)
BODY = (
    b'{"data":{"event_type":"call.hangup","id":"0ccc7b54-4df3-4bca-a65a-3da1ecc777f0",'
    b'"occurred_at":"2018-02-02T22:25:27.521992Z","payload":{"hangup_cause":"user_busy"},"record_type":"event"}}'
)
SIGNATURE = "YuMHlmL6y4jgSIZxVvf9iKykQ0Gek+IDJANKPhQhQLMeaui8ztEOxM1mLjirWTkLsIvs1WdY5i+MpJ0aCgvdBw=="
URL = "https://redial.example.com/callbacks/telnyx/t0k3n"
JSON_TYPE = {"Content-Type": "application/json"}
FORM_TYPE = {"Content-Type": "application/x-www-form-urlencoded"}


def telnyx(public_keys: str = KEY, at: datetime = NOW) -> Telnyx:
    return Telnyx({"api_key": "KEY1", "connection_id": "7267", "public_key": public_keys}, now=lambda: at)


def signed(
    body: bytes = BODY, given: str = SIGNATURE, timestamp: str = TIMESTAMP, headers: Mapping[str, str] = JSON_TYPE
) -> CallbackRequest:
    named = {"Telnyx-Signature-Ed25519": given, "Telnyx-Timestamp": timestamp}
    return CallbackRequest("POST", URL, {**headers, **named}, body)


def accepts(request: CallbackRequest, provider: Telnyx | None = None) -> bool:
    try:
        (provider or telnyx()).verify(request)
    except SignatureError:
        return False
    return True


def test_the_vector_is_accepted_and_is_what_the_local_carrier_signs():
    assert accepts(signed())
    assert signature(SEED, TIMESTAMP, BODY) == SIGNATURE
    assert public_key(SEED) == KEY


def test_the_form_of_a_texml_callback_is_signed_as_it_came():
    body = b"CallSid=v3%3Aabc&CallStatus=busy"
    assert accepts(signed(body, signature(SEED, TIMESTAMP, body), headers=FORM_TYPE))
    assert not accepts(signed(body.replace(b"%3A", b":"), signature(SEED, TIMESTAMP, body), headers=FORM_TYPE))


@pytest.mark.parametrize("keys", [f"{OTHER_KEY},{KEY}", f" {KEY} , {OTHER_KEY} "])
def test_while_a_key_is_rotated_either_is_accepted(keys: str):
    assert accepts(signed(), telnyx(keys))


@pytest.mark.parametrize(("away_sec", "holds"), [(-301, False), (-300, True), (300, True), (301, False)])
def test_a_signature_holds_for_300_seconds(away_sec: int, holds: bool):
    assert accepts(signed(), telnyx(at=NOW + timedelta(seconds=away_sec))) is holds


def test_the_time_is_checked_before_the_signature():
    with pytest.raises(SignatureError, match="telnyx-timestamp is more than 300 s away"):
        telnyx(at=NOW + timedelta(hours=1)).verify(signed(given="garbage"))


@pytest.mark.parametrize(
    "tampered",
    [
        signed(BODY.replace(b"busy", b"free")),
        signed(BODY + b" "),
        signed(timestamp="1700000001"),
        signed(timestamp="+1700000000"),
        signed(timestamp=" 1700000000"),
        signed(timestamp="1_700_000_000"),
        signed(timestamp="１７０００００００"),
        signed(timestamp="9" * 5000),
        signed(timestamp="soon"),
        signed(timestamp=""),
        signed(given=""),
        signed(given="é"),
        signed(given="\udcff"),
        signed(given=SIGNATURE[:-4]),
        signed(given=SIGNATURE[::-1]),
        signed(given=base64.b64encode(bytes(64)).decode()),
        signed(given="="),
        CallbackRequest("POST", URL, JSON_TYPE, BODY),
    ],
)
def test_a_callback_with_a_wrong_signature_is_rejected(tampered: CallbackRequest):
    assert not accepts(tampered)


def test_another_accounts_key_is_refused():
    assert not accepts(signed(), telnyx(OTHER_KEY))


@pytest.mark.parametrize("keys", ["abc", f"{KEY},", KEY[:-4], "é" * 44, " , "])
def test_a_missing_key_is_rejected_unless_there_is_another(keys: str):
    if keys == f"{KEY},":
        assert accepts(signed(), telnyx(keys))
        return
    with pytest.raises(RedialError, match="TELNYX_PUBLIC_KEY"):
        telnyx(keys)


def test_the_library_for_signatures_is_loaded_by_the_first_callback_only():
    code = "import sys, chalicelib.providers.telnyx; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.text(max_size=30) | st.binary(max_size=70).map(base64.b64encode).map(bytes.decode))
def test_a_random_signature_is_rejected(body: bytes, text: str):
    assert not accepts(signed(body, text))
    assert not accepts(signed(body, SIGNATURE, text))
