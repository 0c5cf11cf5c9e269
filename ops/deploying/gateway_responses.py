"""Gateway responses: the answers that API Gateway gives without a Lambda.

They are problem+json, with the same headers as every other answer.

| type | when | status |
| --- | --- | --- |
| ``MISSING_AUTHENTICATION_TOKEN`` | no route has the path and method | 404, not API Gateway's 403 |
| ``INVALID_SIGNATURE`` | the same, if the request has an ``Authorization`` header | 404, not 403 |
| ``THROTTLED`` | the stage's throttle is reached | 429 |
| ``REQUEST_TOO_LARGE`` | the body exceeds 10 MB | 413 |
| ``INTEGRATION_TIMEOUT`` | the Lambda has not answered within 29 s | 504 |
| ``DEFAULT_4XX``, ``DEFAULT_5XX`` | everything else | API Gateway's own |
"""

import hashlib
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from chalicelib.api.http import SECURITY_HEADERS, title_of
from ops import aws

NO_ROUTE = "no route has this path and method; GET /openapi.json lists all routes"
# Without the error's own message: for an unknown path it repeats the Authorization header.
OTHER = "API Gateway refused the request ($context.error.responseType)"
#: type -> status (None for API Gateway's own), detail, and headers besides the common ones
ANSWERS: Mapping[str, tuple[HTTPStatus | None, str, Mapping[str, str]]] = {
    "MISSING_AUTHENTICATION_TOKEN": (HTTPStatus.NOT_FOUND, NO_ROUTE, {}),
    "INVALID_SIGNATURE": (HTTPStatus.NOT_FOUND, NO_ROUTE, {}),
    "THROTTLED": (HTTPStatus.TOO_MANY_REQUESTS, "the API receives too many requests a second", {"Retry-After": "1"}),
    "REQUEST_TOO_LARGE": (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body exceeds API Gateway's limit of 10 MB", {}),
    "INTEGRATION_TIMEOUT": (HTTPStatus.GATEWAY_TIMEOUT, "the request took longer than 29 s", {}),
    "DEFAULT_4XX": (None, OTHER, {}),
    "DEFAULT_5XX": (None, "API Gateway could not handle the request ($context.error.responseType)", {}),
}


def template_properties() -> dict[str, Any]:
    """Return the ``GatewayResponses`` of an ``AWS::Serverless::Api``."""
    return {
        kind: {
            "ResponseParameters": {"Headers": _headers(own)},
            "ResponseTemplates": _templates(status, detail),
            **({} if status is None else {"StatusCode": str(status.value)}),
        }
        for kind, (status, detail, own) in ANSWERS.items()
    }


def wanted() -> dict[str, dict[str, Any]]:
    """Return the arguments of ``put_gateway_response`` for each type."""
    return {
        kind: {
            "responseParameters": {f"gatewayresponse.header.{name}": value for name, value in _headers(own).items()},
            "responseTemplates": _templates(status, detail),
            **({} if status is None else {"statusCode": str(status.value)}),
        }
        for kind, (status, detail, own) in ANSWERS.items()
    }


def are_set(apis: Any, api_id: str, stage_name: str) -> bool:
    """Return True if the API has these answers, and its stage was deployed with them."""
    listed = apis.get_gateway_responses(restApiId=api_id, limit=500)["items"]
    has = {each["responseType"]: each for each in listed}
    if any(has.get(kind, {}).get(key) != value for kind, each in wanted().items() for key, value in each.items()):
        return False
    stage = aws.find(lambda: apis.get_stage(restApiId=api_id, stageName=stage_name))
    deployed = stage and aws.find(lambda: apis.get_deployment(restApiId=api_id, deploymentId=stage["deploymentId"]))
    return bool(deployed) and deployed.get("description") == _description()


def put(apis: Any, api_id: str, stage_name: str) -> None:
    """Set the answers, and deploy the stage.

    The answers have no effect before the deployment.
    """
    for kind, answer in wanted().items():
        apis.put_gateway_response(restApiId=api_id, responseType=kind, **answer)
    apis.create_deployment(restApiId=api_id, stageName=stage_name, description=_description())


def _description() -> str:
    # The hash shows whether the stage was deployed with these answers, or a run stopped before that.
    return f"gateway responses {hashlib.sha256(aws.as_json(wanted()).encode()).hexdigest()[:16]}"


def _headers(own: Mapping[str, str]) -> dict[str, str]:
    # API Gateway uses a value between single quotes literally.
    every = {"Content-Type": "application/problem+json", **SECURITY_HEADERS, **own}
    return {name: f"'{value}'" for name, value in every.items()}


def _templates(status: HTTPStatus | None, detail: str) -> dict[str, str]:
    body: dict[str, Any] = {"type": "about:blank", "title": title_of(status) if status else "Request refused"}
    if status:
        body["status"] = status.value
    # This key is not the answer's type: API Gateway looks for this key, whatever types a request accepts.
    return {"application/json": json.dumps(body | {"detail": detail})}
