"""The result of ``chalice deploy`` in moto: Lambdas, a permission, the schedule."""

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.awslambda.models import LambdaBackend

from ops.deploying import chalice_config, runtime
from ops.names import API, LAMBDAS, SWEEP

REGION, ACCOUNT = "eu-west-1", "123456789012"
ENVIRONMENT = {"AWS_DEFAULT_REGION": REGION, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
PUBLIC_URL = "https://redial.example.com/api"


@cache
def client(service: str) -> Any:
    """Make a client of AWS once: making one takes longer than the rest of a test."""
    return boto3.client(service)


@contextmanager
def empty_aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Provide an AWS account with nothing in it."""
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    put = LambdaBackend.put_function_event_invoke_config

    def put_over(backend: LambdaBackend, function_name: str, config: dict[str, Any]) -> dict[str, Any]:
        # moto keeps the first configuration.
        backend.get_function(function_name).event_invoke_config.clear()
        return put(backend, function_name, config)

    monkeypatch.setattr(LambdaBackend, "put_function_event_invoke_config", put_over)
    with mock_aws():
        yield


def deploy(stage: str = "dev", **environment: str) -> None:
    """Create the three Lambdas with ``environment``, and the sweep's schedule."""
    role = client("iam").create_role(RoleName="lambda", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as package:
        package.writestr("app.py", "")
    functions = client("lambda")
    variables = chalice_config.environment(stage) | {"PUBLIC_URL": PUBLIC_URL} | environment
    for each in LAMBDAS:
        functions.create_function(
            FunctionName=each.name(stage),
            Runtime=runtime.wanted(),
            Role=role,
            Handler="app.app",
            Timeout=chalice_config.timeout_sec(each, stage),
            Environment={"Variables": variables},
            Code={"ZipFile": code.getvalue()},
        )
    functions.add_permission(
        FunctionName=API.name(stage),
        StatementId="api",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:aws:execute-api:{REGION}:{ACCOUNT}:abc123/*",
    )
    events = client("events")
    name = f"{SWEEP.name(stage)}-event"
    events.put_rule(Name=name, ScheduleExpression="rate(1 minute)")
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": arn(SWEEP.name(stage))}])


def arn(function_name: str) -> str:
    """Return a Lambda's ARN in this AWS."""
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function_name}"


def statements(function_name: str) -> list[dict[str, Any]]:
    """Return the statements of a Lambda's resource policy."""
    policy = client("lambda").get_policy(FunctionName=function_name)["Policy"]
    return list(json.loads(policy)["Statement"])


def an_api(stage: str = "dev") -> str:
    """Create a REST API with Chalice's stage, and return its id.

    It may invoke the API's Lambda.
    """
    apis = client("apigateway")
    api_id: str = apis.create_rest_api(name="redial")["id"]
    root = apis.get_resources(restApiId=api_id)["items"][0]["id"]
    apis.put_method(restApiId=api_id, resourceId=root, httpMethod="GET", authorizationType="NONE")
    apis.put_integration(restApiId=api_id, resourceId=root, httpMethod="GET", type="MOCK")
    apis.create_deployment(restApiId=api_id, stageName="api")
    functions = client("lambda")
    functions.remove_permission(FunctionName=API.name(stage), StatementId="api")
    functions.add_permission(
        FunctionName=API.name(stage),
        StatementId="api",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{api_id}/*",
    )
    return api_id
