"""The API's own document and its page: whole, true to the routes, and sufficient to themselves."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from app import app
from chalicelib.api.http import STATUS
from chalicelib.api.operations import OPERATIONS
from tests.support.world import BODY, PUBLIC_URL, World


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


def test_where_nobody_says_the_apis_name_it_is_beside_the_document(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PUBLIC_URL")
    assert world.client.http.get("/openapi.json").json_body["servers"] == [{"url": "."}]


def test_every_reference_leads_somewhere_and_no_name_is_a_modules(document: dict[str, Any]) -> None:
    text = str(document)
    schemas = document["components"]["schemas"]
    assert set(re.findall(r"#/components/schemas/(\w+)", text)) == set(schemas)
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


def test_every_status_that_an_error_can_become_is_one_that_some_route_tells_of(document: dict[str, Any]) -> None:
    told = {int(status) for _, _, operation in operations(document) for status in operation["responses"]}
    raised = {int(status) for _, status in STATUS}
    # No route answers a conflict so far.
    assert raised - told <= {409}


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
