"""The calls that are placed through Vonage's REST API, and Vonage's answers."""

import base64
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from chalicelib.domain.events import CallEvent, Leg, Progress
from chalicelib.domain.outcome import Amd, Outcome
from chalicelib.providers import DeferredByProvider, MachineDetection, Placed, PlacementUnknown, Refused
from chalicelib.providers.http import Answer, AnswerLost
from chalicelib.providers.vonage import Vonage
from tests.providers.dialing import DIAL, NOW, RETRY_AFTER, SILENT, DialCase, DialTests
from tests.support.fake_http import FakeHttp, answer

APPLICATION = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"
CALL = "106a581a-34d0-432a-a625-220221fd434f"
URL = "https://api.nexmo.com/v1/calls"
CALLBACK = "https://redial.example.com/callbacks/vonage/t0k3n"
VONAGE_DIAL = replace(DIAL, callback_url=CALLBACK)
STARTED = {"uuid": CALL, "status": "started", "direction": "outbound", "conversation_uuid": "CON-2be039b2"}
HEADERS = {
    "Authorization": f"Bearer of {APPLICATION}",
    "Accept": "application/json",
    "Content-Type": "application/json",
}
BODY = {
    "to": [{"type": "phone", "number": "16505550199"}],
    "from": {"type": "phone", "number": "14155550100"},
    "answer_url": ["https://example.com/answer?call_id=call_1"],
    "answer_method": "GET",
    "event_url": [CALLBACK],
    "event_method": "POST",
    "ringing_timer": 30,
    "length_timer": 600,
}
RECORD = {
    "_links": {"self": {"href": f"/calls/{CALL}"}},
    "uuid": CALL,
    "conversation_uuid": "CON-f972836a",
    "to": {"type": "phone", "number": "16505550199"},
    "from": {"type": "phone", "number": "14155550100"},
    "status": "completed",
    "direction": "outbound",
    "duration": "60",
    "start_time": "2020-01-01 12:00:00",
    "end_time": "2020-01-01 12:01:00",
    "network": "65512",
}
#: the fields of a record that are kept
KEPT = ("status", "duration", "start_time", "end_time", "conversation_uuid", "network")

RATE_LIMIT = {"type": "https://developer.vonage.com/api-errors#rate-limit", "title": "Rate limit"}
REFUSED = {"type": "TYPE", "error_title": "Bad Request"}
#: the refusals that every call of the account would meet
ACCOUNT_ERRORS = [
    {"type": "https://developer.nexmo.com/api-errors#low-balance", "title": "Low balance"},
    {"type": "https://example.com/Error#out-of-credit"},
    {"type": "https://developer.vonage.com/api-errors#account-suspended"},
    {"type": "UNAUTHORIZED".lower()},
    {"invalid_parameters": [{"name": "from.number", "reason": "is invalid"}]},
    {"invalid_parameters": [{"name": "event_url", "reason": "is invalid"}]},
    {"invalid_parameters": {"from": "is invalid"}},
    {"invalid_parameters": [{"name": "number"}, {"name": "from"}]},
    {"invalid_parameters": [{"name": "to"}, {"name": "$.from"}]},
]
INVALID = {"type": "https://developer.vonage.com/api-errors#invalid-params"}
#: the invalid parameters of a refusal -> the outcome; it is read by the field that it names
REFUSALS = [
    ([{"name": "to", "reason": "is invalid"}], Outcome.INVALID_NUMBER),
    ([{"name": "to[0].number"}], Outcome.INVALID_NUMBER),
    ([{"name": "to.0.number"}], Outcome.INVALID_NUMBER),
    ([{"name": "$.to[0].number"}], Outcome.INVALID_NUMBER),
    ({"to": "invalid"}, Outcome.INVALID_NUMBER),
    ([{"name": "number", "reason": "is invalid"}], Outcome.INVALID_NUMBER),
    ({"number": "is invalid"}, Outcome.INVALID_NUMBER),
    ([{"name": "numbers"}], Outcome.ERROR),
    ([{"name": "token"}], Outcome.ERROR),
    ([{"name": "answer_url"}], Outcome.ERROR),
    ([{"name": "to_be"}], Outcome.ERROR),
    ([{"reason": "to"}, 7, None], Outcome.ERROR),
    ("to", Outcome.ERROR),
    (None, Outcome.ERROR),
]


@cache
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(form: PrivateFormat = PrivateFormat.PKCS8) -> str:
    return key().private_bytes(Encoding.PEM, form, NoEncryption()).decode()


def vonage(http: FakeHttp, **credentials: str) -> Vonage:
    usual = {"application_id": APPLICATION, "private_key": pem(), "signature_secret": "s"}
    return Vonage({**usual, **credentials}, now=lambda: NOW, http=http)


def claims_in(headers: Mapping[str, str]) -> dict[str, object]:
    """Return the claims of a request's token. Another library than ours checks it."""
    scheme, _, token = headers["Authorization"].partition(" ")
    head, body, signature = token.split(".")
    key().public_key().verify(decoded(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
    assert (scheme, json.loads(decoded(head))) == ("Bearer", {"typ": "JWT", "alg": "RS256"})
    return dict(json.loads(decoded(body)))


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class TestVonage(DialTests):
    case = DialCase(
        provider=vonage,
        call_id=CALL,
        dial=VONAGE_DIAL,
        placed=answer(201, STARTED),
        placed_evidence={
            "http_status": "201",
            "uuid": CALL,
            "status": "started",
            "conversation_uuid": "CON-2be039b2",
        },
        calls_url=URL,
        headers=HEADERS,
        post_headers=HEADERS,
        stable_headers=lambda headers: {
            **headers,
            "Authorization": f"Bearer of {claims_in(headers)['application_id']}",
        },
        account=APPLICATION,
        calls_per_second=3.0,
        requests=[
            ({}, BODY),
            ({"machine_detection": MachineDetection.SYNC}, {**BODY, "machine_detection": "continue"}),
            ({"machine_detection": MachineDetection.ASYNC}, {**BODY, "machine_detection": "continue"}),
            # The timers keep within what both of Vonage's references allow.
            (
                {"ring_timeout_sec": 600, "max_call_sec": 14_400},
                {**BODY, "ringing_timer": 120, "length_timer": 7200},
            ),
        ],
        addresses=[({"api_url": "https://api-eu-3.vonage.com/"}, "https://api-eu-3.vonage.com/v1/calls")],
        unsendable=[
            ({"answer_url": None}, DeferredByProvider("no-answer-url", fault=True)),
            ({"to_number": "sip:a@b.example"}, Refused(Outcome.INVALID_NUMBER, "to-number")),
            ({"from_number": "Redial"}, DeferredByProvider("from-number", fault=True)),
        ],
        answers=[
            *((answer(201, {"uuid": word}), PlacementUnknown("http:201")) for word in (None, "../calls")),
            (answer(500, {"type": "https://x#low-balance"}), PlacementUnknown("http:500")),
            *(
                (answer(status, b"nope"), DeferredByProvider(f"http:{status}", fault=True))
                for status in (402, 403, 404, 405)
            ),
            *(
                (answer(429, RATE_LIMIT, **h), DeferredByProvider("http:429", False, retry_after_sec=s))
                for h, s in RETRY_AFTER
            ),
            *((answer(400, body), DeferredByProvider("http:400", fault=True)) for body in ACCOUNT_ERRORS),
            *((answer(400, {**INVALID, "invalid_parameters": p}), Refused(o, "http:400")) for p, o in REFUSALS),
        ],
        evidence=[
            (
                answer(400, {**REFUSED, "detail": "x" * 999, "invalid_parameters": {"to": "y"}}),
                Refused(
                    Outcome.INVALID_NUMBER,
                    "http:400",
                    {"http_status": "400", **REFUSED, "detail": "x" * 200, "invalid_parameters": "to"},
                ),
            )
        ],
        lookups=[
            (
                [answer(200, RECORD), answer(200, {"count": 1, "_embedded": {"calls": [RECORD]}})],
                CallEvent(
                    event_id=f"{CALL}:lookup:completed",
                    provider_call_id=CALL,
                    status="completed",
                    outcome=Outcome.COMPLETED,
                    occurred_at=datetime(2020, 1, 1, 12, 1, tzinfo=UTC),
                    duration_sec=60,
                    to_number="+16505550199",
                    from_number="+14155550100",
                    leg=Leg.OUTGOING,
                    session=RECORD["conversation_uuid"],
                    evidence={name: RECORD[name] for name in KEPT},
                ),
                [
                    f"{URL}/{CALL}",
                    f"{URL}?conversation_uuid=CON-f972836a&order=asc&page_size=100&record_index=0",
                ],
            )
        ],
        silent=[*SILENT, (answer(200, {"uuid": CALL}), 1), (answer(200, {**RECORD, "uuid": "other"}), 1)],
        hang_up_requests=[("PUT", f"{URL}/{CALL}", HEADERS, {"action": "hangup"})],
        resource=lambda call_id: answer(200, {**RECORD, "uuid": call_id}),
    )


def test_a_token_has_the_claims_that_vonage_asks_for():
    http = FakeHttp(answer(201, STARTED))
    vonage(http).dial(VONAGE_DIAL)
    claims = claims_in(http.sent[0][2])
    at = int(NOW.timestamp())
    assert claims == {"application_id": APPLICATION, "iat": at, "exp": at + 900, "jti": claims["jti"]}


class Clock:
    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


def test_one_token_is_signed_for_its_whole_life(monkeypatch: pytest.MonkeyPatch):
    signed = []
    monkeypatch.setattr("chalicelib.providers.vonage.sign_rs256", lambda claims, _: signed.append(claims) or "t")
    clock, http = Clock(), FakeHttp(answer(201, STARTED))
    provider = Vonage(
        {"application_id": APPLICATION, "private_key": pem(), "signature_secret": "s"}, now=clock, http=http
    )
    for seconds in (0, 60, 778, 1):
        clock.at += timedelta(seconds=seconds)
        provider.dial(VONAGE_DIAL)
        provider.lookup(CALL)
        provider.hang_up(CALL)
    begun = int(NOW.timestamp())
    # The last one comes with 61 s of the first token's 900 left.
    assert [claims["iat"] - begun for claims in signed] == [0, 838]
    clock.at = NOW
    provider.dial(VONAGE_DIAL)
    assert [claims["iat"] - begun for claims in signed] == [0, 838, 0]


def test_a_rejected_token_is_not_used_again():
    http = FakeHttp(answer(401), answer(201, STARTED))
    provider = vonage(http)
    assert [type(provider.dial(VONAGE_DIAL)) for _ in range(3)] == [DeferredByProvider, Placed, Placed]
    tokens = [claims_in(headers)["jti"] for _, _, headers, _ in http.sent]
    assert tokens[0] != tokens[1] == tokens[2]


def test_every_provider_signs_its_own_token():
    http = FakeHttp(answer(201, STARTED))
    for _ in range(2):
        vonage(http).dial(VONAGE_DIAL)
    assert len({claims_in(headers)["jti"] for _, _, headers, _ in http.sent}) == 2


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_a_key_may_be_of_either_kind_and_its_line_breaks_escaped(form: PrivateFormat):
    for text in (pem(form), pem(form).replace("\n", "\\n"), f"\n {pem(form)} "):
        http = FakeHttp(answer(201, STARTED))
        assert isinstance(vonage(http, private_key=text).dial(VONAGE_DIAL), Placed)
        assert claims_in(http.sent[0][2])["application_id"] == APPLICATION


def bad_keys() -> list[str]:
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 (that is the point)
    elliptic = ec.generate_private_key(ec.SECP256R1())
    lines = pem().splitlines()
    return [
        "none",
        "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----",
        "\n".join([lines[0], *lines[3:]]),
        elliptic.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        small.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    ]


def test_a_key_that_cannot_sign_is_the_accounts_fault_and_nothing_is_sent():
    for text in bad_keys():
        http = FakeHttp(answer(201, STARTED))
        provider = vonage(http, private_key=text)
        result = provider.dial(VONAGE_DIAL)
        assert replace(result, evidence={}) == DeferredByProvider("private-key", fault=True)
        assert "AAAA" not in str(result)
        assert provider.lookup(CALL) is None
        assert provider.hang_up(CALL) is False
        assert http.sent == []


def test_the_signing_library_waits_for_the_first_call():
    code = "import sys, chalicelib.providers.vonage; print({'rsa', 'pyasn1', 'cryptography'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_record_whose_parties_are_lists_is_looked_up_and_found():
    parties = {"to": [RECORD["to"]], "from": [RECORD["from"]]}
    page = answer(200, {"count": 1, "_embedded": {"calls": [{**RECORD, **parties}]}})
    event = vonage(FakeHttp(answer(200, {**RECORD, **parties}), page)).lookup(CALL)
    assert event is not None
    assert (event.to_number, event.from_number) == ("+16505550199", "+14155550100")
    answered_at = datetime(2020, 1, 1, 12, tzinfo=UTC)
    span = (answered_at - timedelta(minutes=5), answered_at + timedelta(minutes=5))
    found = vonage(FakeHttp(page)).find("+16505550199", "+14155550100", *span) or []
    assert [each.provider_call_id for each in found] == [CALL]
    websocket = {**RECORD, **parties, "to": [{"type": "websocket", "uri": "wss://example.com"}]}
    page = answer(200, {"count": 1, "_embedded": {"calls": [websocket]}})
    assert vonage(FakeHttp(page)).find("+16505550199", "+14155550100", *span) is None


def leg(call_id: str = "leg-2", **fields: object) -> dict[str, object]:
    return {**RECORD, "uuid": call_id, **fields}


INBOUND = leg("caller", direction="inbound", start_time="2020-01-01 11:59:00")
AGENT = leg("agent", start_time="2020-01-01 12:00:20")
EARLIER = leg("first", start_time="2020-01-01 11:59:00")


@pytest.mark.parametrize(
    ("own", "others", "expected"),
    [
        ({}, [], Leg.OUTGOING),
        ({"status": "busy", "start_time": None}, [], Leg.OUTGOING),
        ({}, [AGENT], Leg.OUTGOING),  # it was answered first, so the other leg is its NCCO's
        ({}, [INBOUND], Leg.OTHER),
        ({"status": "busy", "start_time": None}, [INBOUND], Leg.OTHER),
        ({}, [EARLIER], Leg.OTHER),
        ({"status": "busy", "start_time": None}, [EARLIER], Leg.OTHER),
        ({}, [leg("same", start_time="2020-01-01 12:00:00")], Leg.OTHER),
        ({"status": "busy", "start_time": None}, [leg("busy", start_time=None)], Leg.UNKNOWN),
        ({"direction": "inbound"}, [], Leg.INBOUND),
        ({"direction": None}, [], Leg.UNKNOWN),
        ({}, [leg("odd", direction=None)], Leg.OTHER),
    ],
)
def test_a_look_up_knows_the_first_leg_of_a_conversation(
    own: dict[str, object], others: list[dict[str, object]], expected: Leg
):
    record = {**RECORD, **own}
    for listed in ([record, *others], [*others, record]):
        page = answer(200, {"count": len(listed), "_embedded": {"calls": listed}})
        event = vonage(FakeHttp(answer(200, record), page)).lookup(CALL)
        assert event is not None
        assert event.leg is expected


@pytest.mark.parametrize(
    "page",
    [
        answer(500),
        answer(404),
        AnswerLost("x"),
        answer(200, {"count": 0, "_embedded": {"calls": []}}),
        answer(200, {"count": 1, "_embedded": {"calls": [leg("another")]}}),
        answer(200, {"count": 101, "_embedded": {"calls": [RECORD]}}),
        answer(200, b"x"),
    ],
)
def test_a_leg_whose_conversation_cannot_be_listed_is_unknown(page: Answer | Exception):
    event = vonage(FakeHttp(answer(200, RECORD), page)).lookup(CALL)
    assert event is not None
    assert (event.outcome, event.leg) == (Outcome.COMPLETED, Leg.UNKNOWN)


@pytest.mark.parametrize(
    ("status", "end_time", "told"),
    [
        ("answered", None, (Progress.IN_PROGRESS, None, None)),
        ("machine", None, (None, None, Amd.MACHINE)),
        ("machine", "2020-01-01 12:01:00", (None, Outcome.VOICEMAIL, Amd.MACHINE)),
        ("human", "2020-01-01 12:01:00", (None, Outcome.COMPLETED, Amd.HUMAN)),
        ("busy", None, (None, Outcome.COMPLETED, None)),  # it has an answer's time and a duration
    ],
)
def test_a_record_may_end_with_the_result_of_amd(status: str, end_time: str | None, told: tuple[object, ...]):
    event = vonage(FakeHttp(answer(200, {**RECORD, "status": status, "end_time": end_time}))).lookup(CALL)
    assert event is not None
    assert (event.progress, event.outcome, event.amd) == told
