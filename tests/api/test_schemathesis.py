"""Schemathesis on every route: the document's examples, schema edges and beyond."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.config import SchemathesisConfig
from schemathesis.schemas import BaseSchema

from app import app
from chalicelib.api.openapi import document
from tests.support.world import PUBLIC_URL, World, new_client
from tests.support.wsgi import as_wsgi

pytestmark = pytest.mark.slow

CONFIG = {
    "seed": 20260126,
    "generation": {"deterministic": True, "max-examples": 20, "database": "none", "no-shrink": True},
    # OPTIONS never reaches the app: API Gateway answers it.
    "phases": {"stateful": {"enabled": False}, "coverage": {"unexpected-methods": ["PATCH", "PUT", "DELETE"]}},
    # Their policies are those of POST /calls, where schemathesis tries each edge of the schema.
    "operations": [
        {
            "include-operation-id": ["post_policies_preview", "put_policies_name"],
            "phases": {"coverage": {"enabled": False}},
            "generation": {"max-examples": 40},
        }
    ],
    # A value that matches its schema may still be wrong: a zone that does not exist, or a number too small to store.
    "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", "400", "401", "403", "404", "409", "422"]}},
}
#: path parameter -> an existing value, so that most requests find an item
THERE = {"call_id": "call_there", "name": "reminders", "number": "+16505550123", "provider": "twilio"}


def schema_of_the_api() -> BaseSchema:
    """Return the document as the app serves it.

    Half of the requests have path parameters of existing items.
    """
    served: Any = document(app.routes, PUBLIC_URL)
    for methods in served["paths"].values():
        for operation in methods.values():
            for parameter in operation["parameters"]:
                if parameter["name"] in THERE:
                    known = {"type": "string", "enum": [THERE[parameter["name"]]]}
                    parameter["schema"] = {"anyOf": [known, parameter["schema"]]}
    schema = schemathesis.openapi.from_dict(served, config=SchemathesisConfig.from_dict(CONFIG))
    schema.app = as_wsgi(new_client(), mounted_at="/api")
    return schema


@pytest.fixture
def call_there(world: World) -> str:
    """Set up a Redial that has a call, a policy and an opted-out number."""
    call: str = world.place()["id"]
    world.end("busy")
    world.request("PUT", "/policies/reminders", {"retry": {"max_retries": 1}})
    world.request("PUT", f"/numbers/{THERE['number']}/opt-out", {"reason": "asked"})
    return call


@schema_of_the_api().parametrize()
@settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_every_route_answers_as_its_document_says(case: schemathesis.Case, world: World, call_there: str) -> None:
    world.clock.turn(seconds=1)  # otherwise the key's rate limit rejects all but the first requests
    if case.path_parameters.get("call_id") == THERE["call_id"]:
        case.path_parameters["call_id"] = call_there
    case.call_and_validate(headers={"Authorization": f"Bearer {world.key}"})
