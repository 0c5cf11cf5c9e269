"""Exotel's callbacks in each of their shapes, and the events read from them."""

import json
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from hypothesis import strategies as st

from chalicelib.domain.events import CallEvent, Leg, Progress
from chalicelib.domain.outcome import Amd, Outcome
from chalicelib.providers import CallbackRequest
from chalicelib.providers.exotel import Exotel
from chalicelib.providers.exotel_events import ENDINGS, PROGRESS
from chalicelib.providers.multipart import decode_multipart
from tests.providers.cases import NOW
from tests.providers.reading import CallbackCase, CallbackTests, random_bodies

SID = "80bfbec2d78bbbf10fb851f4fa165211"
TOKEN = "call_01.1.0123456789abcdef0123456789abcdef"


def exotel() -> Exotel:
    return Exotel({"account_sid": "acme1", "api_key": "key", "api_token": "token"}, now=lambda: NOW)


def request(body: bytes, content_type: str = "application/json") -> CallbackRequest:
    headers = {"Content-Type": content_type} if content_type else {}
    return CallbackRequest("POST", "https://a.example/callbacks/exotel/t", headers, body)


def parsed(**fields: object) -> CallEvent:
    (event,) = exotel().parse(request(json.dumps({"CallSid": SID, **fields}).encode()))
    return event


TWO_NUMBERS = {
    "CallSid": SID,
    "EventType": "terminal",
    "DateCreated": "2024-01-15 14:25:10",
    "DateUpdated": "2024-01-15 14:30:45",
    "To": "09123456789",
    "From": "09876543210",
    "PhoneNumberSid": "08047104890",
    "StartTime": "2024-01-15 14:25:12",
    "EndTime": "2024-01-15 14:30:45",
    "Status": "completed",
    "ConversationDuration": 320,
    "Direction": "outbound-api",
    "CustomField": "order_12345",
    "RecordingUrl": "https://s3.example.com/abc123.mp3",
    "Legs": [
        {"OnCallDuration": 335, "Status": "completed", "AnsweredBy": "NA"},
        {"OnCallDuration": 320, "Status": "completed", "AnsweredBy": "HUMAN"},
    ],
}


def test_a_call_of_two_numbers_is_read_for_the_second_the_customers():
    assert exotel().parse(request(json.dumps(TWO_NUMBERS).encode())) == [
        CallEvent(
            event_id=f"{SID}:terminal:completed",
            provider_call_id=SID,
            status="completed",
            outcome=Outcome.COMPLETED,
            occurred_at=datetime(2024, 1, 15, 9, 0, 45, tzinfo=UTC),
            duration_sec=320,
            amd=Amd.HUMAN,
            to_number="+919123456789",
            from_number="+918047104890",
            leg=Leg.OUTGOING,
            evidence={
                "Status": "completed",
                "EventType": "terminal",
                "ConversationDuration": "320",
                "Direction": "outbound-api",
                "DateUpdated": "2024-01-15 14:30:45",
                "EndTime": "2024-01-15 14:30:45",
                "Leg1.Status": "completed",
                "Leg1.AnsweredBy": "NA",
                "Leg1.OnCallDuration": "335",
                "Leg2.Status": "completed",
                "Leg2.AnsweredBy": "HUMAN",
                "Leg2.OnCallDuration": "320",
            },
        )
    ]


def test_the_short_callback_and_the_campaigns_are_read_too():
    short = parsed(DateUpdated="2024-01-15 14:30:45", Status="no-answer", RecordingUrl=None)
    assert (short.outcome, short.to_number, short.token) == (Outcome.NO_ANSWER, None, None)
    campaign = {
        "campaign_sid": "camp_1",
        "call_sid": "call_def456",
        "date_updated": "2024-01-15T09:05:47+05:30",
        "number": "+919876543210",
        "status": "busy",
    }
    (event,) = exotel().parse(request(json.dumps(campaign).encode()))
    assert (event.provider_call_id, event.outcome, event.to_number) == ("call_def456", Outcome.BUSY, "+919876543210")
    assert event.occurred_at == datetime(2024, 1, 15, 3, 35, 47, tzinfo=UTC)


FLOW = {"From": "09876543210", "To": "08047104890", "PhoneNumberSid": "08047104890", "CustomField": TOKEN}


@pytest.mark.parametrize("to", ["08047104890", "+918047104890", None])
def test_in_a_call_to_a_flow_the_customer_is_the_one_it_is_from(to: str | None):
    event = parsed(**{**FLOW, "To": to}, Status="busy")
    assert (event.to_number, event.from_number, event.token) == ("+919876543210", "+918047104890", TOKEN)


@pytest.mark.parametrize(("word", "outcome"), ENDINGS.items())
def test_each_status_has_its_outcome_in_either_spelling(word: str, outcome: Outcome):
    assert parsed(Status=word).outcome is outcome
    assert parsed(Status=word.replace("-", "_").upper()).outcome is outcome


@pytest.mark.parametrize(("word", "progress"), PROGRESS.items())
def test_each_status_on_the_way_is_progress(word: str, progress: Progress):
    event = parsed(Status=word)
    assert (event.progress, event.outcome) == (progress, None)


@pytest.mark.parametrize(
    ("status", "leg", "answered_by", "outcome", "cause"),
    [
        ("completed", "completed", "Human", Outcome.COMPLETED, None),
        ("completed", "completed", "NotSure", Outcome.COMPLETED, None),
        ("completed", "completed", "NA", Outcome.COMPLETED, None),
        ("completed", "completed", "MACHINE", Outcome.VOICEMAIL, None),
        ("completed", None, "Machine", Outcome.VOICEMAIL, None),
        ("completed", "no-answer", "NotSure", Outcome.NO_ANSWER, "exotel:leg-no-answer"),
        ("completed", "failed", "NA", Outcome.FAILED, "exotel:leg-failed"),
        ("failed", "busy", "NA", Outcome.BUSY, "exotel:leg-busy"),
        ("failed", "canceled", "NA", Outcome.CANCELED, "exotel:leg-canceled"),
        ("failed", "completed", "Machine", Outcome.VOICEMAIL, None),
        ("busy", "no-answer", "NA", Outcome.BUSY, None),
        ("no-answer", "completed", "Machine", Outcome.VOICEMAIL, None),
        ("completed", "a-new-word", "A new word", Outcome.COMPLETED, None),
    ],
)
def test_the_customers_leg_corrects_a_vague_status(status, leg, answered_by, outcome, cause):
    event = parsed(**FLOW, Status=status, Legs=[{"Status": leg, "AnsweredBy": answered_by}])
    assert (event.outcome, event.cause) == (outcome, cause)


def test_the_leg_that_the_flow_connects_to_is_not_the_customers():
    legs = [
        {"Status": "completed", "AnsweredBy": "NA", "OnCallDuration": 41},
        {"Status": "busy", "AnsweredBy": "Machine", "OnCallDuration": 0},
    ]
    event = parsed(**FLOW, Status="completed", ConversationDuration=0, Legs=legs)
    assert (event.outcome, event.amd, event.duration_sec) == (Outcome.COMPLETED, None, 41)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2024-01-15 14:30:45", datetime(2024, 1, 15, 9, 0, 45, tzinfo=UTC)),
        ("2024-01-15T14:30:45", datetime(2024, 1, 15, 9, 0, 45, tzinfo=UTC)),
        ("2024-01-15T14:30:45+05:30", datetime(2024, 1, 15, 9, 0, 45, tzinfo=UTC)),
        ("2024-01-15T14:30:45Z", datetime(2024, 1, 15, 14, 30, 45, tzinfo=UTC)),
        ("0001-01-01 00:00:00", None),
        ("2024-13-45 14:30:45", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_a_time_without_a_zone_is_indian(text: str, at: datetime | None):
    assert parsed(Status="busy", EndTime=text).occurred_at == at


LEG = {"Status": "completed", "AnsweredBy": "Machine", "OnCallDuration": 7}
FIELDS = {"CallSid": SID, "Status": "completed", "EventType": "terminal", "Note": "a=b&c;ü\nx"}
FLAT_LEGS = {f"Legs[0][{name}]": str(value) for name, value in LEG.items()}


def multipart(fields: dict[str, str], line: str = "\r\n", boundary: str = "XbX") -> bytes:
    parts = [
        f'--{boundary}{line}Content-Disposition: form-data; name="{name}"{line}{line}{value}{line}'
        for name, value in fields.items()
    ]
    return "".join([*parts, f"--{boundary}--{line}"]).encode()


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "multipart/form-data; boundary=XbX", "application/x-www-form-urlencoded", "text/plain", ""],
)
@pytest.mark.parametrize(
    "body",
    [
        json.dumps({**FIELDS, "Legs": [LEG]}).encode(),
        multipart({**FIELDS, **FLAT_LEGS}),
        multipart({**FIELDS, "Legs": json.dumps([LEG])}),
        multipart({**FIELDS, **FLAT_LEGS}, line="\n"),
        urlencode({**FIELDS, **FLAT_LEGS}).encode(),
        urlencode({**FIELDS, "Legs": json.dumps([LEG])}).encode(),
    ],
)
def test_json_multipart_and_forms_are_alike_under_any_content_type(body: bytes, content_type: str):
    (event,) = exotel().parse(request(body, content_type))
    assert (event.outcome, event.amd, event.duration_sec) == (Outcome.VOICEMAIL, Amd.MACHINE, 7)
    assert event.event_id == f"{SID}:terminal:completed"


def test_multipart_keeps_values_that_look_like_more_of_it():
    fields = {"a": "", "b": "--Xb\r\nc", "c": "1\r\n2"}
    assert decode_multipart(multipart(fields)) == [("a", ""), ("b", "--Xb\nc"), ("c", "1\n2")]
    assert decode_multipart(
        b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--x\r\n\r\nno name\r\n--x--"
    ) == [("a", "1")]


def test_an_answer_is_progress_and_an_unknown_word_is_kept():
    answered = parsed(EventType="answered", Status="in-progress")
    assert (answered.progress, answered.outcome) == (Progress.IN_PROGRESS, None)
    parked = parsed(Status="On Hold", Legs="nonsense")
    assert (parked.status, parked.progress, parked.outcome) == ("on-hold", None, None)


@pytest.mark.parametrize("field", ["order_12345", "call_x", f"{TOKEN}\n", "call_01.1." + "é" * 32, ""])
def test_a_custom_field_of_the_users_own_is_no_token(field: str):
    assert parsed(Status="busy", CustomField=field).token is None


@pytest.mark.parametrize(
    "legs",
    [
        [{"Status": "completed", "OnCallDuration": 21}],
        [{"Status": "completed", "OnCallDuration": 21}, {"Status": None, "OnCallDuration": 0}],
        [{"Status": "completed", "OnCallDuration": 21}, {"Status": "null", "AnsweredBy": "NA"}],
    ],
)
def test_a_call_that_only_the_agent_answered_is_not_completed(legs: list[dict[str, object]]):
    event = parsed(**{**TWO_NUMBERS, "ConversationDuration": 0, "Legs": legs})
    assert (event.outcome, event.cause) == (Outcome.NO_ANSWER, "exotel:customer-not-connected")
    talked = parsed(**{**TWO_NUMBERS, "ConversationDuration": 9, "Legs": legs})
    assert talked.outcome is Outcome.COMPLETED


@pytest.mark.parametrize("status", ["busy", "no-answer", "failed", "canceled", "from_leg_unanswered"])
def test_a_conversation_counts_more_than_the_word_of_the_end(status: str):
    legs = [{"Status": "failed", "OnCallDuration": 14}]
    assert parsed(**FLOW, Status=status, Legs=legs).outcome is Outcome.COMPLETED
    assert parsed(**FLOW, Status=status, Legs=[{"AnsweredBy": "HUMAN"}]).outcome is Outcome.COMPLETED
    assert parsed(**FLOW, Status=status, Duration=30).outcome is not Outcome.COMPLETED


@pytest.mark.parametrize(
    ("cause", "outcome"),
    [
        ({"Cause": "17", "CauseCode": "USER_BUSY"}, Outcome.BUSY),
        ({"Cause": 1}, Outcome.INVALID_NUMBER),
        ({"CauseCode": "NO_ANSWER_FROM_USER"}, Outcome.NO_ANSWER),
        ({"Cause": "16", "CauseCode": "NORMAL_CALL_CLEARING"}, Outcome.FAILED),
    ],
)
def test_the_cause_of_the_customers_leg_says_why_a_call_failed(cause: dict[str, object], outcome: Outcome):
    assert parsed(Status="failed", From="09876543210", Legs=[{"Status": "failed", **cause}]).outcome is outcome
    assert parsed(Status="failed", From="09876543210", **cause).outcome is outcome


def test_the_cause_of_the_agents_leg_is_not_the_customers():
    legs = [{"Status": "failed", "Cause": "17"}, {"Status": "failed"}]
    assert (
        parsed(**TWO_NUMBERS | {"Status": "failed", "ConversationDuration": 0, "Legs": legs}).outcome is Outcome.FAILED
    )


def test_the_word_of_the_customers_leg_counts_more_than_its_cause():
    legs = [{"Status": "no-answer", "Cause": "17"}]
    assert parsed(Status="failed", From="09876543210", Legs=legs).outcome is Outcome.NO_ANSWER


class TestExotel(CallbackTests):
    case = CallbackCase(
        provider=exotel,
        malformed=[
            (request(body), "")
            for body in [
                b'{"Status": "busy"}',
                b'{"CallSid": "a b"}',
                b"[1]",
                b"{",
                b"Status=busy",
                b"CallSid=%ff",
                multipart({"Status": "busy"}),
                b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n\xff\r\n--x--",
                b"--x\r\n" * 2000,
                b"--x\r\n" + b"a" * 200_000,
            ]
        ],
        alike=[
            request(json.dumps({"CallSid": SID, "Status": "busy"}).encode()),
            request(urlencode({"CallSid": SID, "Status": "busy"}).encode(), ""),
        ],
        bodies=random_bodies(
            {"CallSid": "1"},
            ["CallSid", "Status", "EventType", "Legs", "From", "To", "EndTime", "CustomField", "AnsweredBy"],
        )
        | st.binary(max_size=100).map(lambda tail: b"--x\r\nContent-Disposition: form-data; name=CallSid\r\n" + tail),
    )
