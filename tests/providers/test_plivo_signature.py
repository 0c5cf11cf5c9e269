"""Plivo's signatures, compared with the vectors of Plivo's own libraries."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib import providers
from chalicelib.errors import RedialError
from chalicelib.providers import CallbackRequest, SignatureError
from ops.local.carrier_plivo import signature

TOKEN = "Y2Q2ZDgxZmY5YWRiOTI5YmQ1Njg0MTAxZWIyOTc4"
NONCE = "31627761595286130198"
URL = "https://plivobin.non-prod.plivops.com/api/v1/validate_signature03.xml/?a=b&c=d"
CALL = "3e82ae9d-2c78-4d85-b1a4-6eae7dbafb36"
FIELDS = {
    "Direction": "outbound",
    "From": "19792014278",
    "ALegUUID": CALL,
    "ALegRequestUUID": CALL,
    "CallUUID": CALL,
    "RequestUUID": CALL,
    "BillRate": "0.002",
    "ParentAuthID": "MANWVLYTK4ZWU1YTY4QA",
    "To": "sip:PlivoSignature382029104058171078704104@phone-qa.voice.plivodev.com",
    "CallStatus": "in-progress",
    "SIP-H-To": "<sip:PlivoSignature382029104058171078704104@52.9.11.55;transport=udp>;tag=1",
    "SessionStart": "2020-04-08 11:34:33.238707",
    "Event": "StartApp",
}
BODY = urlencode(FIELDS).encode()
V3 = "k7Pusd4OxCIjR5IfA9iedDNu/h/gbdYqdzG/MiYtd1c="
FORM_TYPE = {"Content-Type": "application/x-www-form-urlencoded"}


def plivo(token: str = TOKEN) -> providers.Provider:
    credentials = {"auth_id": "MANWVLYTK4ZWU1YTY4QA", "auth_token": token}
    return providers.load("plivo", credentials, now=lambda: datetime(2026, 1, 1, tzinfo=UTC))


def request(
    body: bytes = BODY,
    signed: str | None = V3,
    url: str = URL,
    method: str = "POST",
    nonce: str | None = NONCE,
    header: str = "X-Plivo-Signature-V3",
    headers: Mapping[str, str] = FORM_TYPE,
) -> CallbackRequest:
    given = {header: signed, "X-Plivo-Signature-V3-Nonce": nonce}
    return CallbackRequest(method, url, {**headers, **{k: v for k, v in given.items() if v is not None}}, body)


def accepts(callback: CallbackRequest, token: str = TOKEN) -> bool:
    try:
        plivo(token).verify(callback)
    except SignatureError:
        return False
    return True


def v3(text: str, token: str = TOKEN) -> str:
    return base64.b64encode(hmac.new(token.encode(), f"{text}.{NONCE}".encode(), hashlib.sha256).digest()).decode()


def test_plivos_own_vector_is_accepted_under_either_header():
    assert accepts(request())
    assert accepts(request(header="x-plivo-signature-v3"))
    assert accepts(request(header="X-Plivo-Signature-Ma-V3"))
    assert accepts(request(headers={}))
    assert accepts(request(headers={"Content-Type": "application/json"}))
    assert signature(TOKEN, URL, NONCE, FIELDS) == V3


@pytest.mark.parametrize("signed", [f"AAAA,{V3}", f"{V3},AAAA", f" AAAA , {V3} ", f",{V3},"])
def test_one_of_several_signatures_in_a_header_is_enough(signed: str):
    assert accepts(request(signed=signed))


def test_each_of_the_two_headers_may_hold_the_one_that_counts():
    headers = {**FORM_TYPE, "X-Plivo-Signature-Ma-V3": V3}
    assert accepts(request(signed="AAAA", headers=headers))


@pytest.mark.parametrize("tokens", [f"{TOKEN},other", f"other,{TOKEN}", f" other , {TOKEN} "])
def test_while_a_token_is_rotated_either_is_accepted(tokens: str):
    assert accepts(request(), tokens)


@pytest.mark.parametrize(
    ("method", "url", "body", "text"),
    [
        ("POST", "https://a.example/x", b"b=2&a=1", "https://a.example/x?a1b2"),
        ("POST", "https://a.example/x", b"", "https://a.example/x"),
        ("POST", "https://a.example/x?q=1", b"", "https://a.example/x?q=1"),
        ("POST", "https://a.example/x?q=1", b"a=1", "https://a.example/x?q=1.a1"),
        ("POST", "https://a.example/x?z=1&q=%20%2B&b=", b"a=%2B", "https://a.example/x?b=&q= +&z=1.a+"),
        ("POST", "https://a.example/x?q=2&q=1", b"a=2&a=1", "https://a.example/x?q=1&q=2.a1a2"),
        ("POST", "https://a.example/x#ct=2000", b"a=", "https://a.example/x?a"),
        ("POST", "https://a.example:8443/x", b"a=%C3%A9", "https://a.example:8443/x?aé"),
        ("GET", "https://a.example/x?b=2&a=%2B1", b"", "https://a.example/x?a=+1&b=2"),
        ("GET", "https://a.example/x", b"", "https://a.example/x"),
    ],
)
def test_query_and_fields_are_signed_sorted_and_decoded(method: str, url: str, body: bytes, text: str):
    assert accepts(request(body, v3(text), url, method))


@pytest.mark.parametrize(
    "tampered",
    [
        request(BODY.replace(b"in-progress", b"completed")),
        request(BODY + b"&Extra="),
        request(b""),
        request(url=URL.replace("a=b", "a=c")),
        request(url=URL.replace("https", "http")),
        request(url=URL.replace("plivobin", "plivobim")),
        request(nonce=NONCE[:-1]),
        request(nonce=None),
        request(nonce=""),
        request(signed=None),
        request(signed=""),
        request(signed=","),
        request(signed=V3[:-1]),
        request(signed=V3.swapcase()),
        request(signed="é\udcff\x00"),
        request(signed=",".join(["AAAA"] * 16 + [V3])),
        request(method="GET"),
        request(json.dumps(FIELDS).encode(), headers={"Content-Type": "application/json"}),
        request(json.dumps(FIELDS).encode(), v3(URL)),
        request(b"\xff\xfe"),
        request(b"To=%ff"),
        request(b"a=1&" * 2000),
        request(url="\ud800"),
        request(url="https://[::1"),
        request(url="https://a.example/?%ff=1"),
        request(header="X-Plivo-Signature-V2"),
    ],
)
def test_a_callback_with_a_wrong_signature_is_rejected(tampered: CallbackRequest):
    assert not accepts(tampered)


def test_a_v2_signature_is_rejected_because_it_does_not_cover_the_fields():
    nonce, url = "12345", "https://answer.url"
    v2 = base64.b64encode(hmac.new(b"my_auth_token", f"{url}{nonce}".encode(), hashlib.sha256).digest()).decode()
    assert v2 == "ehV3IKhLysWBxC1sy8INm0qGoQYdYsHwuoKjsX7FsXc="
    for header in ("X-Plivo-Signature-V2", "X-Plivo-Signature-V3"):
        assert not accepts(request(b"a=1", v2, url, nonce=nonce, header=header), "my_auth_token")


def test_another_accounts_token_and_an_empty_one_are_refused():
    assert not accepts(request(), TOKEN[:-1])
    assert not accepts(request(b"", v3("https://a.example/x", ""), "https://a.example/x"), f"{TOKEN},")
    with pytest.raises(RedialError, match="PLIVO_AUTH_TOKEN holds no token"):
        plivo(" , ")


@pytest.mark.parametrize("signed", [None, "", "garbage"])
def test_a_refusal_gives_no_secret_away(signed: str | None):
    with pytest.raises(SignatureError) as refusal:
        plivo("s3cret-token").verify(request(signed=signed))
    assert "s3cret" not in str(refusal.value)
    assert URL not in str(refusal.value)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.text(max_size=40), st.text(max_size=40), st.sampled_from(["POST", "GET"]))
def test_a_random_signature_is_rejected(body: bytes, signed: str, text: str, method: str):
    assert not accepts(request(body, signed, f"https://a.example/x?{text}", method, nonce=text))
    assert not accepts(request(body, signed, text, method, headers={}))
