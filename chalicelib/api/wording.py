"""What is wrong with a body, in Redial's own sentences rather than pydantic's.

Loaded once a body is wrong: a callback and a wake need none of it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from chalicelib.errors import FieldError, did_you_mean, shown

#: kind of error, as pydantic names it -> the sentence. ``{value}`` is what was given; the rest is pydantic's context.
SENTENCES: Mapping[str, str] = {
    "missing": "{name} is missing",
    "extra_forbidden": "{name} is not a field here{hint}",
    "invalid_key": "{name} is not a name: a name is a text",
    "string_type": '{name} {value} is not a text (example: "text")',
    "string_unicode": "{name} is not a text of Unicode characters",
    "string_too_short": "{name} {value} is too short; give at least {min_length} characters",
    "string_too_long": "{name} {value} is too long; give at most {max_length} characters",
    "string_pattern_mismatch": "{name} {value} does not have the form {pattern}",
    "bool_type": "{name} {value} is neither true nor false",
    "bool_parsing": "{name} {value} is neither true nor false",
    "int_type": "{name} {value} is not a whole number (example: 3)",
    "int_parsing": "{name} {value} is not a whole number (example: 3)",
    "int_parsing_size": "{name} {value} has too many digits",
    "int_from_float": "{name} {value} is not a whole number (example: 3)",
    "float_type": "{name} {value} is not a number (example: 30)",
    "float_parsing": "{name} {value} is not a number (example: 30)",
    "finite_number": "{name} {value} is not a finite number",
    "greater_than": "{name} {value} must be more than {gt:g}",
    "greater_than_equal": "{name} {value} must be at least {ge:g}",
    "less_than": "{name} {value} must be less than {lt:g}",
    "less_than_equal": "{name} {value} must be at most {le:g}",
    "multiple_of": "{name} {value} must be a multiple of {multiple_of}",
    "list_type": "{name} {value} is not a list (example: [])",
    "tuple_type": "{name} {value} is not a list (example: [])",
    "set_type": "{name} {value} is not a list (example: [])",
    "too_short": "{name} has {actual_length} items; give at least {min_length}",
    "too_long": "{name} has {actual_length} items; give at most {max_length}",
    "dict_type": "{name} {value} is not an object (example: {{}})",
    "mapping_type": "{name} {value} is not an object (example: {{}})",
    "model_type": "{name} {value} is not an object (example: {{}})",
    "model_attributes_type": "{name} {value} is not an object (example: {{}})",
    "dataclass_type": "{name} {value} is not an object (example: {{}})",
    "none_required": "{name} {value} must be null",
    "enum": "{name} {value} is not one of {choices}{hint}",
    "literal_error": "{name} {value} is not one of {choices}{hint}",
    "union_tag_invalid": "{name}: {discriminator} {tag!r} is not one of {choices}{hint}",
    "union_tag_not_found": "{name}: {discriminator} is missing; it says which fields there are",
    "datetime_type": "{name} {value} is not a time with a UTC offset (example: 2026-01-26T10:00:00Z)",
    "datetime_parsing": "{name} {value} is not a time with a UTC offset (example: 2026-01-26T10:00:00Z)",
    "datetime_object_invalid": "{name} {value} is not a time with a UTC offset (example: 2026-01-26T10:00:00Z)",
    "datetime_from_date_parsing": "{name} {value} is not a time with a UTC offset (example: 2026-01-26T10:00:00Z)",
    "timezone_aware": "{name} {value} has no UTC offset (example: 2026-01-26T10:00:00Z)",
}
#: for what no model of ours can raise today
OTHERWISE = "{name} {value} is not a value that this field takes; GET /docs lists what it takes"
#: a sentence of a validator that begins so speaks of the field, and the field's name comes first
SPEAKS_OF_THE_FIELD = ("must ", "is ", "has ", "lies ", "'")
#: an answer lists no more, and to look for what was meant takes time
MAX_ERRORS = 100
OWN = ("value_error", "assertion_error")


def field_errors(model: type[BaseModel], error: ValidationError, body: Any) -> list[FieldError]:
    """Return each wrong field once, with a JSON pointer into the body and one sentence."""
    wrong: dict[str, str] = {}
    for found in error.errors(include_url=False):
        # A union is wrong once for each of its members: the first is what most people mean.
        pointer = _pointer(found, body)
        if pointer not in wrong:
            wrong[pointer] = sentence(found, model)
        if len(wrong) == MAX_ERRORS:
            break
    return [FieldError(pointer, detail) for pointer, detail in wrong.items()]


def sentence(error: ErrorDetails, model: type[BaseModel]) -> str:
    """Return what is wrong, with the value and what would be right."""
    given, context = error.get("input"), dict(error.get("ctx", {}))
    name = _name(error)
    if error["type"] in OWN:
        return _of_a_validator(name, str(context["error"]), given)
    words = {"name": name, "value": shown(given), "hint": _hint(error, context, model), **context}
    words["choices"] = context.get("expected") or context.get("expected_tags", "")
    words["choices"] = str(words["choices"]).replace("'", "").replace(" or ", ", ")
    words["discriminator"] = str(context.get("discriminator", "type")).strip("'")
    return SENTENCES.get(error["type"], OTHERWISE).format_map(words)


def _of_a_validator(name: str, message: str, given: Any) -> str:
    if not message.startswith(SPEAKS_OF_THE_FIELD):
        return message
    if isinstance(given, dict | list) or message.startswith("'") or shown(given) in message:
        return f"{name} {message}"
    return f"{name} {message} (got {shown(given)})"


def _name(error: ErrorDetails) -> str:
    """Return the field's name, with its place where it is in a list; ``the body`` where all of it is wrong."""
    names = [str(step) if isinstance(step, str) else f"[{step}]" for step in error["loc"]]
    while len(names) > 1 and names[-1].startswith("["):
        names[-2:] = [names[-2] + names[-1]]
    return names[-1][:80] if names else "the body"


def _hint(error: ErrorDetails, context: Mapping[str, Any], model: type[BaseModel]) -> str:
    if error["type"] == "extra_forbidden":
        known = sorted({field for each in _models_at(model, error["loc"][:-1]) for field in each.model_fields})
        return did_you_mean(str(error["loc"][-1]), known)
    if "expected_tags" in context:
        return did_you_mean(str(context["tag"]), str(context["expected_tags"]).replace("'", "").split(", "))
    if "expected" in context:
        words = str(context["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        return did_you_mean(str(error.get("input")), words)
    return ""


def _models_at(model: type[BaseModel], path: Iterable[int | str]) -> list[type[BaseModel]]:
    """Return the models that what is at a path can be. Other steps than fields name unions' members, or items."""
    here = [model]
    for step in path:
        below = [
            inner
            for each in here
            if step in each.model_fields
            for inner in _models_in(each.model_fields[str(step)].annotation)
        ]
        here = below or [each for each in here if _is_named(each, step)] or here
    return here


def _is_named(model: type[BaseModel], step: int | str) -> bool:
    tag = model.model_fields.get("type")
    return step == model.__name__ or (tag is not None and step in get_args(tag.annotation))


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        if issubclass(annotation, BaseModel):
            yield annotation
        return
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _pointer(error: ErrorDetails, body: Any) -> str:
    """Return where in the body an error is, without the union members that pydantic names on the way there."""
    pointer = ""
    inside: Any = body
    for number, step in enumerate(error["loc"]):
        if _holds(inside, step):
            inside = inside[step]
        elif not (error["type"] == "missing" and number == len(error["loc"]) - 1):
            continue
        pointer += "/" + str(step).replace("~", "~0").replace("/", "~1")
    return pointer


def _holds(inside: Any, step: int | str) -> bool:
    return step in inside if isinstance(inside, dict) else isinstance(inside, list) and isinstance(step, int)
