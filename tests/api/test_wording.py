"""Errors about a body are Redial's own sentences and name the field that is wrong."""

import json
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_core import ErrorDetails
from pydantic_core import _pydantic_core as core

from chalicelib.api.http import checked
from chalicelib.api.operations import OPERATIONS
from chalicelib.api.wording import sentence
from chalicelib.domain.window import WEEK
from chalicelib.errors import Invalid, did_you_mean
from tests.support.world import BODY, World

NUMBERS = {"to_number": "+16505550199", "from_number": "+14155550100"}
BOLNA = {"agent_id": "a", "recipient_phone_number": "+16505550288", "from_phone_number": "+14155550100"}
EXOTEL = {"name": "P", "caller_id": "+918047123456", "call_flow_id": "1", "numbers": ["+919876543212"]}
CAMPAIGNS = "/v1/Accounts/a/Campaigns"
#: pieces of pydantic's own sentences
THEIRS = ("Input should", "valid dictionary", "Field required", "Extra inputs", "unable to", "pydantic", "Value error")
MODELS = sorted(
    {each.body for methods in OPERATIONS.values() for each in methods.values() if isinstance(each.body, type)},
    key=lambda model: model.__name__,
)
WRONG: tuple[Any, ...] = (None, True, 7, -1, 1.5, 10**200, "", "zz", "2026-01-01", [], [[]], {}, {"zz": 1}, [{"zz": 1}])


def wrong_bodies(model: type[BaseModel]) -> list[dict[str, Any]]:
    """Return bodies with one wrong value each.

    The value is in one field, or in a field of an object that the body can hold.
    """
    inner: set[str] = set()
    for schema in [model.model_json_schema(), *model.model_json_schema().get("$defs", {}).values()]:
        inner |= set(schema.get("properties", {}))
    values = [*WRONG, *({name: value} for name in inner for value in WRONG)]
    return [{field: value} for field in model.model_fields for value in values]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_no_error_about_a_field_has_pydantics_words(model: type[BaseModel]) -> None:
    told = []
    for body in wrong_bodies(model):
        try:
            checked(model, body)
        except Invalid as error:
            told.append(str(error))
    assert len(told) > 10
    assert [text for text in told for theirs in THEIRS if theirs in text] == []


@pytest.mark.parametrize("kind", core.list_all_errors(), ids=lambda kind: kind["type"])
def test_each_type_of_error_has_a_sentence_of_ours(kind: dict[str, Any]) -> None:
    context = dict(kind.get("example_context") or {})
    if kind["type"] in ("value_error", "assertion_error"):
        context = {"error": ValueError("must be new")}
    found = ErrorDetails(
        type=kind["type"], loc=("provider",), msg=kind["message_template_python"], input=7, ctx=context
    )
    said = sentence(found, MODELS[0])
    assert said.startswith("provider")
    assert kind["message_template_python"][:14] not in said


@pytest.mark.parametrize(
    ("path", "body", "pointer", "meant"),
    [
        ("/calls", BODY | {"retry": {"max_retrys": 1}}, "/retry/max_retrys", "max_retries"),
        ("/calls", BODY | {"to_numbr": 1}, "/to_numbr", "to_number"),
        ("/calls", BODY | {"retry": {"on": {"busy": {"wait": 1}}}}, "/retry/on/busy/wait", "wait_minutes"),
        ("/calls", BODY | {"retry": {"strategy": {"type": "fixd"}}}, "/retry/strategy", "fixed"),
        ("/calls", BODY | {"retry": {"caps": [{"max_attempt": 1}]}}, "/retry/caps/0/max_attempt", "max_attempts"),
        ("/call", BOLNA | {"retry_config": {"retry_interval_minutes": [5]}}, None, "retry_intervals_minutes"),
        ("/call", BOLNA | {"recipient_phone": "x"}, "/recipient_phone", "recipient_phone_number"),
        (CAMPAIGNS, EXOTEL | {"retry": {"max_attempt": 5}}, "/retry/max_attempt", "max_attempts"),
        (CAMPAIGNS, EXOTEL | {"schedule": {"dailyStart": "09:00"}}, "/schedule/dailyStart", "daily_start"),
    ],
)
def test_an_unknown_word_is_refused_with_the_one_meant(
    world: World, path: str, body: dict[str, Any], pointer: str | None, meant: str
) -> None:
    answer = world.request("POST", path, body)
    told = {each["pointer"]: each["detail"] for each in answer.json_body["errors"]}
    assert answer.status_code == 422, answer.body
    assert f"did you mean {meant}?" in (told[pointer] if pointer else json.dumps(told))
    assert world.twilio.requests == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("type", "trans"),
        ("campaign_type", "static"),
        ("flow_type", "greeting"),
        ("url", "http://my.exotel.com/a/exoml/start_voice/1"),
        ("read_via_text", "Hello @@name"),
        ("repeat_menu_attempts", 2),
        ("call_duplicate_numbers", False),
        ("mode", "custom"),
        ("throttle", 30),
        ("custom_field", "order-7"),
        ("call_status_callback", "https://example.com/call"),
        ("call_schedule_callback", "https://example.com/number"),
        ("status_callback", "https://example.com/campaign"),
    ],
)
def test_each_field_of_exotels_campaign_page_is_taken(world: World, name: str, value: Any) -> None:
    answer = world.request("POST", CAMPAIGNS, EXOTEL | {name: value})
    assert (answer.status_code, len(answer.json_body["calls"])) == (201, 1)


def test_gomobiles_unknown_words_are_refused_with_the_one_meant(world: World) -> None:
    strategy = {"type": "fixed_delay", "delayMinutes": 5}
    for gomobile, meant in (
        ({"retryStrategy": strategy | {"maxRetrys": 1}}, "maxRetries"),
        ({"retryStrategy": strategy, "pauseWindows": {"mondays": []}}, "monday"),
        ({"retryStrategy": strategy, "pauseWindows": {"munday": []}}, "monday"),
        ({"retryStrategy": strategy, "pauseWindow": {}}, "pauseWindows"),
    ):
        answer = world.request("POST", "/policies/preview", {"to_number": "+16505550199", "gomobile": gomobile})
        assert answer.status_code == 422
        assert f"did you mean {meant}?" in answer.json_body["detail"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"to_number": "6505550199"}, "to_number '6505550199' is not an E.164 number (example: +16505550199)"),
        ({"retry": {"on": {"busy": "yes"}}}, "busy must be true, false or an object (example: {'wait_minutes': 20})"),
        ({"variables": {"a": []}}, "a must be a text, a number, true or false"),
        ({"retry": {"max_retries": "3"}}, "max_retries '3' is not a whole number (example: 3)"),
    ],
)
def test_one_fault_is_one_sentence_with_its_value(world: World, changes: dict[str, Any], says: str) -> None:
    (wrong,) = world.request("POST", "/calls", NUMBERS | changes).json_body["errors"]
    assert wrong["detail"].startswith(says)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("munday", "monday"),
        ("sundey", "sunday"),
        ("thirsday", "thursday"),
        ("tusday", "tuesday"),
        ("sutarday", "saturday"),
        ("webnesday", "wednesday"),
        ("frday", "friday"),
        ("xyz", None),
        ("x" * 80, None),
    ],
)
def test_the_word_meant_is_the_one_the_fewest_edits_away(word: str, meant: str | None) -> None:
    assert did_you_mean(word, WEEK) == (f"; did you mean {meant}?" if meant else "")
