"""Vonage's signatures, compared with its own vector and with tokens made here."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib import providers
from chalicelib.errors import RedialError
from chalicelib.providers import CallbackRequest, SignatureError

SECRET = "qwertyuiopasdfghjklzxcvbnm123456"
NOW = datetime(2026, 1, 26, 10, 30, tzinfo=UTC)
BODY = b'{"uuid":"1","status":"completed"}'
URL = "https://retry.example.com/callbacks/vonage/token"

#: github.com/Vonage/vonage-python-sdk, jwt/tests/test_verify_jwt.py: issued in October 2023, without payload_hash
OFFICIAL = (
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9."
    "eyJpc3MiOiJPbmxpbmUgSldUIEJ1aWxkZXIiLCJpYXQiOjE2OTc2MzQ2ODAsImV4cCI6MzMyNTQ1NDA4MjgsImF1ZCI6IiIsInN1YiI6IiJ9."
    "88vJc3I2HhuqEDixHXVhc9R30tA6U_HQHZTC29y6CGM"
)
OFFICIAL_AT = datetime.fromtimestamp(1697634680, UTC)


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def made(claims: object, secret: str = SECRET, header: object = None) -> str:
    head = {"alg": "HS256", "typ": "JWT"} if header is None else header
    signed = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(claims).encode())}"
    return f"{signed}.{b64(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())}"


def claims(**changed: Any) -> dict[str, Any]:
    usual = {
        "iat": int(NOW.timestamp()),
        "jti": "c5ba8f24-1a14-4c10-bfdf-3fbe8ce511b5",
        "iss": "Vonage",
        "payload_hash": hashlib.sha256(BODY).hexdigest(),
        "api_key": "a1b2c3d4",
        "application_id": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab",
    }
    return {name: value for name, value in (usual | changed).items() if value is not ...}


def request(
    authorization: str | None, body: bytes = BODY, url: str = URL, method: str = "POST", name: str = "Authorization"
) -> CallbackRequest:
    headers = {"Content-Type": "application/json"}
    return CallbackRequest(method, url, headers if authorization is None else {**headers, name: authorization}, body)


def accepts(callback: CallbackRequest, secret: str = SECRET, now: datetime = NOW) -> bool:
    credentials = {"application_id": "app", "private_key": "none", "signature_secret": secret}
    try:
        providers.load("vonage", credentials, now=lambda: now).verify(callback)
    except SignatureError:
        return False
    return True


def test_a_signed_webhook_is_accepted():
    token = made(claims())
    assert accepts(request(f"Bearer {token}"))
    assert accepts(request(f"bearer {token}", name="authorization"))
    assert accepts(request(f"Bearer {made(claims(payload_hash=hashlib.sha256(BODY).hexdigest().upper()))}"))


def test_vonages_vector_is_valid_in_its_time_without_a_body():
    assert accepts(request(f"Bearer {OFFICIAL}", b""), now=OFFICIAL_AT)
    assert not accepts(request(f"Bearer {OFFICIAL}", b""), now=OFFICIAL_AT + timedelta(seconds=301))
    assert not accepts(request(f"Bearer {OFFICIAL}", b""), SECRET[:-1], now=OFFICIAL_AT)
    assert not accepts(request(f"Bearer {OFFICIAL}", BODY), now=OFFICIAL_AT)


def test_a_query_of_a_get_is_covered_by_nothing():
    token = f"Bearer {made(claims(payload_hash=...))}"
    assert accepts(request(token, b"", method="GET"))
    assert not accepts(request(token, b"", f"{URL}?uuid=1&status=completed", "GET"))
    assert accepts(request(f"Bearer {made(claims())}", BODY, f"{URL}?policy=p"))


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_a_token_counts_for_five_minutes_either_way(seconds: int):
    assert accepts(request(f"Bearer {made(claims())}"), now=NOW + timedelta(seconds=seconds))
    beyond = seconds + (1 if seconds > 0 else -1)
    assert accepts(request(f"Bearer {made(claims())}"), now=NOW + timedelta(seconds=beyond)) is (seconds == 0)


@pytest.mark.parametrize("iat", [..., None, "now", True, [], str(int(NOW.timestamp())), 0, -1, 10**400, float("nan")])
def test_a_token_that_does_not_say_when_it_was_made_is_refused(iat: object):
    assert not accepts(request(f"Bearer {made(claims(iat=iat))}"))


@pytest.mark.parametrize(("exp", "held"), [(60, True), (0, False), (-60, False)])
def test_a_token_that_has_expired_is_refused(exp: int, held: bool):
    assert accepts(request(f"Bearer {made(claims(exp=int(NOW.timestamp()) + exp))}")) is held


@pytest.mark.parametrize("exp", [None, "x", True, [], float("nan")])
def test_an_expiry_that_is_no_time_is_refused(exp: object):
    assert not accepts(request(f"Bearer {made(claims(exp=exp))}"))


@pytest.mark.parametrize("payload_hash", [..., None, "", "0" * 64, 7, ["x"], {}, hashlib.sha256(b"").hexdigest()])
def test_a_body_without_its_hash_is_refused(payload_hash: object):
    assert not accepts(request(f"Bearer {made(claims(payload_hash=payload_hash))}"))


def test_a_body_that_was_changed_or_taken_away_is_refused():
    token = f"Bearer {made(claims())}"
    assert not accepts(request(token, BODY + b" "))
    assert not accepts(request(token, BODY.replace(b"completed", b"busy")))
    assert not accepts(request(token, b""))


def test_the_algorithm_is_never_the_tokens_to_choose():
    for alg in ("none", "None", "NONE", "hs256", "HS512", "RS256", "", None, 7, ["HS256"]):
        assert not accepts(request(f"Bearer {made(claims(), header={'alg': alg, 'typ': 'JWT'})}"))
    assert not accepts(request(f"Bearer {made(claims(), header={})}"))
    assert not accepts(request(f"Bearer {made(claims(), header=['HS256'])}"))
    unsigned = made(claims(), header={"alg": "none"}).rpartition(".")[0] + "."
    assert not accepts(request(f"Bearer {unsigned}"))


def test_a_token_of_an_application_key_is_no_webhooks():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    signed = made(claims(), header={"alg": "RS256", "typ": "JWT"}).rpartition(".")[0]
    token = f"{signed}.{b64(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"
    assert not accepts(request(f"Bearer {token}"), public.decode())
    # ... nor one whose sender took the public key, which is no secret, for the secret of HS256
    confused = made(claims(), public.decode(), {"alg": "RS256"})
    assert not accepts(request(f"Bearer {confused}"), public.decode())


GOOD = made(claims())


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        GOOD,
        f"Basic {GOOD}",
        f"Bearer {GOOD} x",
        f"Bearer {GOOD}.",
        f"Bearer {GOOD}=",
        f"Bearer {GOOD[:-1]}",
        f"Bearer {GOOD[:-2]}==",
        f"Bearer {GOOD.rpartition('.')[0]}",
        f"Bearer {GOOD.rpartition('.')[0]}.",
        "Bearer ..",
        "Bearer a.b.c",
        "Bearer é.é.é",
        "Bearer " + "a" * 9000 + ".b.c",
        f"Bearer {made(['x'])}",
        f"Bearer {made(None)}",
        f"Bearer {made(claims(), 'other')}",
    ],
)
def test_a_header_that_holds_no_good_token_is_refused(authorization: str | None):
    assert not accepts(request(authorization))


@pytest.mark.parametrize("secrets", [f"{SECRET},other", f"other,{SECRET}", f" other , {SECRET} "])
def test_while_a_secret_is_rotated_either_is_accepted(secrets: str):
    assert accepts(request(f"Bearer {GOOD}"), secrets)


def test_an_empty_secret_is_no_secret():
    assert not accepts(request(f"Bearer {made(claims(), '')}"), f"{SECRET},")
    with pytest.raises(RedialError, match="VONAGE_SIGNATURE_SECRET holds no secret"):
        accepts(request(f"Bearer {GOOD}"), " , ")


json_values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.lists(st.integers())


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=60),
    st.text(max_size=60) | st.builds("Bearer {}".format, st.text(max_size=60)),
    st.dictionaries(st.sampled_from(["iat", "exp", "payload_hash", "nbf"]), json_values),
)
def test_a_random_signature_is_rejected(body: bytes, authorization: str, said: dict[str, object]):
    assert not accepts(request(authorization, body))
    assert not accepts(request(f"Bearer {made({'iat': 0, **said})}", body + b"x"))
