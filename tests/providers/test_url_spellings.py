"""Queries that API Gateway decoded, verified in each spelling that can be signed."""

import base64
import hashlib
import hmac
from time import thread_time
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest
from twilio.request_validator import RequestValidator

from chalicelib.providers import CallbackRequest, Provider, SignatureError, load
from chalicelib.providers.signing import url_spellings
from ops.local.carrier_plivo import signature as plivo_signature
from tests.providers.cases import NOW, case
from tests.support.world import AUTH_TOKEN, ENV, PUBLIC_URL, World

ADDRESS = "https://redial.example.com/api/callbacks/twilio/call_01.1.0123"
FIELDS = {
    "CallSid": "CA0123456789abcdef0123456789abcdef",
    "CallUUID": "c7f3a9de-6b54-4f0e-9a51-2f6f0d1c8e11",
    "CallStatus": "busy",
    "Timestamp": "Mon, 26 Jan 2026 10:00:00 +0000",
    "To": "+16505550199",
    "Caller": "sip:o'neil@example.com;user=phone",
    "Note": "a~b*c(d)!",
    "Name": "Zoë",
    "ToZip": "",
}
#: how senders of the field write such a query
QUERIES = {
    "percent": urlencode(FIELDS, quote_via=quote),
    "percent, all": urlencode(FIELDS, quote_via=quote, safe=""),
    "plus": urlencode(FIELDS),
    "JavaScript": urlencode(FIELDS, quote_via=quote, safe="!'()*"),
    "Java": urlencode(FIELDS, safe="*").replace("~", "%7E"),
    "as it is where a query may have it": urlencode(FIELDS, quote_via=quote, safe="!$'()*,/:;=?@"),
    "sorted": urlencode(sorted(FIELDS.items()), quote_via=quote),
}
#: what is left of it after API Gateway and our own way of writing it down
RECEIVED = urlencode(FIELDS)


def url_of(name: str, query: str) -> str:
    return f"{ADDRESS.replace('twilio', name)}?{query}"


def base64_of(key: str, text: str) -> str:
    return base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha1).digest()).decode()


def provider(name: str) -> Provider:
    return load(name, case(name).credentials, now=lambda: NOW)


def header(name: str, url: str) -> dict[str, str]:
    """Return the headers with the provider's signature of a GET of that URL."""
    if name == "twilio":
        return {"X-Twilio-Signature": RequestValidator("primary-auth-token").compute_signature(url, {})}
    if name == "signalwire":
        return {"X-SignalWire-Signature": base64_of(case(name).credentials["signing_key"].split(",")[0], url)}
    bare, _, query = url.partition("?")
    nonce, token = "05429567804466091622", case(name).credentials["auth_token"].split(",")[0]
    fields = "&".join(f"{key}={value}" for key, value in sorted(parse_qsl(query, keep_blank_values=True)))
    text = f"{bare}?{fields}.{nonce}"
    digest = hmac.new(token.encode(), text.encode(), hashlib.sha256).digest()
    return {"X-Plivo-Signature-V3": base64.b64encode(digest).decode(), "X-Plivo-Signature-V3-Nonce": nonce}


@pytest.mark.parametrize("spelling", QUERIES)
@pytest.mark.parametrize("name", ["twilio", "signalwire", "plivo"])
def test_a_get_is_verified_in_the_spelling_that_was_signed(name: str, spelling: str) -> None:
    headers = header(name, url_of(name, QUERIES[spelling]))
    received = CallbackRequest("GET", url_of(name, RECEIVED), headers, b"")
    provider(name).verify(received)
    (event,) = provider(name).parse(received)
    assert event.status == "busy"


@pytest.mark.parametrize("name", ["twilio", "signalwire", "plivo"])
def test_a_query_that_was_changed_is_refused_in_every_spelling(name: str) -> None:
    headers = header(name, url_of(name, QUERIES["percent"]))
    for changed in ({**FIELDS, "CallStatus": "completed"}, {**FIELDS, "Extra": "1"}, {"CallStatus": "busy"}):
        with pytest.raises(SignatureError):
            provider(name).verify(CallbackRequest("GET", url_of(name, urlencode(changed)), headers, b""))


@pytest.mark.parametrize("name", ["twilio", "signalwire", "plivo"])
@pytest.mark.parametrize("query", ["", "?policy=p&name=a%20b"])
def test_a_slash_at_the_end_of_the_path_makes_no_difference(name: str, query: str) -> None:
    bare = ADDRESS.replace("twilio", name)
    for signed, got in ((f"{bare}/{query}", f"{bare}{query}"), (f"{bare}{query}", f"{bare}/{query}")):
        if name == "plivo" and not query:
            nonce = "05429567804466091622"
            value = plivo_signature(case(name).credentials["auth_token"].split(",")[0], signed, nonce, {"a": "b"})
            headers = {"X-Plivo-Signature-V3": value, "X-Plivo-Signature-V3-Nonce": nonce}
            provider(name).verify(CallbackRequest("POST", got, headers, b"a=b"))
        else:
            provider(name).verify(CallbackRequest("GET", got, header(name, signed), b""))


def test_a_json_body_of_signalwire_is_verified_with_its_querys_spelling() -> None:
    key = case("signalwire").credentials["signing_key"].split(",")[0]
    signed, got = url_of("signalwire", "name=a%20b"), url_of("signalwire", "name=a+b")
    body = b'{"CallSid": "a", "nested": {"b": 1}}'
    value = hmac.new(key.encode(), signed.encode() + body, hashlib.sha1).hexdigest()
    provider("signalwire").verify(CallbackRequest("POST", got, {"X-SignalWire-Signature": value}, body))


def test_a_form_posted_to_an_address_with_a_query_is_verified() -> None:
    signed, got = url_of("twilio", "policy=p&name=a%20b"), url_of("twilio", "policy=p&name=a+b")
    value = RequestValidator("primary-auth-token").compute_signature(signed, FIELDS)
    headers = {"X-Twilio-Signature": value, "Content-Type": "application/x-www-form-urlencoded"}
    provider("twilio").verify(CallbackRequest("POST", got, headers, urlencode(FIELDS).encode()))


@pytest.mark.parametrize("order", [("tenant=b%20c", "a=1"), ("a=1", "tenant=b%20c")], ids="&".join)
def test_a_short_query_is_verified_in_any_order(order: tuple[str, ...]) -> None:
    # The address that a user gave; API Gateway groups the values of a name, and promises no order of the names.
    signed, got = url_of("twilio", "&".join(order)), url_of("twilio", "a=1&tenant=b+c")
    value = RequestValidator("primary-auth-token").compute_signature(signed, FIELDS)
    headers = {"X-Twilio-Signature": value, "Content-Type": "application/x-www-form-urlencoded"}
    provider("twilio").verify(CallbackRequest("POST", got, headers, urlencode(FIELDS).encode()))


def test_the_spellings_are_few_and_begin_with_the_given_one() -> None:
    url = url_of("twilio", QUERIES["JavaScript"])
    found = url_spellings(url)
    assert found[0] == url
    assert len(found) == len(set(found)) <= 52
    assert url_spellings("https://example.com/a") == ("https://example.com/a", "https://example.com/a/")


@pytest.mark.parametrize("query", ["a=%FF", "&".join(f"a{n}=1" for n in range(2_000))])
def test_a_query_that_cannot_be_decoded_is_refused(query: str) -> None:
    for name in ("twilio", "signalwire", "plivo"):
        headers = header(name, url_of(name, "a=b"))
        with pytest.raises(SignatureError):
            provider(name).verify(CallbackRequest("GET", url_of(name, query), headers, b""))


#: The piece of work takes about 11 ms of CPU, so the limit is about an eighth of a second.
MAX_PIECES = 12


@pytest.mark.parametrize("name", ["twilio", "signalwire", "plivo"])
@pytest.mark.parametrize("fields", [2, 900])
def test_the_worst_request_is_refused_at_a_bounded_cost(name: str, fields: int) -> None:
    query = urlencode([(f"a{n} ~'(*", "b c~!") for n in range(fields)])
    forged = [header(name, url_of(name, "a=b"))]
    if name == "signalwire":
        forged.append({"X-SignalWire-Signature": "0" * 40})
    for headers in forged:
        for body in (b"x=" + b"%41" * 43_000, b'{"a":"' + b"x" * 250_000 + b'"}'):
            request = CallbackRequest("POST", url_of(name, query), headers, body)
            assert min(pieces_to_refuse(name, request) for _ in range(3)) < MAX_PIECES


def pieces_to_refuse(name: str, request: CallbackRequest) -> float:
    """Return the CPU that the refusal of a request costs, in pieces of fixed work."""
    began = thread_time()
    sum(i * i for i in range(200_000))
    worked = thread_time()
    with pytest.raises(SignatureError):
        provider(name).verify(request)
    return (thread_time() - worked) / (worked - began)


@pytest.mark.parametrize("spelling", [name for name in QUERIES if name != "sorted"])
def test_a_get_callback_through_the_app_is_taken(world: World, spelling: str) -> None:
    call = world.place()
    placed = world.twilio.placed[0]
    fields = {**FIELDS, "CallSid": placed.sid, "AccountSid": ENV["TWILIO_ACCOUNT_SID"], "SequenceNumber": "2"}
    query = QUERIES[spelling].replace(FIELDS["CallSid"], placed.sid)
    query += "&" + urlencode({name: fields[name] for name in ("AccountSid", "SequenceNumber")})
    url = f"{placed.callback_url}?{query}"
    signed = RequestValidator(AUTH_TOKEN).compute_signature(url, {})
    path = url.removeprefix(PUBLIC_URL)
    answer = world.client.http.get(path, headers={"X-Twilio-Signature": signed})
    assert (answer.status_code, world.history(call["id"])) == (200, [(1, "busy")]), urlsplit(path).query
