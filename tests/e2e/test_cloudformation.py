"""The commands `chalice package` and CloudFormation.

The test runs the loop on a stack and on the updated stack. It checks what is left after a deletion, and a failed stack.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ops.local.ministack import LocalError, wait_until
from ops.local.package import ROOT
from ops.local.stack import DEPLOY_SECONDS, STACK_NAME, LocalStack
from ops.names import LAMBDAS
from tests.support.caller import Caller, history, wait_to_place

pytestmark = pytest.mark.e2e

BEFORE, AFTER = "+16505550311", "+16505550312"
TWICE = [(1, "busy"), (2, "completed")]
#: The emulator runs this machine's Python, and the Lambdas get the credentials and addresses of all eight providers.
OF_THE_EMULATOR = ("runtime", "environment size")


def test_a_stack_is_created_updated_and_deleted(tmp_path: Path) -> None:
    with LocalStack(directory=tmp_path) as stack:
        caller = Caller(stack.base_url, stack.env["API_KEY"], stack.env["CARRIER_URL"])
        wait_to_place()
        first = caller.place(BEFORE, ["busy", "completed"])
        assert (history(caller.ended(first)), caller.attempts_asked(BEFORE)) == (TWICE, [1, 2])

        update(stack, DIAL_POOL_SIZE="4")
        functions = stack.aws.client("lambda")
        redial = functions.get_function_configuration(FunctionName="redial-dev-redial")
        assert redial["Environment"]["Variables"]["DIAL_POOL_SIZE"] == "4"
        assert history(caller.read(first)) == TWICE
        wait_to_place()
        second = caller.place(AFTER, ["busy", "completed"])
        assert (history(caller.ended(second)), caller.attempts_asked(AFTER)) == (TWICE, [1, 2])

        ops(stack, "alarms", "--topic", "arn:aws:sns:us-east-1:000000000000:pager")
        findings = json.loads(ops(stack, "doctor", "--json"))["findings"]
        assert [f for f in findings if f["level"] != "green" and f["check"] not in OF_THE_EMULATOR] == []
        template = read_template(stack)
        ops(stack, "take-down", "--stack", STACK_NAME)
        assert status(stack) is None
        assert functions.list_functions()["Functions"] == []
        assert stack.aws.client("events").list_rules()["Rules"] == []
        assert stack.aws.client("sqs").list_queues().get("QueueUrls", []) == []
        # The record of calls and opt-outs outlives the stack.
        items = stack.aws.client("dynamodb").scan(TableName="redial-dev", Select="COUNT")
        assert items["Count"] > 0
        ops(stack, "take-down", "--stack", STACK_NAME, "--delete-data", "redial-dev")
        fails_and_can_be_made_again(stack, template)


def fails_and_can_be_made_again(stack: LocalStack, template: dict[str, Any]) -> None:
    """Create a stack that must fail, and check that it leaves no table."""
    broken = {"Type": "AWS::SQS::Queue", "DependsOn": ["Table"], "Properties": {"QueueName": "only-of-others.fifo"}}
    failing = {**template, "Resources": {**template["Resources"], "Broken": broken}}
    formation = stack.aws.client("cloudformation")
    capabilities = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
    for wanted, resources in (("ROLLBACK_COMPLETE", failing), ("CREATE_COMPLETE", template)):
        url = stack.template_url(resources)
        formation.create_stack(StackName=STACK_NAME, TemplateURL=url, Capabilities=capabilities)
        wait_until(lambda: not str(status(stack)).endswith("_PROGRESS"), DEPLOY_SECONDS, lambda: LocalError("no stack"))
        assert status(stack) == wanted
        ops(stack, "take-down", "--stack", STACK_NAME, "--delete-data", "redial-dev")
    assert stack.aws.client("dynamodb").list_tables()["TableNames"] == []


def read_template(stack: LocalStack) -> dict[str, Any]:
    body = stack.aws.client("cloudformation").get_template(StackName=STACK_NAME)["TemplateBody"]
    found: dict[str, Any] = json.loads(body) if isinstance(body, str) else body
    return found


def update(stack: LocalStack, **environment: str) -> None:
    """Change the environment of every Lambda by an update of the stack."""
    formation, template = stack.aws.client("cloudformation"), read_template(stack)
    for each in LAMBDAS:
        template["Resources"][each.logical_id]["Properties"]["Environment"]["Variables"] |= environment
    formation.update_stack(
        StackName=STACK_NAME,
        TemplateURL=stack.template_url(template),
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    wait_until(lambda: status(stack) == "UPDATE_COMPLETE", DEPLOY_SECONDS, lambda: LocalError(str(status(stack))))


def status(stack: LocalStack) -> str | None:
    """Return the stack's status; None after its deletion."""
    listed = stack.aws.client("cloudformation").list_stacks()["StackSummaries"]
    named = [str(each["StackStatus"]) for each in listed if each["StackName"] == STACK_NAME]
    return next((each for each in named if each != "DELETE_COMPLETE"), None)


def ops(stack: LocalStack, *arguments: str) -> str:
    """Run one of the project's own commands, and return its output."""
    done = subprocess.run(
        [sys.executable, "-m", "ops", *arguments],
        cwd=ROOT,
        env=stack.aws.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
