"""What an answer to a new call means where its HTTP status tells, for Exotel, Bolna and DialNexa alike."""

from dataclasses import replace

import pytest

from chalicelib import providers
from chalicelib.domain.outcome import Outcome
from chalicelib.providers import DialRequest, DialResult, PlacementUnknown, Provider, PutOff, Refused
from chalicelib.providers.http import Answer, AnswerLost, NotSent
from tests.providers.cases import NOW, case
from tests.support.fake_http import FakeHttp, answer, asked_now

NAMES = ("bolna", "dialnexa", "exotel")
CALL_ID = "80bfbec2d78bbbf10fb851f4fa165211"
DIAL = DialRequest(
    call_id="call_01",
    attempt=1,
    from_number="+918047104890",
    to_number="+919876543210",
    answer_url=None,
    callback_url="https://redial.example.com/callbacks/x/call_01.1.0123456789abcdef0123456789abcdef",
    agent_version_id="926",
)
PLACED = {"exotel": {"Call": {"Sid": CALL_ID}}, "bolna": {"execution_id": CALL_ID}, "dialnexa": {"id": CALL_ID}}

every = pytest.mark.parametrize("name", NAMES)


def provider(name: str, http: FakeHttp) -> Provider:
    return providers.load(name, case(name).credentials, now=lambda: NOW, http=http)


def dialled(name: str, given: Answer | Exception) -> DialResult:
    """The result without its evidence, of exactly one request."""
    http = FakeHttp(given)
    result = provider(name, http).dial(DIAL)
    assert len(http.sent) == 1
    return replace(result, evidence={})


@every
@pytest.mark.parametrize("status", [200, 201, 202])
def test_an_answer_that_names_the_call_has_placed_it(name: str, status: int):
    result = dialled(name, answer(status, PLACED[name]))
    assert result == providers.Placed(CALL_ID)


@every
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>"),
        (200, b"\xff"),
        (200, b"[" * 100_000),
        (200, []),
        (200, {}),
        (200, {"Call": [], "id": None, "execution_id": {}}),
        (201, {"Call": {"Sid": "../x"}, "id": "../x", "execution_id": "../x"}),
        (204, b""),
        (302, b""),
        (303, b""),
        (500, b""),
        (502, b"<html>"),
        (503, {"Call": {"Sid": CALL_ID}, "id": CALL_ID, "execution_id": CALL_ID}),
        (101, b""),
    ],
)
def test_an_answer_that_leaves_it_open_is_never_taken_for_a_no(name: str, status: int, body: object):
    assert dialled(name, answer(status, body)) == PlacementUnknown(f"http:{status}")


@every
def test_what_was_not_sent_is_deferred_and_what_was_not_answered_is_unknown(name: str):
    assert dialled(name, NotSent("refused")) == PutOff("network", fault=False)
    assert dialled(name, AnswerLost("x" * 999)) == PlacementUnknown("answer-lost")


@every
@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ({}, None),
        ({"retry_after": "7"}, 7),
        ({"retry_after": "Mon, 26 Jan 2026 10:01:35 GMT"}, 90),
        ({"retry_after": "soon"}, None),
    ],
)
def test_too_fast_is_deferred_for_as_long_as_the_vendor_says(name: str, header: dict[str, str], seconds: int | None):
    assert dialled(name, answer(429, {}, **header)) == PutOff("http:429", fault=False, retry_after_sec=seconds)


@pytest.mark.parametrize(
    ("name", "status"),
    [(name, status) for name in NAMES for status in (401, 402, 403, 307, 308)] + [("exotel", 404)],
)
def test_a_fault_of_the_account_uses_up_no_attempt(name: str, status: int):
    assert dialled(name, answer(status, b"nope")) == PutOff(f"http:{status}", fault=True)


@pytest.mark.parametrize(
    ("name", "status", "body", "outcome"),
    [
        ("exotel", 400, {"RestException": {"Status": 400, "Message": "Bad parameter"}}, Outcome.ERROR),
        ("exotel", 403, {"RestException": {"Message": "Number is registered under TRAI NDNC"}}, Outcome.DND),
        ("exotel", 400, {"RestException": {"Message": "DND number, call not allowed"}}, Outcome.DND),
        ("bolna", 400, {"message": "recipient_phone_number is not valid"}, Outcome.INVALID_NUMBER),
        ("bolna", 422, {"detail": [{"loc": ["body", "recipient_phone_number"]}]}, Outcome.INVALID_NUMBER),
        ("bolna", 422, {"detail": [{"loc": ["body", "agent_id"]}]}, Outcome.ERROR),
        ("bolna", 404, {"message": "agent not found"}, Outcome.ERROR),
        ("dialnexa", 400, {"message": "phone_number must be a valid E.164 phone number"}, Outcome.INVALID_NUMBER),
        ("dialnexa", 400, {"message": ["x", "phone_number must be a valid one", 7]}, Outcome.INVALID_NUMBER),
        ("dialnexa", 400, {"message": "metadata must be an object"}, Outcome.ERROR),
        (
            "dialnexa",
            403,
            {"message": "Destination country or network prefix is not enabled for this workspace"},
            Outcome.ERROR,
        ),
        ("dialnexa", 404, {"message": "Agent or phone number not found"}, Outcome.ERROR),
    ],
)
def test_a_refusal_of_this_one_call_ends_the_attempt(name: str, status: int, body: object, outcome: Outcome):
    assert dialled(name, answer(status, body)) == Refused(outcome, f"http:{status}")


@pytest.mark.parametrize(("name", "status"), [("exotel", 409), ("dialnexa", 409)])
def test_a_conflict_of_states_may_be_asked_about_later(name: str, status: int):
    assert dialled(name, answer(status, {})) == PutOff(f"http:{status}", fault=False)


@every
@pytest.mark.parametrize("agent", [None, "", "../x"])
def test_a_call_without_a_target_is_not_asked_for(name: str, agent: str | None):
    http = FakeHttp(answer(200, PLACED[name]))
    result = provider(name, http).dial(replace(DIAL, agent_version_id=agent))
    if name == "exotel":
        assert result == PutOff("no-answer-url", fault=True)
    elif not agent:
        assert result == Refused(Outcome.ERROR, "no-agent")
    else:
        return  # an agent's id travels in a JSON body, where it can do no harm
    assert http.sent == []


@every
@pytest.mark.parametrize(
    "given",
    [
        NotSent("x"),
        AnswerLost("x"),
        answer(404, {}),
        answer(401),
        answer(500),
        answer(302),
        answer(200, b"<html>"),
        answer(200, []),
        answer(200, {}),
        answer(200, {"Call": {"Sid": CALL_ID}, "id": CALL_ID}),
        answer(200, {"Call": {"Sid": CALL_ID, "Status": {}}, "id": CALL_ID, "status": []}),
        answer(200, {"Call": {"Sid": "other", "Status": "busy"}, "id": "other", "status": "busy"}),
    ],
)
def test_a_call_that_cannot_be_asked_after_is_none(name: str, given: Answer | Exception):
    http = FakeHttp(given)
    assert asked_now(given, lambda: provider(name, http).lookup(CALL_ID)) is None
    assert len(http.sent) == 1


@every
@pytest.mark.parametrize("call_id", ["", "../x", "a?b", "a\n", "é", "a" * 65, "a/b"])
def test_what_is_no_call_id_never_gets_into_a_url(name: str, call_id: str):
    http = FakeHttp(answer(200, {"id": call_id, "status": "busy", "Call": {"Sid": call_id, "Status": "busy"}}))
    assert provider(name, http).lookup(call_id) is None
    assert provider(name, http).hang_up(call_id) is False
    assert http.sent == []
