"""The OpenAPI 3.1 document of the API.

It is made from the routes, their docstrings, the models and the table of operations. This module loads on the first
request for the document: its imports would slow the cold start of every callback.
"""

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from chalicelib.api.answers import Problem
from chalicelib.api.operations import OPERATIONS, PARAMETERS, TAGS, Contents, Operation
from chalicelib.storage.keys import Role

TITLE = "Redial"
VERSION = "1"
ABOUT = (
    "Auto-retry for outbound phone calls. Times are RFC 3339 in UTC, phone numbers E.164. "
    "Errors are application/problem+json (RFC 9457); a 422 points at each wrong field."
)

SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "Authorization: Bearer and an API key."},
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "The header x-api-key and an API key.",
    },
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "As Exotel's clients sign in: an API key as the password or as the user name.",
    },
}
#: a request needs one of these schemes
SECURITY: list[dict[str, list[str]]] = [{name: []} for name in SECURITY_SCHEMES]

#: status -> when a route answers it
MEANINGS = {
    400: "The request cannot be read.",
    401: "No API key, or one that is not known.",
    403: "The key may not do this, or what is asked for is another workspace's.",
    404: "Nothing has this id.",
    409: "Another request changed the record at the same time; try again.",
    413: "The body has more bytes than the limit.",
    415: "The Content-Type is not JSON.",
    422: "Fields are wrong; `errors` points at each.",
    429: "The key sends more requests than it may.",
    503: "The record kept changing during the write. It is safe to retry.",
}
CALLBACK_MEANINGS = {
    403: "The provider did not sign this.",
    404: "No attempt has this address, or the provider is not set up here.",
}
HEADERS = {
    401: {"WWW-Authenticate": ("How to sign in.", "Bearer")},
    429: {"Retry-After": ("Seconds to wait.", "1")},
    503: {"Retry-After": ("Seconds to wait.", "1")},
}

REFERENCES = "#/components/schemas/{model}"
#: the name that pydantic gives a model if two modules have a model of the same name
_QUALIFIED = re.compile(r"chalicelib__(?:[a-z]+__)*([a-z]+)__(\w+)")

Json = dict[str, Any]
Mode = Literal["validation", "serialization"]
Model = type[BaseModel]


def document(routes: Mapping[str, Mapping[str, Any]], server_url: str) -> Json:
    """Return the OpenAPI document of the routes, as JSON-like values.

    ``routes`` is ``app.routes``: route -> method -> Chalice's entry. ``server_url`` is the base URL of the API.
    """
    references, schemas = _schemas()
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": VERSION, "description": ABOUT, "license": {"name": "Apache-2.0"}},
        "servers": [{"url": server_url}],
        "tags": [{"name": tag, "description": text} for tag, text in TAGS.items()],
        "security": SECURITY,
        "paths": {
            path: {
                method.lower(): _operation(path, method, operation, routes[path][method].view_function, references)
                for method, operation in methods.items()
                if method in routes.get(path, {})
            }
            for path, methods in OPERATIONS.items()
            if path in routes
        },
        "components": {"securitySchemes": SECURITY_SCHEMES, "schemas": schemas},
    }


def _operations() -> Iterable[Operation]:
    return (operation for methods in OPERATIONS.values() for operation in methods.values())


def _schemas() -> tuple[dict[Model, Json], Json]:
    """Return model -> reference to its schema, and name -> schema.

    The schema of a body is the one for validation, the schema of an answer the one for serialization.
    """
    models: dict[Model, Mode] = {Problem: "serialization"}
    for operation in _operations():
        if isinstance(operation.body, type):
            models[operation.body] = "validation"
        if isinstance(operation.answer, type):
            models[operation.answer] = "serialization"
    found, definitions = models_json_schema(list(models.items()), ref_template=REFERENCES)
    references = {model: _plain(found[model, mode]) for model, mode in models.items()}
    schemas = {_plain_name(name): _plain(schema) for name, schema in definitions["$defs"].items()}
    for schema in schemas.values():
        for each in schema.get("properties", {}).values():
            each.setdefault("examples", [_example(each, schemas)])
    return references, schemas


def _example(schema: Json, schemas: Json) -> Any:
    """Return an example of a schema.

    The example of an object, or of a list of objects, is made from the examples of its fields.
    """
    if "examples" in schema:
        return schema["examples"][0]
    if "$ref" in schema:
        return _example(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "anyOf" in schema:
        return _example(schema["anyOf"][0], schemas)
    if "properties" in schema:
        return {name: _example(each, schemas) for name, each in schema["properties"].items()}
    return [_example(schema["items"], schemas)]


def _plain(schema: Any) -> Any:
    """Return a schema without names of Redial's modules and without pydantic's titles."""
    if isinstance(schema, dict):
        return {
            name: _plain_name(value) if name == "$ref" else _plain(value)
            for name, value in schema.items()
            if not (name == "title" and isinstance(value, str))
        }
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if isinstance(schema, str):
        return _plain_name(schema) if schema.startswith("#/") else schema.replace("``", "`")
    return schema


def _plain_name(name: str) -> str:
    return _QUALIFIED.sub(lambda found: found[1].title() + found[2], name)


def _operation(path: str, method: str, operation: Operation, view: Any, references: Mapping[Model, Json]) -> Json:
    docstring = (view.__doc__ or "").replace("``", "`")
    summary, _, description = " ".join(docstring.split()).partition(". ")
    if operation.role is not None:
        higher = "" if operation.role is Role.ADMIN else " or higher"
        description = f"{description} Needs a key with the role `{operation.role}`{higher}.".strip()
    entry: Json = {
        "tags": [operation.tag],
        "summary": summary.rstrip("."),
        "operationId": f"{method.lower()}{re.sub('[^A-Za-z0-9]+', '_', path)}".rstrip("_"),
        "parameters": _parameters(path, operation),
        "responses": _responses(operation, references),
    }
    if description:
        entry["description"] = description
    if operation.role is None:
        entry["security"] = []
    if operation.body is not None:
        content = _content(operation.body, references)
        if operation.example is not None:
            content["application/json"]["example"] = operation.example
        entry["requestBody"] = {"required": operation.body_required, "content": content}
    return entry


def _parameters(path: str, operation: Operation) -> list[Json]:
    in_path = re.findall(r"{(\w+)}", path)
    return [
        {"name": name, "required": name in in_path, **PARAMETERS[name]} for name in (*in_path, *operation.parameters)
    ]


def _responses(operation: Operation, references: Mapping[Model, Json]) -> Json:
    answer: Json = {"description": HTTPStatus(operation.status).phrase}
    if operation.answer is not None:
        answer["content"] = _content(operation.answer, references)
    if operation.headers:
        answer["headers"] = _headers(operation.headers)
    responses: Json = {str(status): answer for status in (operation.status, *operation.others)}
    meanings = MEANINGS | CALLBACK_MEANINGS if operation.role is None else MEANINGS
    limited = () if operation.role is None else (429,)
    for status in sorted((*operation.problems, *limited)):
        responses[str(status)] = {
            "description": meanings[status],
            "content": {"application/problem+json": {"schema": references[Problem]}},
        }
        if status in HEADERS:
            responses[str(status)]["headers"] = _headers(HEADERS[status])
    return responses


def _headers(headers: Mapping[str, tuple[str, str]]) -> Json:
    return {
        name: {"description": text, "schema": {"type": "string", "examples": [example]}}
        for name, (text, example) in headers.items()
    }


def _content(kind: Model | Contents, references: Mapping[Model, Json]) -> Json:
    if isinstance(kind, type):
        return {"application/json": {"schema": references[kind]}}
    return {media_type: {"schema": dict(schema)} for media_type, schema in kind.items()}
