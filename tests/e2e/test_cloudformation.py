"""`chalice package` and CloudFormation: the loop on a stack, on the updated stack, and what is left of it."""

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


def test_a_stack_is_made_updated_and_deleted_with_the_loop_before_and_after(tmp_path: Path) -> None:
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

        assert [finding for finding in doctor(stack)["findings"] if finding["level"] != "green"] == []
        delete(stack)
        assert functions.list_functions()["Functions"] == []
        assert stack.aws.client("events").list_rules()["Rules"] == []
        assert stack.aws.client("sqs").list_queues().get("QueueUrls", []) == []
        # Who was called, and who asked not to be, outlives the stack.
        items = stack.aws.client("dynamodb").scan(TableName="redial-dev", Select="COUNT")
        assert items["Count"] > 0


def update(stack: LocalStack, **environment: str) -> None:
    """Tell every Lambda something new, by an update of the stack."""
    formation = stack.aws.client("cloudformation")
    body = formation.get_template(StackName=STACK_NAME)["TemplateBody"]
    template = json.loads(body) if isinstance(body, str) else body
    for each in LAMBDAS:
        template["Resources"][each.logical_id]["Properties"]["Environment"]["Variables"] |= environment
    formation.update_stack(
        StackName=STACK_NAME,
        TemplateURL=stack.template_url(template),
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    wait_until(lambda: status(stack) == "UPDATE_COMPLETE", DEPLOY_SECONDS, lambda: LocalError(str(status(stack))))


def delete(stack: LocalStack) -> None:
    stack.aws.client("cloudformation").delete_stack(StackName=STACK_NAME)
    wait_until(
        lambda: status(stack) in (None, "DELETE_COMPLETE"), DEPLOY_SECONDS, lambda: LocalError(str(status(stack)))
    )


def status(stack: LocalStack) -> str | None:
    """The stack's status; None where it is gone."""
    listed = stack.aws.client("cloudformation").list_stacks()["StackSummaries"]
    return next((str(each["StackStatus"]) for each in listed if each["StackName"] == STACK_NAME), None)


def doctor(stack: LocalStack) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "ops", "doctor", "--json"],
        cwd=ROOT,
        env=stack.aws.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told
