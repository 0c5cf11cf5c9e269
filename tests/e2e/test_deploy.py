"""The command `chalice deploy` from a clean copy of the project, as in the README."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from ops.local.carrier import Carrier
from ops.local.ministack import Ministack
from ops.local.package import ROOT, copy_source, run_chalice
from tests.support.caller import Caller, history, wait_to_place

pytestmark = pytest.mark.e2e

#: How long the mock carrier delays its answer: less than the 10 s after which a dial times out.
HOLD_SEC = 9.0
#: The emulator runs this machine's Python, and the Lambdas get the credentials and addresses of all eight providers.
OF_THE_EMULATOR = ("runtime", "environment size")
REDIALLED, IN_FLIGHT, AFTERWARDS = "+16505550301", "+16505550302", "+16505550303"


@dataclass(frozen=True)
class Project:
    """A clean copy of the project, and the AWS to which it is deployed."""

    path: Path
    aws: Ministack

    def configure(self, **environment: str) -> None:
        """Set environment variables of the stage, as a user does."""
        path = self.path / ".chalice" / "config.json"
        config = json.loads(path.read_text())
        config["stages"]["dev"]["environment_variables"] |= environment
        path.write_text(json.dumps(config, indent=2))

    def deploy(self) -> str:
        """Deploy the project.

        Returns the URL under which ministack serves the API that Chalice names.
        """
        said = run_chalice(self.path, "deploy", "--stage", "dev", environment=self.aws.environment)
        api = re.search(r"Rest API URL: https://(\w+)\.execute-api\.", said)
        assert api, said
        return f"{self.aws.url}/_aws/execute-api/{api[1]}/api"

    def ops(self, *arguments: str, status: int = 0) -> str:
        """Run one of the project's own commands, and return its output."""
        done = subprocess.run(
            [sys.executable, "-m", "ops", *arguments],
            cwd=ROOT,
            env=self.aws.environment | {"COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[Ministack]:
    with Ministack(tmp_path / "aws") as running:
        yield running


@pytest.fixture
def carrier() -> Iterator[Carrier]:
    with Carrier(hold_sec=HOLD_SEC) as running:
        yield running


def test_provision_deploy_loop_redeploy_loop_take_down(aws: Ministack, carrier: Carrier, tmp_path: Path) -> None:
    project = Project(tmp_path / "redial", aws)
    url = install(project, carrier)
    key = project.ops("keys", "create", "--stage", "dev", "--workspace", "acme", "--role", "admin").strip()
    caller = Caller(url, key, carrier.url)
    assert get(f"{url}/nothing-here") == 404

    wait_to_place()
    redialled = caller.place(REDIALLED, ["busy", "completed"])
    in_flight = caller.place(IN_FLIGHT, ["busy", "timeout"])
    redeploy_while_dialling(project, caller, url)
    for call_id, number in ((redialled, REDIALLED), (in_flight, IN_FLIGHT)):
        call = caller.ended(call_id)
        assert (history(call), call["summary_status"]) == ([(1, "busy"), (2, "completed")], "completed")
        assert caller.attempts_asked(number) == [1, 2]

    project.ops("alarms", "--stage", "dev", "--topic", "arn:aws:sns:us-east-1:000000000000:pager")
    told = json.loads(project.ops("doctor", "--stage", "dev", "--json"))
    findings = [finding for finding in told["findings"] if finding["level"] != "green"]
    assert [finding for finding in findings if finding["check"] not in OF_THE_EMULATOR] == []
    assert "nothing to do" in project.ops("provision", "--stage", "dev")
    wait_to_place()
    call = caller.ended(caller.place(AFTERWARDS, ["busy", "completed"]))
    assert (history(call), caller.attempts_asked(AFTERWARDS)) == ([(1, "busy"), (2, "completed")], [1, 2])

    # Chalice's record of the stage is in the copy, so take-down finds everything by name.
    project.ops("take-down", "--stage", "dev")
    assert aws.client("lambda").list_functions()["Functions"] == []
    assert aws.client("apigateway").get_rest_apis()["items"] == []
    assert aws.client("events").list_rules()["Rules"] == []
    assert aws.client("iam").list_roles()["Roles"] == []
    assert aws.client("cloudwatch").describe_alarms()["MetricAlarms"] == []
    assert aws.client("logs").describe_log_groups()["logGroups"] == []
    assert aws.client("dynamodb").list_tables()["TableNames"] == ["redial-dev"]
    project.ops("take-down", "--stage", "dev", "--delete-data", "redial-dev")
    assert aws.client("dynamodb").list_tables()["TableNames"] == []


def test_the_doctor_reports_a_failed_event_that_can_be_replayed(aws: Ministack, tmp_path: Path) -> None:
    project = Project(tmp_path / "redial", aws)
    copy_source(project.path)
    project.deploy()
    project.ops("provision", "--stage", "dev")
    aws.client("lambda").invoke(FunctionName="redial-dev-redial", InvocationType="Event", Payload=b'{"wake": "never"}')
    wait_for_dead_letter(aws)
    assert "1 events failed each time" in project.ops("doctor", "--stage", "dev", status=1)
    shown = project.ops("replay", "--stage", "dev", "--dry-run")
    assert "redial-dev-redial (never): " in shown
    assert "time data 'never' does not match format" in shown
    assert "failed again" in project.ops("replay", "--stage", "dev", status=1)
    assert "1 failed" in project.ops("replay", "--stage", "dev", status=1)


def install(project: Project, carrier: Carrier) -> str:
    """Follow the README with the mock carrier as provider. Returns the API's URL."""
    copy_source(project.path)
    project.configure(
        **carrier.environment,
        WAKE_LEAD_SECONDS="2",
        **{f"{name}_ANSWER_URL": f"{carrier.url}/answer" for name in ("TWILIO", "SIGNALWIRE", "PLIVO", "VONAGE")},
        **{f"{name}_ANSWER_URL": f"{carrier.url}/answer" for name in ("TELNYX", "EXOTEL")},
    )
    assert "next: python -m ops deploy --stage dev" in project.ops("provision", "--stage", "dev")
    url = project.deploy()
    # API Gateway's own name, which the app would give to the carrier, leads nowhere here.
    project.configure(PUBLIC_URL=url)
    assert project.deploy() == url
    said = project.ops("provision", "--stage", "dev")
    assert re.search(r"changed +permission for rule/redial-dev-wake-\* to invoke redial-dev-redial", said)
    assert "nothing to do" in project.ops("provision", "--stage", "dev")
    assert get(f"{url}/health") == 200
    return url


def redeploy_while_dialling(project: Project, caller: Caller, url: str) -> None:
    """Deploy while redial waits for the mock carrier's answer.

    The whole deployment may take longer than a dial on a busy machine, so the request that matters comes first.
    """
    asked = caller.requested(IN_FLIGHT, times=2)
    (package,) = (project.path / ".chalice" / "deployments").glob("*.zip")
    functions = project.aws.client("lambda")
    functions.update_function_code(FunctionName="redial-dev-redial", ZipFile=package.read_bytes())
    found = functions.get_function_configuration(FunctionName="redial-dev-redial")
    deployed_at, asked_at = (datetime.fromisoformat(text) for text in (found["LastModified"], asked["received_at"]))
    assert 0 < (deployed_at - asked_at).total_seconds() < HOLD_SEC
    assert project.deploy() == url
    # The deployment replaces the definition of the API, and with it API Gateway's own answers.
    assert "API Gateway's own answers" in project.ops("provision", "--stage", "dev")
    assert get(f"{url}/nothing-here") == 404


def wait_for_dead_letter(aws: Ministack) -> None:
    sqs, deadline = aws.client("sqs"), time.monotonic() + 60
    url = sqs.get_queue_url(QueueName="redial-dev-dead-letters")["QueueUrl"]

    def waiting() -> Any:
        return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]

    while waiting()["ApproximateNumberOfMessages"] == "0":
        assert time.monotonic() < deadline, "no dead letter within 60 s"
        time.sleep(0.5)


def get(url: str) -> int:
    try:
        with urlopen(url, timeout=30) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code
