"""The capacity of a stage: reserved concurrency, and the API's throttle.

Without reserved concurrency, ``redial`` waits while requests to the API take every invocation of the account.
"""

import json
from typing import Any

from chalicelib.errors import RedialError
from ops import aws
from ops.deploying import chalice_config
from ops.names import API, REDIAL, SWEEP, Lambda

#: Lambda -> the variable in .chalice/config.json with its reserved invocations, and the variable's default
RESERVED: dict[Lambda, tuple[str, int]] = {
    REDIAL: ("REDIAL_RESERVED_CONCURRENCY", 20),
    SWEEP: ("SWEEP_RESERVED_CONCURRENCY", 2),
}
#: The variable with the API's requests a second, and its default. The account's own limit is 10,000 a second, for all
#: of its APIs together.
RATE = ("API_REQUESTS_PER_SECOND", 500)
#: the burst is this many seconds' worth of requests
BURST_SEC = 2


def reserved(each: Lambda, stage: str) -> int:
    """Return how many invocations are reserved for a Lambda; 0 for none.

    Raises RedialError for a wrong setting.
    """
    return _whole(stage, *RESERVED[each], least=0, most=900)


def throttle(stage: str) -> tuple[int, int]:
    """Return the wanted throttle of the API: requests a second, and the burst.

    Raises RedialError for a wrong setting.
    """
    rate = _whole(stage, *RATE, least=1, most=10_000)
    return rate, BURST_SEC * rate


def api_stage() -> str:
    """Return the name of API Gateway's stage."""
    return str(chalice_config.read()["api_gateway_stage"])


def rest_api(functions: Any, stage: str) -> str | None:
    """Return the id of the REST API that may invoke the API's Lambda; None for none."""
    # Chalice and CloudFormation both give exactly one API the permission: arn:aws:execute-api:region:account:api-id/*
    policy = aws.find(lambda: functions.get_policy(FunctionName=API.name(stage)))
    for statement in json.loads(policy["Policy"])["Statement"] if policy else ():
        for test in statement.get("Condition", {}).values():
            source = str(test.get("AWS:SourceArn", ""))
            if ":execute-api:" in source:
                return source.split(":")[5].partition("/")[0]
    return None


def throttled(apis: Any, api_id: str | None) -> tuple[float, int] | None:
    """Return the current throttle of an API: requests a second, and the burst.

    Return None if the API or its stage does not exist.
    """
    if api_id is None:
        return None
    found = aws.find(lambda: apis.get_stage(restApiId=api_id, stageName=api_stage()))
    if found is None:
        return None
    every = found.get("methodSettings", {}).get("*/*", {})
    return float(every.get("throttlingRateLimit", 0)), int(every.get("throttlingBurstLimit", 0))


def throttling(stage: str) -> list[dict[str, str]]:
    """Return the patch of an API's stage that sets the throttle."""
    rate, burst = throttle(stage)
    limits = {"rateLimit": rate, "burstLimit": burst}
    return [{"op": "replace", "path": f"/*/*/throttling/{name}", "value": str(n)} for name, n in limits.items()]


def _whole(stage: str, name: str, default: int, *, least: int, most: int) -> int:
    text = str(chalice_config.environment(stage).get(name, default))
    if not text.isdecimal() or not least <= int(text) <= most:
        raise RedialError(f"{name} is {text!r}; it must be a whole number from {least} to {most}")
    return int(text)
