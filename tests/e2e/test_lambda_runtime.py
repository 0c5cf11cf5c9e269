"""The app under AWS's Python runtime, which changes the environment each time."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from twilio.request_validator import RequestValidator

from tests.support.gateway import rest_event
from tests.support.runtime_api import RuntimeApi, runtime_api

ROOT = Path(__file__).resolve().parents[2]
ENV = {
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_LAMBDA_FUNCTION_NAME": "redial-dev",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
    "TABLE_NAME": "redial-dev",
    "REDIAL_STAGE": "dev",
    "PUBLIC_URL": "https://redial.example.com/api",
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": "ssm:/redial-dev/twilio-auth-token",
}
ROUTE = "/callbacks/{provider}/{token}"
PATH = "/callbacks/twilio/unknown-token"

pytestmark = pytest.mark.slow


@pytest.fixture
def lambda_() -> Iterator[RuntimeApi]:
    """Start a process of AWS's runtime that waits for events."""
    with runtime_api() as api:
        handler = "tests.support.lambda_process.handler"
        command = [sys.executable, "-m", "awslambdaric", handler]
        env = {"PATH": os.environ["PATH"], **ENV, "AWS_LAMBDA_RUNTIME_API": api.address}
        running = subprocess.Popen(command, cwd=ROOT, env=env)
        try:
            yield api
        finally:
            running.kill()
            running.wait()


def callback(token: str | None) -> dict[str, Any]:
    """Return Twilio's callback to an unknown address, signed with a token or unsigned."""
    form = {"CallSid": "CA" + "0" * 32, "CallStatus": "ringing"}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if token is not None:
        headers["X-Twilio-Signature"] = RequestValidator(token).compute_signature(ENV["PUBLIC_URL"] + PATH, form)
    params = {"provider": "twilio", "token": "unknown-token"}
    return rest_event("POST", ROUTE, PATH, params=params, headers=headers, body=urlencode(form))


def test_thirty_invocations_make_one_build_and_one_read(lambda_: RuntimeApi) -> None:
    unsigned = [lambda_.invoke(callback(None)) for _ in range(20)]
    assert unsigned == [{"status": 403, "builds": 1, "reads": 0}] * 20
    signed = [lambda_.invoke(callback("first")) for _ in range(30)]
    assert signed == [{"status": 404, "builds": 1, "reads": 1}] * 30
    lambda_.invoke({"rotate": "second"})
    rotated = [lambda_.invoke(callback("second")) for _ in range(5)]
    assert rotated == [{"status": 404, "builds": 1, "reads": 2}] * 5
