"""The sentences about wrong fields of a body. They replace pydantic's sentences.

This module loads when a body is wrong: callbacks and wakes do not need it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from chalicelib.errors import MAX_ERRORS, FieldError, did_you_mean, shown

#: pydantic's error type -> sentence; ``{value}`` is the given value, and most other names are pydantic's context
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
#: the sentence for error types that no model of Redial can raise today
OTHERWISE = "{name} {value} is not a value that this field takes; GET /docs lists what it takes"
#: the starts of validators' messages that need the name of the field before them
STARTS_WITHOUT_NAME = ("must ", "is ", "has ", "lies ", "'")
#: pydantic's error types for errors that Redial's own validators raise
OWN_VALIDATORS = ("value_error", "assertion_error")


def field_errors(model: type[BaseModel], error: ValidationError, body: Any) -> list[FieldError]:
    """Return each wrong field once, with a JSON pointer and one sentence."""
    wrong: dict[str, str] = {}
    for found in error.errors(include_url=False):
        # Pydantic reports one error for each member of a union. Most users mean the first member.
        pointer = _pointer(found, body)
        if pointer not in wrong:
            wrong[pointer] = sentence(found, model)
        if len(wrong) == MAX_ERRORS:
            break  # each "did you mean" takes time
    return [FieldError(pointer, detail) for pointer, detail in wrong.items()]


def sentence(error: ErrorDetails, model: type[BaseModel]) -> str:
    """Return a sentence with the wrong value, what is wrong, and what would be right."""
    given, context = error.get("input"), dict(error.get("ctx", {}))
    name = _name(error)
    if error["type"] in OWN_VALIDATORS:
        return _validator_sentence(name, str(context["error"]), given)
    words = {"name": name, "value": shown(given), "hint": _hint(error, context, model), **context}
    words["choices"] = context.get("expected") or context.get("expected_tags", "")
    words["choices"] = str(words["choices"]).replace("'", "").replace(" or ", ", ")
    words["discriminator"] = str(context.get("discriminator", "type")).strip("'")
    return SENTENCES.get(error["type"], OTHERWISE).format_map(words)


def _validator_sentence(name: str, message: str, given: Any) -> str:
    if not message.startswith(STARTS_WITHOUT_NAME):
        return message
    if isinstance(given, dict | list) or message.startswith("'") or shown(given) in message:
        return f"{name} {message}"
    return f"{name} {message} (got {shown(given)})"


def _name(error: ErrorDetails) -> str:
    """Return the field's name, with its index if it is in a list: ``numbers[2]``.

    The result is ``the body`` if the error is about the whole body.
    """
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
    """Return the models that the value at a path can have.

    A step of the path that is not a field is the name of a union's member, or the index of an item.
    """
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
    """Return the JSON pointer to the wrong value in the body.

    Pydantic's path also names members of unions. The pointer leaves these names out.
    """
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
