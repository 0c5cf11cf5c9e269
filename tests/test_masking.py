"""A log line contains no phone number, unless the deployment asks for it."""

import json
import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.runtime import log
from chalicelib.runtime.masking import masked
from tests.support.app_output import logged
from tests.support.world import BODY, START, World

#: E.164: a country code that does not begin with 0, and 7 to 15 digits in all
NUMBERS = st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="+0123456789%"), max_size=12)


@st.composite
def texts(draw: st.DrawFn, number: str) -> str:
    """Draw a text with the number: alone, in words, in a URL, in an exception's text."""
    spelled = draw(st.sampled_from([number, number.replace("+", "%2B"), number.replace("+", "%252b"), repr([number])]))
    return draw(WORDS) + spelled + draw(WORDS)


@st.composite
def given_numbers(draw: st.DrawFn) -> tuple[str, Any]:
    """Draw a number, and a field's value that holds the number somewhere."""
    number = draw(NUMBERS)
    return number, draw(
        st.recursive(
            texts(number),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | texts(number), inner, max_size=3),
            max_leaves=6,
        )
    )


@settings(deadline=None)
@given(given_numbers())
def test_no_number_survives_in_a_line_wherever_it_stands(given: tuple[str, Any]) -> None:
    number, value = given
    line = log._as_text({"event": "event", "field": value, "evidence": {"deep": [value]}})
    assert number[1:] not in line
    assert json.loads(line)["event"] == "event"


@settings(deadline=None)
@given(st.from_regex(r"[1-9][0-9]{7,14}", fullmatch=True))
def test_a_number_without_a_plus_is_masked_by_its_fields_name(digits: str) -> None:
    said = {
        "to": digits,
        "From": digits,
        "evidence": {"phone_number": digits, "Caller": int(digits), "numbers": [digits]},
        "error": f"POST /Calls?To={digits}&x=1 and sip:{digits}@example.com and {{'to_number': '{digits}'}}",
        "body": json.dumps({"From": digits}),
    }
    assert digits not in log._as_text(said)


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+16505550199", "+1***0199"),
        ("+919876543210", "+91***3210"),
        ("+35312345678", "+353***5678"),
        ("+4712345678", "+47***5678"),
        ("+2901234", "+290***34"),
        ("+1 (650) 555-0199", "+1***0199"),
        ("tel:%2B16505550199", "tel:%2B1***0199"),
    ],
)
def test_the_country_code_and_the_last_digits_stay(number: str, shown: str) -> None:
    assert masked(number) == shown
    assert masked(shown) == shown


def test_ids_times_and_counts_survive() -> None:
    said = {
        "call": "call_01kfx3zz9v8q2m4n6p8r0t2v4w",
        "attempt": 12,
        "sid": "CA00000000000000000000000012345678",
        "provider_call_id": "1234567890123",
        "due_at": START.isoformat(),
        "millis": 1769421600000,
        "steps": ["+0:05:00 until it is asked again", "at 2026-01-26T10:00:00+00:00"],
        "sequence_number": 3,
        "rate": 0.5,
        "none": None,
        "on": True,
    }
    assert masked(said) == said


def test_an_exceptions_trace_is_masked(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError("others keep calling +16505550199")
    except ValueError as error:
        log.broken("broken", error, called={"+16505550199"})
    out = capsys.readouterr().out
    assert "16505550199" not in out
    (line,) = logged(out)
    assert line["error"] == "ValueError('others keep calling +1***0199')"
    assert line["trace"].endswith("ValueError: others keep calling +1***0199\n")
    assert line["called"] == ["+1***0199"]


def test_what_libraries_say_is_masked_too(capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("urllib3").warning("retrying %s", "https://example.com/?To=%2B16505550199")
    assert logged(capsys.readouterr().out)[0]["message"] == "retrying https://example.com/?To=%2B1***0199"


def test_numbers_are_plain_only_if_requested(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in ("plain", "masked", "Plain", ""):
        monkeypatch.setenv("LOG_NUMBERS", value)
        log.warn("event", number="+16505550199")
    shown = ["+16505550199", "+1***0199", "+1***0199", "+1***0199"]
    assert [line["number"] for line in logged(capsys.readouterr().out)] == shown


def test_a_whole_calls_log_holds_no_number(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.place()
    world.end("busy", To=BODY["to_number"], ErrorMessage=f"{BODY['to_number']} was busy")
    world.callback(world.twilio.placed[0], "held-by-log", ErrorMessage=f"{BODY['to_number']} was held")
    world.request("PUT", f"/numbers/{BODY['to_number']}/opt-out")
    out = capsys.readouterr().out
    said = [line["event"] for line in logged(out)]
    assert said == ["dialed", "call-placed", "callback", "unknown-status", "callback", "opted-out"]
    assert BODY["to_number"][1:] not in out
