"""The policy in docs/deployer-policy.json allows what our commands need."""

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from botocore.client import BaseClient

from ops.deploying.take_down import TakeDown
from tests.support.deployed import an_api, client
from tests.support.healthy_stage import findings, healthy_stage

POLICY = json.loads((Path(__file__).parents[2] / "docs" / "deployer-policy.json").read_text())
#: For API Gateway, IAM knows only HTTP methods.
BY_METHOD = "apigateway"
#: Statements whose resources have ids that AWS chooses, or no ids
WITHOUT_NAMES = ("Api", "AutoscalingOfARestoredTable", "WhatHasNoName")


def test_each_request_of_our_commands_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[tuple[str, str], bool] = {}
    make = BaseClient._make_api_call

    def recorded(self: Any, operation: str, params: dict[str, Any]) -> Any:
        signed_for = self.meta.service_model.signing_name
        service = {"monitoring": "cloudwatch"}.get(signed_for, signed_for)
        action = f"{service}:{operation}"
        if service == BY_METHOD:
            action = f"{service}:{self.meta.service_model.operation_model(operation).http['method']}"
        # A request without one of our names reads a list, which IAM cannot narrow down to names.
        names = service == BY_METHOD or "redial-" in json.dumps(params, default=str)
        asked[service, action] = asked.get((service, action), True) and names
        return make(self, operation, params)

    with patch.object(BaseClient, "_make_api_call", recorded), healthy_stage(monkeypatch, again=True) as stage:
        an_api()
        findings(stage)
        TakeDown("dev", client, say=lambda line: None).run(delete_data=True)
    refused = [action for (_, action), named in asked.items() if not allowed(action, named=named)]
    # This role is the test's own: its Lambdas share a role with another name.
    assert refused == ["iam:CreateRole"]
    assert len(asked) > 40


def test_each_service_that_our_commands_use_is_in_it() -> None:
    ops = Path(__file__).parents[2] / "ops"
    sources = (path.read_text() for path in ops.rglob("*.py") if path.parent.name not in ("local", "simulate"))
    used = {service for source in sources for service in re.findall(r'client\("([a-z-]+)"\)', source)}
    prefixes = {action.split(":")[0] for statement in POLICY["Statement"] for action in statement["Action"]}
    assert len(used) > 10
    assert {service.replace("service-quotas", "servicequotas") for service in used} - prefixes == set()


def allowed(action: str, *, named: bool) -> bool:
    statements = [s for s in POLICY["Statement"] if any(fnmatchcase(action, each) for each in s["Action"])]
    return any(named or s["Resource"] == ["*"] for s in statements)


def test_it_reaches_only_what_is_named_as_redial_s() -> None:
    def wide() -> Iterator[str]:
        for statement in POLICY["Statement"]:
            for resource in statement["Resource"]:
                if "redial-" not in resource and statement["Sid"] not in WITHOUT_NAMES:
                    yield resource

    assert list(wide()) == ["arn:*:cloudformation:*:aws:transform/Serverless-2016-10-31"]
    (nameless,) = (s for s in POLICY["Statement"] if s["Resource"] == ["*"])
    changing = ("Create", "Put", "Update", "Delete", "Add", "Remove", "Pass")
    assert [each for each in nameless["Action"] if each.split(":")[1].startswith(changing)] == []
