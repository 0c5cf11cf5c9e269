"""Twilio's signatures, compared with Twilio's own vectors and its own validator."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from chalicelib import providers
from chalicelib.errors import RedialError
from chalicelib.providers import CallbackRequest, SignatureError
from tests.providers.cases.twilio import BUSY_BODY

TOKEN = "12345"
URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
FORM_TYPE = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
JSON_TYPE = {"Content-Type": "application/json"}

P = [
    ("CallSid", "CA1234567890ABCDE"),
    ("Caller", "+14158675309"),
    ("Digits", "1234"),
    ("From", "+14158675309"),
    ("To", "+18005551212"),
]
T1 = "RSOYDt4T1cUTdK1PDd93/VVr8B8="

JSON_BODY = b'{"property": "value", "boolean": true}'
JSON_URL = f"{URL}&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
T6 = "a9nBmqA0ju/hNViExpshrM61xv4="

BUSY_URL = "https://retry.example.com/api/webhooks/twilio?tenant=t1&attempt=2"
BUSY_SIGNATURE = "BTk39j7Tm6fD9B4MRG+IF69SE7Q="
BUSY_SIGNATURE_WITHOUT_BLANKS = "dQnD5JLEyUeY/4fEGBQ03PwABvU="


class Form:
    """A form with repeated names, as Twilio's validator reads it from a web framework."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self.pairs = pairs

    def __iter__(self) -> Iterator[str]:
        return iter(name for name, _ in self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def getlist(self, wanted: str) -> list[str]:
        return [value for name, value in self.pairs if name == wanted]


def twilio(token: str = TOKEN) -> providers.Provider:
    return providers.load(
        "twilio",
        {"account_sid": "AC37682153267845716245762454a", "auth_token": token},
        now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
    )


def request(
    body: bytes = b"",
    signature: str | None = None,
    url: str = URL,
    method: str = "POST",
    headers: Mapping[str, str] = FORM_TYPE,
) -> CallbackRequest:
    signed = {} if signature is None else {"x-twilio-signature": signature}
    return CallbackRequest(method=method, url=url, headers={**headers, **signed}, body=body)


def accepts(callback: CallbackRequest, token: str = TOKEN) -> bool:
    try:
        twilio(token).verify(callback)
    except SignatureError:
        return False
    return True


def test_twilios_own_vectors_are_accepted():
    repeated = [
        ("Sid", "CA123"),
        ("SidAccount", "AC123"),
        ("Digits", "5678"),
        ("Digits", "1234"),
        ("Digits", "1234"),
    ]
    assert accepts(request(urlencode(P).encode(), T1))
    assert accepts(request(urlencode(repeated).encode(), "IK+Dwps556ElfBT0I3Rgjkr1wJU="))
    assert accepts(request(JSON_BODY, T6, JSON_URL, headers=JSON_TYPE))


def test_a_real_busy_callback_is_accepted_only_with_its_blank_values():
    assert accepts(request(BUSY_BODY, BUSY_SIGNATURE, BUSY_URL))
    assert not accepts(request(BUSY_BODY, BUSY_SIGNATURE_WITHOUT_BLANKS, BUSY_URL))
    without_blank = BUSY_BODY.replace(b"&ToCity=&", b"&")
    assert not accepts(request(without_blank, BUSY_SIGNATURE, BUSY_URL))


@pytest.mark.parametrize(
    "tampered",
    [
        request(urlencode(P).encode().replace(b"1234", b"1235"), T1),
        request(urlencode(P).encode() + b"&Extra=", T1),
        request(urlencode(P[1:]).encode(), T1),
        request(urlencode(P).encode(), T1, URL.replace("foo=1", "foo=2")),
        request(urlencode(P).encode(), T1, URL.replace("https", "http")),
        request(urlencode(P).encode(), T1, URL + "&baz="),
        request(urlencode(P).encode(), T1.swapcase()),
        request(urlencode(P).encode(), T1[:-1]),
        request(urlencode(P).encode(), T1 + " "),
        request(urlencode(P).encode(), ""),
        request(urlencode(P).encode(), "é\udcff\x00"),
        request(urlencode(P).encode(), None),
        request(urlencode(P).encode(), T1, method="GET"),
        request(json.dumps(dict(P)).encode(), T1, headers=JSON_TYPE),
        request(b"\xff\xfe", T1),
        request(b"To=%ff", T1),
        request(b"a=1&" * 2000, T1),
        request(b"%" * 6_000_000, T1),
        request(urlencode(P).encode(), T1, "\ud800"),
        request(urlencode(P).encode(), T1, "https://[::1"),
        request(urlencode(P).encode(), T1, "https://mycompany.com:99999999/?%ff=1"),
    ],
)
def test_a_callback_with_a_wrong_signature_is_rejected(tampered: CallbackRequest):
    assert not accepts(tampered)


def test_another_accounts_token_is_refused():
    assert not accepts(request(urlencode(P).encode(), T1), "12346")


@pytest.mark.parametrize("tokens", ["12345,other", "other,12345", " other , 12345 "])
def test_while_a_token_is_rotated_either_is_accepted(tokens: str):
    assert accepts(request(urlencode(P).encode(), T1), tokens)


def test_an_empty_token_is_no_token():
    empty = base64.b64encode(hmac.new(b"", URL.encode(), hashlib.sha1).digest()).decode()
    assert not accepts(request(b"", empty), "12345,")
    with pytest.raises(RedialError, match="TWILIO_AUTH_TOKEN holds no token"):
        twilio(" , ")


@pytest.mark.parametrize(
    ("signed", "seen"),
    [
        ("https://a.example/x", "https://a.example:443/x"),
        ("https://a.example:443/x", "https://a.example/x"),
        ("http://a.example:80/x", "http://a.example/x"),
        ("https://a.example/x", "https://a.example:8443/x"),
        ("https://[::1]:443/x", "https://[::1]/x"),
        ("https://a.example:443", "https://a.example"),
    ],
)
def test_the_port_may_be_signed_or_not(signed: str, seen: str):
    signature = RequestValidator(TOKEN).compute_signature(signed, dict(P))
    assert accepts(request(urlencode(P).encode(), signature, seen))


def test_a_json_body_counts_only_as_far_as_its_hash_in_the_url_is_signed():
    unhashed = RequestValidator(TOKEN).compute_signature(URL, {})
    other = hashlib.sha256(b"{}").hexdigest()
    assert not accepts(request(JSON_BODY, unhashed, headers=JSON_TYPE))
    assert not accepts(request(JSON_BODY + b" ", T6, JSON_URL, headers=JSON_TYPE))
    assert not accepts(request(b"{}", T6, JSON_URL.replace(JSON_URL[-64:], other), headers=JSON_TYPE))
    assert not accepts(request(JSON_BODY, T6, JSON_URL + "0", headers=JSON_TYPE))
    assert not accepts(request(b"\xff", T6, JSON_URL, headers={"Content-Type": "text/plain"}))


def test_a_get_callback_is_signed_by_its_url_alone():
    url = f"https://a.example/x?{urlencode(P)}"
    signature = RequestValidator(TOKEN).compute_signature(url, {})
    assert accepts(request(url=url, signature=signature, method="GET"))
    assert not accepts(request(url=url + "&CallStatus=completed", signature=signature, method="GET"))


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
forms = st.lists(st.tuples(st.sampled_from(["To", "to", "To2", "é", "Digits"]) | words, words), max_size=8)
urls = st.builds(
    "{}://{}{}{}".format,
    st.sampled_from(["http", "https"]),
    st.sampled_from(["a.example", "a.example:443", "a.example:8080", "a.example:80"]),
    st.sampled_from(["/", "/x/é", "/x%20y"]),
    st.sampled_from(["", "?a=1", "?a=1&a=%20&b=", "?next=https://b.example:1/"]),
)


@settings(max_examples=150, deadline=None)
@given(forms, forms, urls, urls)
def test_every_request_is_judged_as_twilios_own_validator_judges_it(signed, sent, signed_url, sent_url):
    validator = RequestValidator(TOKEN)
    for form, url in ((signed, signed_url), (sent, sent_url), (signed[::-1], signed_url)):
        signature = validator.compute_signature(signed_url, Form(signed))
        expected = validator.validate(url, Form(form), signature)
        assert accepts(request(urlencode(form).encode(), signature, url)) is expected


@pytest.mark.parametrize("signature", [None, "", T1[:-1], "garbage"])
def test_a_refusal_gives_no_secret_away(signature: str | None):
    with pytest.raises(SignatureError) as refusal:
        twilio("s3cret-token").verify(request(urlencode(P).encode(), signature))
    assert "s3cret" not in str(refusal.value)
    assert URL not in str(refusal.value)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([FORM_TYPE, JSON_TYPE, {}]), st.text(max_size=40))
def test_a_random_signature_is_rejected(body: bytes, headers: Mapping[str, str], text: str):
    assert not accepts(request(body, text, f"https://a.example/x?{text}", headers=headers))
    assert not accepts(request(body, text, text, "GET", headers))


SHARED_SECRET = "shared-key-secret"
SETTINGS = {"X-Twilio-Webhooks-Signature-Settings": "key=webhooks_sharedkey_01,algorithm=HMAC_SHA256"}
P_BODY = urlencode(P).encode()


def with_shared_key(*, keys: str = SHARED_SECRET) -> providers.Provider:
    credentials = {"account_sid": "AC37682153267845716245762454a", "auth_token": TOKEN, "shared_key": keys}
    return providers.load("twilio", credentials, now=lambda: datetime(2026, 1, 1, tzinfo=UTC))


def shared(url: str, params: object, secret: str = SHARED_SECRET) -> str:
    return RequestValidator(secret).compute_signature(url, params, "HMAC_SHA256")


@pytest.mark.parametrize(
    "callback",
    [
        request(P_BODY, shared(URL, dict(P)), headers=FORM_TYPE | SETTINGS),
        request(JSON_BODY, shared(JSON_URL, {}), JSON_URL, headers=JSON_TYPE | SETTINGS),
        request(b"", shared(URL, {}), URL, "GET", headers=SETTINGS),
        request(P_BODY, shared(URL.replace(".com/", ".com:443/"), dict(P)), headers=FORM_TYPE | SETTINGS),
        request(P_BODY, shared(URL, dict(P)), URL.replace(".com/", ".com:443/"), headers=FORM_TYPE | SETTINGS),
        request(P_BODY, shared(URL, dict(P), "the-next-one"), headers=FORM_TYPE | SETTINGS),
    ],
    ids=["form", "json", "get", "signed with a port", "received with a port", "rotated"],
)
def test_a_signature_by_a_shared_key_is_accepted_as_the_validator_does(callback: CallbackRequest):
    with_shared_key(keys=f"{SHARED_SECRET}, the-next-one").verify(callback)
    with pytest.raises(SignatureError):
        twilio().verify(callback)  # the key is not set up


def test_a_body_that_a_shared_key_did_not_sign_is_refused():
    for body in (P_BODY + b"0", JSON_BODY + b" "):
        url, signed = (JSON_URL, shared(JSON_URL, {})) if body.startswith(b"{") else (URL, shared(URL, dict(P)))
        with pytest.raises(SignatureError, match="does not match"):
            with_shared_key().verify(request(body, signed, url, headers=FORM_TYPE | SETTINGS))


@pytest.mark.parametrize(
    ("settings", "algorithm"),
    [
        ("key=webhooks_sharedkey_01, algorithm=hmac_sha256", "HMAC_SHA256"),
        ("algorithm=HMAC_SHA256", "HMAC_SHA256"),
        ("key=webhooks_sharedkey_01,algorithm=HMAC_SHA1", "HMAC_SHA1"),
        ("key=webhooks_sharedkey_01", None),
        ("", None),
        (",,=,algorithm=", None),
    ],
)
def test_the_algorithm_is_read_from_the_header_as_the_validator_does(settings: str, algorithm: str | None):
    signed = RequestValidator(SHARED_SECRET).compute_signature(URL, dict(P), algorithm)
    headers = FORM_TYPE | {"x-twilio-webhooks-signature-settings": settings}
    with_shared_key().verify(request(P_BODY, signed, headers=headers))


@pytest.mark.parametrize("algorithm", ["HMAC_SHA512", "none", "md5", "HMAC_SHA256;"])
def test_an_algorithm_that_the_validator_does_not_have_is_refused(algorithm: str):
    headers = FORM_TYPE | {"X-Twilio-Webhooks-Signature-Settings": f"key=1,algorithm={algorithm}"}
    with pytest.raises(SignatureError, match="names the algorithm"):
        with_shared_key().verify(request(P_BODY, shared(URL, dict(P)), headers=headers))


def test_a_sha256_signature_without_its_header_is_refused():
    with pytest.raises(SignatureError):
        with_shared_key().verify(request(P_BODY, shared(URL, dict(P))))
