"""Vonage's events: the progress of a call, its outcome, its cause, and AMD."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from hypothesis import strategies as st

from chalicelib import providers
from chalicelib.domain.events import CallEvent, Progress
from chalicelib.domain.outcome import Amd, Outcome
from chalicelib.providers import CallbackRequest
from chalicelib.providers.vonage_events import DETAILS, DETECTIONS, ENDINGS, PROGRESS
from tests.providers.reading import FORM_TYPE, JSON_TYPE, CallbackCase, CallbackTests, random_bodies

CALL = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"
BOM = b"\xef\xbb\xbf"


def vonage() -> providers.Provider:
    credentials = {"application_id": "app", "private_key": "none", "signature_secret": "12345"}
    return providers.load("vonage", credentials, now=lambda: datetime(2026, 1, 1, tzinfo=UTC))


def request(
    body: bytes = b"",
    headers: Mapping[str, str] = JSON_TYPE,
    url: str = "https://retry.example.com/callbacks/vonage/token",
    method: str = "POST",
) -> CallbackRequest:
    return CallbackRequest(method=method, url=url, headers=headers, body=body)


def parsed(**fields: object) -> CallEvent:
    (event,) = vonage().parse(request(json.dumps({"uuid": CALL, **fields}).encode()))
    return event


COMPLETED = {
    "headers": {},
    "end_time": "2020-07-01T20:45:42.000Z",
    "uuid": "0A0000000123ABCD1",
    "network": "US-VIRTUAL-LEVEL3",
    "duration": "7",
    "start_time": "2020-07-01T20:45:35.000Z",
    "rate": "0.00450000",
    "price": "0.00052500",
    "from": "14845552121",
    "to": "16105553939",
    "conversation_uuid": "CON-2541d01c-253e-48be-a8e0-da4bbe4c3722",
    "status": "completed",
    "direction": "outbound",
    "timestamp": "2020-07-01T20:45:41.712Z",
}


@pytest.mark.parametrize("mark", [b"", BOM])
@pytest.mark.parametrize("headers", [JSON_TYPE, {}, {"Content-Type": "text/plain"}, FORM_TYPE])
def test_a_real_event_is_read_whole_with_or_without_a_byte_order_mark(mark: bytes, headers: Mapping[str, str]):
    names = ("status", "duration", "start_time", "end_time", "timestamp", "conversation_uuid", "network")
    assert vonage().parse(request(mark + json.dumps(COMPLETED).encode(), headers)) == [
        CallEvent(
            event_id="0A0000000123ABCD1:completed:",
            provider_call_id="0A0000000123ABCD1",
            status="completed",
            outcome=Outcome.COMPLETED,
            occurred_at=datetime(2020, 7, 1, 20, 45, 41, 712000, tzinfo=UTC),
            duration_sec=7,
            to_number="+16105553939",
            from_number="+14845552121",
            session="CON-2541d01c-253e-48be-a8e0-da4bbe4c3722",
            evidence={name: COMPLETED[name] for name in names},
        )
    ]


@pytest.mark.parametrize(("status", "progress"), PROGRESS.items())
def test_a_call_under_way_has_progress_and_no_outcome(status: str, progress: Progress):
    assert parsed(status=status, sip_code=404) == CallEvent(
        event_id=f"{CALL}:{status}:",
        provider_call_id=CALL,
        status=status,
        progress=progress,
        evidence={"status": status, "sip_code": "404"},
    )


@pytest.mark.parametrize(("status", "outcome"), ENDINGS.items())
@pytest.mark.parametrize("detail", [None, "as-yet-unknown-detail"])
def test_the_status_is_the_outcome_of_an_ended_call(status: str, outcome: Outcome, detail: str | None):
    event = parsed(status=status, detail=detail)
    assert (event.outcome, event.progress, event.amd, event.fault) == (outcome, None, None, None)
    assert event.cause == (f"vonage:{detail}" if detail else None)


@pytest.mark.parametrize("sip", [None, 486, 503])
@pytest.mark.parametrize(("key", "outcome"), DETAILS.items())
def test_the_detail_counts_more_than_any_sip_code(key: tuple[str, str], outcome: Outcome, sip: int | None):
    status, detail = key
    for spelling in (detail, detail.replace("-", "_")):
        event = parsed(status=status, detail=spelling, sip_code=sip)
        assert (event.outcome, event.cause) == (outcome, f"vonage:{detail}")


def test_some_details_are_these():
    assert parsed(status="rejected", detail="declined").outcome is Outcome.REJECTED
    assert parsed(status="rejected", detail="invalid_number").outcome is Outcome.INVALID_NUMBER
    assert parsed(status="rejected", detail="restricted").outcome is Outcome.DND
    assert parsed(status="failed", detail="number_out_of_service").outcome is Outcome.INVALID_NUMBER


@pytest.mark.parametrize(
    ("status", "sip", "outcome"),
    [
        ("failed", 486, Outcome.BUSY),
        ("failed", "404", Outcome.INVALID_NUMBER),
        ("failed", 503, Outcome.FAILED),
        ("failed", 200, Outcome.FAILED),
        ("rejected", 404, Outcome.REJECTED),
        ("completed", 404, Outcome.COMPLETED),
        ("unanswered", 486, Outcome.NO_ANSWER),
    ],
)
def test_the_sip_code_counts_only_with_the_word_failed(status: str, sip: object, outcome: Outcome):
    assert parsed(status=status, sip_code=sip).outcome is outcome


@pytest.mark.parametrize(("status", "amd"), DETECTIONS.items())
@pytest.mark.parametrize("key", ["uuid", "call_uuid"])
def test_detection_is_an_event_of_its_own_under_either_key(status: str, amd: Amd, key: str):
    body = json.dumps({key: CALL, "status": status, "sub_state": "beep_start"}).encode()
    assert vonage().parse(request(body)) == [
        CallEvent(
            event_id=f"{CALL}:{status}:beep-start",
            provider_call_id=CALL,
            status=status,
            amd=amd,
            evidence={"status": status, "sub_state": "beep_start"},
        )
    ]


@pytest.mark.parametrize("status", ["disconnected", "transfer", "Some_New_Word", None])
def test_an_unknown_word_is_kept_and_decides_nothing(status: str | None):
    event = parsed(status=status)
    spelled = status.lower().replace("_", "-") if status else None
    assert (event.status, event.progress, event.outcome, event.amd) == (spelled, None, None, None)


def test_an_application_error_is_kept_and_decides_nothing():
    said = {"reason": "Syntax error in NCCO.", "conversation_uuid": "CON-1", "timestamp": "2020-01-01T12:00:00.000Z"}
    assert vonage().parse(request(json.dumps(said).encode())) == [
        CallEvent(
            event_id="CON-1:error:",
            provider_call_id="CON-1",
            status="error",
            occurred_at=datetime(2020, 1, 1, 12, tzinfo=UTC),
            evidence=said,
        )
    ]
    completed = json.dumps({"conversation_uuid": "CON-1", "status": "completed"}).encode()
    assert vonage().parse(request(completed))[0].outcome is None


def test_a_party_may_be_an_object():
    event = parsed(to={"type": "phone", "number": "16105553939"}, **{"from": {"type": "sip", "uri": "sip:a@b"}})
    assert (event.to_number, event.from_number) == ("+16105553939", None)


def test_evidence_is_limited_and_storable():
    event = parsed(reason="x" * 9999, detail="\ud800", **{f"field{n}": "y" for n in range(500)})
    assert event.evidence == {"reason": "x" * 200, "detail": "?"}


@pytest.mark.parametrize(
    "parties",
    [
        {"to": {"type": "phone", "number": "16505550199"}, "from": {"type": "phone", "number": 14155550100}},
        {"to": [{"type": "phone", "number": "16505550199"}], "from": [{"type": "phone", "number": "14155550100"}]},
        {"to": ["16505550199"], "from": ["14155550100"]},
        {"to": "16505550199", "from": 14155550100},
    ],
)
def test_the_parties_are_read_as_text_object_or_list_of_one(parties: Mapping[str, object]):
    event = parsed(status="busy", **parties)
    assert (event.to_number, event.from_number) == ("+16505550199", "+14155550100")


@pytest.mark.parametrize("several", [[], ["16505550199", "16505550198"], [None], [[]], [True], 1.5, None])
def test_no_party_is_guessed_if_several_are_named(several: object):
    event = parsed(status="busy", to=several)
    assert (event.to_number, event.outcome) == (None, Outcome.BUSY)


@pytest.mark.parametrize("status", [status for status in ENDINGS if ENDINGS[status] is not Outcome.COMPLETED])
def test_an_answers_time_with_a_duration_counts_more_than_any_end(status: str):
    answered = {"start_time": "2020-07-01T20:45:35.000Z", "duration": "7"}
    assert parsed(status=status, **answered).outcome is Outcome.COMPLETED
    assert parsed(status=status, price="0.00052500", duration="7").outcome is Outcome.COMPLETED
    assert parsed(status=status, price="0.00000000", duration="7").outcome is ENDINGS[status]
    for unanswered in ({"start_time": "", "duration": "7"}, {"start_time": answered["start_time"], "duration": "0"}):
        assert parsed(status=status, **unanswered).outcome is ENDINGS[status]


@pytest.mark.parametrize(
    ("older", "outcome"),
    [
        ("complete", Outcome.COMPLETED),
        ("no_answer", Outcome.NO_ANSWER),
        ("unreachable", Outcome.NO_ANSWER),
        ("declined", Outcome.REJECTED),
    ],
)
def test_older_words_are_read_as_todays(older: str, outcome: Outcome):
    assert parsed(status=older).outcome is outcome


HEARD = [
    {"dtmf": {"digits": "1", "timed_out": False}},
    {"dtmf": "1", "timed_out": False},  # older webhooks
    {"dtmf": {"digits": "", "timed_out": True}, "speech": {"results": [{"text": "yes", "confidence": "0.9"}]}},
]
NOT_HEARD = [
    {"dtmf": {"digits": "", "timed_out": True}},
    {"dtmf": "", "timed_out": True},
    {"dtmf": None, "speech": {"timeout_reason": "start_timeout"}},
    {"speech": {"results": [], "error": "no match"}},
]


@pytest.mark.parametrize("fields", HEARD)
def test_a_key_or_a_word_of_the_person_called_proves_an_answer(fields: dict[str, object]):
    event = parsed(**fields)
    assert (event.status, event.progress, event.outcome) == ("input", Progress.IN_PROGRESS, None)
    assert "yes" not in str(event.evidence)
    assert parsed(status="timeout", **fields).outcome is Outcome.COMPLETED


@pytest.mark.parametrize("fields", NOT_HEARD)
def test_an_input_that_ran_out_of_time_proves_nothing(fields: dict[str, object]):
    assert parsed(**fields).progress is None


@pytest.mark.parametrize("fields", [*HEARD, *NOT_HEARD])
def test_an_input_is_read_from_a_query_as_from_a_body(fields: dict[str, object]):
    texts = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in fields.items()
        if value is not None
    }
    url = f"https://retry.example.com/callbacks/vonage/token?{urlencode({'uuid': CALL} | texts)}"
    (event,) = vonage().parse(request(url=url, method="GET"))
    assert event.progress == parsed(**fields).progress


BUSY = {"uuid": CALL, "status": "busy", "sip_code": "486"}


class TestVonage(CallbackTests):
    case = CallbackCase(
        provider=vonage,
        malformed=[
            (request(body), "")
            for body in [
                b"",
                b"{}",
                b"[]",
                b"null",
                BOM,
                b"\xff",
                b"[" * 100_000,
                b'{"uuid": ["1"]}',
                b'{"uuid": "a b"}',
                b'{"uuid": ""}',
            ]
        ],
        alike=[
            request(json.dumps({**BUSY, "sip_code": 486}).encode()),
            request(urlencode(BUSY).encode(), FORM_TYPE),
            request(url=f"https://a.example/x?{urlencode(BUSY)}", method="GET"),
        ],
        bodies=random_bodies(
            {"uuid": "1"},
            ["status", "detail", "sip_code", "duration", "timestamp", "to", "sub_state", "reason"],
        )
        | st.binary(max_size=50).map(lambda tail: BOM + tail),
    )
