"""The check of requests for calls against the documents that vendors publish.

The documents are data in ``schemas/``.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # jsonschema has no types

from ops.local.exchange import Personality, Reply, Request

SCHEMAS = Path(__file__).parent / "schemas"
CONTENT_TYPES = {"form": "application/x-www-form-urlencoded", "json": "application/json"}

Schema = Mapping[str, Any]
Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Breach:
    """One way in which a request breaks the vendor's document: a field and its error."""

    field: str
    message: str


@cache
def published(provider: str) -> Mapping[str, Any]:
    """Return the vendor's document: source, scheme of Authorization, and operations."""
    document: dict[str, Any] = json.loads((SCHEMAS / f"{provider}.json").read_text())
    return document


def operation(provider: str, method: str, path: str) -> str | None:
    """Return the name of the operation at a path, or None.

    The names are ``create``, ``list``, ``look-up`` and ``hang-up``.
    """
    for name, described in published(provider)["operations"].items():
        if described["method"] == method and re.fullmatch(described["path"], path):
            return str(name)
    return None


def invalid(personality: Personality, request: Request) -> Reply | None:
    """Return the vendor's error if a request breaks the vendor's document, else None.

    The document comes from the vendor and not from the app. Credentials are not checked here but by the personality. A
    request that is not about a call is not checked.
    """
    if operation(personality.provider, request.method, request.path) is None:
        return None
    query = [
        (name, each)
        for name, value in request.query.items()
        for each in (value if isinstance(value, list) else [value])
    ]
    parts = (request.method, request.path, query, request.headers, request.body)
    found = [each for each in breaches(personality.provider, *parts) if each.field != "Authorization"]
    return personality.invalid(found[0].field, found[0].message) if found else None


def breaches(
    provider: str, method: str, path: str, query: Pairs, headers: Mapping[str, str], body: bytes | None
) -> list[Breach]:
    """Return what is wrong with a request by the vendor's document.

    The list is empty if nothing is wrong. ``headers`` have lower-case names. A field that the vendor does not know is
    wrong.
    """
    name = operation(provider, method, path)
    if name is None:
        return [Breach("path", f"{method} {path} is not an operation of {provider}")]
    document = published(provider)
    described = document["operations"][name]
    found = []
    if not headers.get("authorization", "").startswith(f"{document['authorization']} "):
        found.append(Breach("Authorization", f"expected {document['authorization']}"))
    found += _invalid(described["query"], query)
    expected_body = described.get("body")
    if expected_body is None:
        return found + ([Breach("body", f"{name} takes none")] if body else [])
    wanted = CONTENT_TYPES[expected_body["type"]]
    if headers.get("content-type", "").partition(";")[0] != wanted:
        found.append(Breach("Content-Type", f"expected {wanted}"))
    if expected_body["type"] == "form":
        return found + _invalid(expected_body["schema"], parse_qsl((body or b"").decode(), keep_blank_values=True))
    try:
        return found + list(_breaches(expected_body["schema"], json.loads(body or b"")))
    except ValueError:
        return [*found, Breach("body", "expected JSON")]


def _invalid(schema: Schema, pairs: Pairs) -> list[Breach]:
    """Check a form or a query. Its texts are converted to the types of the schema."""
    folded: dict[str, Any] = {}
    repeated = []
    for name, text in pairs:
        kind = schema["properties"].get(name, {}).get("type")
        if kind == "array":
            folded.setdefault(name, []).append(text)
            continue
        if name in folded:
            repeated.append(Breach(name, "given twice"))
        folded[name] = _typed(kind, text)
    return repeated + list(_breaches(schema, folded))


def _typed(kind: str | None, text: str) -> object:
    if kind in ("integer", "number") and re.fullmatch(r"-?[0-9]{1,18}", text):
        return int(text)
    return text == "true" if kind == "boolean" and text in ("true", "false") else text


def _breaches(schema: Schema, value: object) -> Iterator[Breach]:
    for error in _validator(json.dumps(schema, sort_keys=True)).iter_errors(value):
        field = str(error.absolute_path[0]) if error.absolute_path else ""
        if error.validator == "additionalProperties" and isinstance(error.instance, dict):
            unknown = sorted(set(error.instance) - set(error.schema.get("properties", {})))
            yield from (Breach(field or name, f"{name} is not a known field") for name in unknown)
        elif error.validator == "required" and not field:
            # jsonschema raises one error for each missing field. The message begins with the field's name in quotes.
            missing = error.message.split("'")[1]
            yield Breach(missing, f"{missing} is required")
        else:
            yield Breach(field or "body", error.message[:200])


@cache
def _validator(schema: str) -> Any:
    return Draft202012Validator(json.loads(schema))
