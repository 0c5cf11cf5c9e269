"""The API's document and its page: complete, true to the routes, self-contained."""

import html
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from app import app
from chalicelib.api.docs_page import MAX_EXAMPLE
from chalicelib.api.http import STATUS
from chalicelib.api.operations import OPERATIONS
from tests.support.world import BODY, PUBLIC_URL, World

REFERENCE = r"#/components/schemas/(\w+)"


@pytest.fixture
def document(world: World) -> dict[str, Any]:
    answer = world.client.http.get("/openapi.json")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    body: dict[str, Any] = answer.json_body
    return body


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def test_every_route_is_documented_and_nothing_else(document: dict[str, Any]) -> None:
    routes = {(path, method) for path, methods in app.routes.items() for method in methods}
    documented = {(path, method) for path, methods in OPERATIONS.items() for method in methods}
    assert sorted(routes - documented) == [], "add a row to chalicelib/api/operations.py"
    assert sorted(documented - routes) == [], "these rows of chalicelib/api/operations.py have no route"
    assert {(path, method) for path, method, _ in operations(document)} == routes


def test_it_is_openapi_3_1_and_says_where_the_api_is(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    assert document["servers"] == [{"url": PUBLIC_URL}]


def test_the_api_is_beside_the_document_by_default(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PUBLIC_URL")
    assert world.client.http.get("/openapi.json").json_body["servers"] == [{"url": "."}]


def test_every_reference_leads_somewhere_and_no_name_is_a_modules(document: dict[str, Any]) -> None:
    text = str(document)
    schemas = document["components"]["schemas"]
    assert set(re.findall(REFERENCE, text)) == set(schemas)
    assert [name for name in schemas if "chalicelib" in name or "__" in name] == []
    assert "chalicelib" not in text


def test_each_operation_has_its_own_id_and_a_summary(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(ids)) == len(ids)
    assert [path for path, _, operation in operations(document) if not operation["summary"]] == []


def test_the_parameters_of_a_path_are_those_in_its_braces(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        told = [p["name"] for p in operation["parameters"] if p["in"] == "path"]
        assert told == re.findall(r"{(\w+)}", path)
        assert all(p["required"] for p in operation["parameters"] if p["in"] == "path")


def bounded(schema: dict[str, Any]) -> bool:
    """Return True if every value of a request's field has an upper bound.

    A number needs a lower bound, too.
    """
    if "anyOf" in schema or "oneOf" in schema:
        return all(map(bounded, schema.get("anyOf") or schema["oneOf"]))
    if "$ref" in schema or "enum" in schema or "const" in schema:
        return True
    match schema.get("type"):
        case "string":
            return bool({"maxLength", "pattern", "format"} & set(schema))
        case "integer" | "number":
            lower, upper = {"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}
            return bool(lower & set(schema)) and bool(upper & set(schema))
        case "array":
            return "maxItems" in schema and bounded(schema["items"])
        case "object":
            return bool({"maxProperties", "propertyNames"} & set(schema))
    return True  # true, false, null, or a vendor's field that is not used


def fields(document: dict[str, Any], names: Iterable[str]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield (name, schema, schema of its object) of each field of the named schemas."""
    for name in names:
        whole = document["components"]["schemas"][name]
        for field, schema in whole.get("properties", {}).items():
            yield f"{name}.{field}", schema, whole


def reached(document: dict[str, Any], schema: Any) -> set[str]:
    """Return the names of all schemas that a schema refers to, also indirectly."""
    found: set[str] = set()
    new = set(re.findall(REFERENCE, str(schema)))
    while new:
        found |= new
        new = {
            name for each in new for name in re.findall(REFERENCE, str(document["components"]["schemas"][each]))
        } - found
    return found


def test_each_field_has_a_description_and_an_example(document: dict[str, Any]) -> None:
    all_fields = list(fields(document, document["components"]["schemas"]))
    assert len(all_fields) > 300
    assert [name for name, schema, _ in all_fields if len(schema.get("description", "")) < 5] == []
    assert [name for name, schema, _ in all_fields if not schema.get("examples")] == []
    assert [name for name, schema in document["components"]["schemas"].items() if not schema.get("description")] == []


def test_each_example_is_right_by_its_own_schema(document: dict[str, Any]) -> None:
    wrong = []
    for name, schema, _ in fields(document, document["components"]["schemas"]):
        validator = Draft202012Validator({**schema, "components": document["components"]})
        wrong += [(name, example) for example in schema["examples"] if not validator.is_valid(example)]
    assert wrong == []


def test_each_field_of_a_request_has_its_bounds_and_its_default(document: dict[str, Any]) -> None:
    bodies = [operation["requestBody"] for _, _, operation in operations(document) if "requestBody" in operation]
    asked = list(fields(document, reached(document, bodies)))
    assert len(asked) > 140
    assert [name for name, schema, _ in asked if not bounded(schema)] == []
    optional = [(name, schema) for name, schema, whole in asked if name.split(".")[1] not in whole.get("required", ())]
    assert [name for name, schema in optional if "default" not in schema] == []


def test_each_route_parameter_header_and_tag_says_what_it_is(document: dict[str, Any]) -> None:
    described = [*document["tags"], *document["components"]["securitySchemes"].values()]
    with_example = []
    for path, method, operation in operations(document):
        described += [operation, *operation["responses"].values()]
        assert operation["description"] != operation["summary"], (path, method)
        assert {operation["tags"][0]} <= {tag["name"] for tag in document["tags"]}
        with_example += operation["parameters"]
        for answer in operation["responses"].values():
            with_example += [{"name": name, **header} for name, header in answer.get("headers", {}).items()]
        for kind, content in operation.get("requestBody", {}).get("content", {}).items():
            assert operation["tags"] == ["Callbacks"] or "example" in content, (path, kind)
    assert [each for each in described if not each.get("description")] == []
    for parameter in with_example:
        schema = parameter["schema"]
        assert parameter["description"], parameter
        assert Draft202012Validator(schema).is_valid(schema["examples"][0]), parameter
        assert parameter.get("in") != "query" or bounded(schema), parameter


def without_discriminators(value: Any) -> Any:
    """Return the document without discriminators.

    The validator breaks on null in the place of an object with a discriminator.
    """
    if isinstance(value, dict):
        return {name: without_discriminators(each) for name, each in value.items() if name != "discriminator"}
    return [without_discriminators(each) for each in value] if isinstance(value, list) else value


def test_the_document_is_valid_openapi(document: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(without_discriminators(document)).validate()


def test_every_error_status_is_documented_by_a_route(document: dict[str, Any]) -> None:
    told = {int(status) for _, _, operation in operations(document) for status in operation["responses"]}
    raised = {int(status) for _, status in STATUS}
    assert raised - told == set()


def test_every_error_is_a_problem(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                assert list(answer["content"]) == ["application/problem+json"], (path, method, status)


def test_what_needs_no_key_is_what_the_contract_lets_in_without_one(document: dict[str, Any]) -> None:
    open_routes = {path for path, _, operation in operations(document) if operation.get("security") == []}
    assert open_routes == {
        "/callbacks/{provider}",
        "/callbacks/{provider}/adopt/{token}",
        "/callbacks/{provider}/{token}",
        "/docs",
        "/health",
        "/openapi.json",
    }


def test_the_examples_are_taken_as_they_stand(world: World, document: dict[str, Any]) -> None:
    tried = 0
    for path, method, operation in operations(document):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            if "example" in content:
                url = path.format(name="reminders", number=BODY["to_number"], sid="acme1")
                answer = world.request(method, url, content["example"])
                assert answer.status_code in (200, 201), (path, answer.body)
                tried += 1
    assert tried == 9


def test_the_page_shows_the_full_description_of_each_field(world: World, document: dict[str, Any]) -> None:
    page = world.client.http.get("/docs").body.decode()
    shown = html.unescape(re.sub(r"</?code>", "`", page))
    of_operations = [p for _, _, operation in operations(document) for p in operation["parameters"]]
    parts = [(p["name"], p["description"], p["schema"]) for p in of_operations]
    parts += [
        (name.split(".")[1], schema["description"], schema)
        for name, schema, _ in fields(document, reached(document, document["paths"]))
        if not name.startswith(("Problem.", "Wrong."))
    ]
    lost = [(name, text) for name, text, _ in parts if f"</p><p>{text}</p>" not in shown]
    assert lost == []
    examples = [str(p["schema"]["examples"][0]) for p in of_operations]
    examples += [json.dumps(schema["examples"][0], ensure_ascii=False) for _, _, schema in parts[len(examples) :]]
    assert [each for each in examples if len(each) <= MAX_EXAMPLE and f"Example: `{each}`" not in shown] == []
    assert '`limit` <span class="soft">in query, integer, at least 1, at most 50, default `25`</span>' in shown
    assert '`wait_minutes` <span class="soft">number | null, at least 0, at most 86400, default `null`</span>' in shown


def test_the_page_names_every_route_and_loads_nothing(world: World, document: dict[str, Any]) -> None:
    answer = world.client.http.get("/docs")
    page = answer.body.decode()
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")
    for path, _, operation in operations(document):
        assert f'<a href="#{operation["operationId"]}">' in page
        assert f'<section id="{operation["operationId"]}">' in page
        assert path in page
    assert re.findall(r"<(?:script|link|img|iframe)|\bsrc=|url\(|@import", page) == []
    assert set(re.findall(r'href="([^#"][^"]*)"', page)) == {"openapi.json"}
