"""The comparison of each Lambda's AWS requests with its IAM policy.

The recorder notes every request that botocore makes while a handler of the app runs, as (Lambda, action, resource). At
the end of the test run, two things fail the run: a request that the policy does not allow ("missing"), and a permission
that no request used ("unused"). The check for unused permissions needs a run of all tests.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import botocore.handlers
import pytest
from chalice.test import TestHTTPClient, TestLambdaClient

from ops.data.table import table_name
from ops.deploying.policies import policy
from ops.names import API, LAMBDAS, stage_prefix

STAGE = "dev"
#: A transaction needs the permissions for the writes in it.
#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
WRITES = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}

#: permissions that no test can see used, and the reason
NOT_SEEN = {
    "logs:CreateLogGroup": "Lambda itself makes the log group, with the function's role",
    "logs:CreateLogStream": "Lambda itself makes the log stream, with the function's role",
    "logs:PutLogEvents": "Lambda itself writes the logs, with the function's role",
    "sqs:SendMessage": "Lambda itself sends what failed to the dead letters, with the function's role",
}


class Use(NamedTuple):
    """One request of a Lambda.

    ``function`` is the name in ``.chalice/config.json`` and ``resource`` is an ARN.
    """

    function: str
    action: str
    resource: str


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:us-east-1:123456789012:{resource}"


def _table(params: Mapping[str, Any]) -> str:
    return f"table/{params['TableName']}"


def _rule(params: Mapping[str, Any]) -> str:
    return f"rule/{params.get('Rule') or params['Name']}"


def _schedule(params: Mapping[str, Any]) -> str:
    return f"schedule/{params.get('GroupName', 'default')}/{params['Name']}"


def _index(params: Mapping[str, Any]) -> str:
    return _table(params) + (f"/index/{params['IndexName']}" if "IndexName" in params else "")


def _secret(params: Mapping[str, Any]) -> str:
    # AWS adds six random characters to a secret's name in its ARN.
    return f"secret:{params['SecretId'].rpartition(':')[2]}-AbCdEf"


#: action -> the resource that a request needs it for
RESOURCES: dict[str, Callable[[Mapping[str, Any]], str | list[str]]] = {
    "dynamodb:GetItem": _table,
    "dynamodb:PutItem": _table,
    "dynamodb:UpdateItem": _table,
    "dynamodb:DeleteItem": _table,
    "dynamodb:ConditionCheckItem": _table,
    "dynamodb:Query": _index,
    "dynamodb:Scan": _index,
    "dynamodb:BatchGetItem": lambda params: [f"table/{name}" for name in params["RequestItems"]],
    "dynamodb:BatchWriteItem": lambda params: [f"table/{name}" for name in params["RequestItems"]],
    "events:PutRule": _rule,
    "events:PutTargets": _rule,
    "events:RemoveTargets": _rule,
    "events:DeleteRule": _rule,
    "events:DescribeRule": _rule,
    "events:ListTargetsByRule": _rule,
    "events:ListRules": lambda params: "rule/*",
    "scheduler:CreateSchedule": _schedule,
    "scheduler:DeleteSchedule": _schedule,
    "scheduler:GetSchedule": _schedule,
    "scheduler:ListSchedules": lambda params: "schedule/*/*",
    "ssm:GetParameter": lambda params: f"parameter{params['Name']}",
    "ssm:GetParameters": lambda params: [f"parameter{name}" for name in params["Names"]],
    "secretsmanager:GetSecretValue": _secret,
}


def permissions_for(service: str, operation: str, params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the permissions (action, resource) that one request needs.

    The resource is ``?`` if RESOURCES does not have the action.
    """
    if (service, operation) == ("dynamodb", "TransactWriteItems"):
        for write in params["TransactItems"]:
            ((kind, what),) = write.items()
            yield from permissions_for(service, WRITES[kind], what)
        return
    if (service, operation) == ("scheduler", "CreateSchedule"):
        yield "iam:PassRole", params["Target"]["RoleArn"]
    action = f"{service}:{operation}"
    found = RESOURCES[action](params) if action in RESOURCES else "?"
    for resource in [found] if isinstance(found, str) else found:
        yield action, _arn(service, resource)


def _by_default_name(arn: str) -> str:
    """Return the ARN with the stage's default table name.

    The configuration may name another table.
    """
    default = f"table/{stage_prefix(STAGE)}"
    if ":table/" not in arn or arn.split(":", 5)[5].split("/index/")[0] == default:
        return arn
    return arn.replace(f"table/{table_name(STAGE)}", default)


class Recorder:
    """Notes the AWS requests of running Lambdas. It ignores the requests of tests."""

    def __init__(self) -> None:
        self.uses: set[Use] = set()
        # One value for each thread, because the simulator runs several Lambdas side by side.
        self._running: ContextVar[str | None] = ContextVar("running", default=None)

    @contextmanager
    def running(self, function: str) -> Iterator[None]:
        """Mark this Lambda as running.

        A Lambda may run within another one: a callback that comes during a dial.
        """
        before = self._running.set(function)
        try:
            yield
        finally:
            self._running.reset(before)

    def note(self, params: Mapping[str, Any], model: Any, **_: Any) -> None:
        """Note a request. botocore calls this as ``provide-client-params``."""
        function = self._running.get()
        if function is not None:
            service = model.service_model.service_name
            self.uses |= {
                Use(function, action, _by_default_name(arn))
                for action, arn in permissions_for(service, model.name, params)
            }


def missing(uses: Iterable[Use], policies: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a line for each request that its policy does not allow."""
    return sorted(
        f"{use.function} asks for {use.action} on {use.resource}, which its policy does not allow"
        for use in uses
        if not any(_covers(statement, use) for statement in policies[use.function]["Statement"])
    )


def unused(uses: Iterable[Use], policies: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a line for each permission that no request used, by action and resource."""
    lines = []
    for function, document in policies.items():
        own = [use for use in uses if use.function == function]
        for statement in document["Statement"]:
            for name in ("Action", "Resource"):
                lines += [
                    f"{function} may {statement['Sid']} {value}, and never does"
                    for value in statement[name]
                    if not set(statement["Action"]) <= NOT_SEEN.keys()
                    and not any(_covers(statement | {name: [value]}, use) for use in own)
                ]
    return sorted(lines)


def _covers(statement: Mapping[str, Any], use: Use) -> bool:
    return any(fnmatchcase(use.action, action) for action in statement["Action"]) and any(
        fnmatchcase(use.resource, resource) for resource in statement["Resource"]
    )


#: the tests of `make test`
FAST = "not e2e and not slow"


def why_partial(config: pytest.Config, failed: int) -> str | None:
    """Return why this run cannot find unused permissions; None if it can."""
    option = config.option
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS and config.args != [str(config.rootpath)]:
        return f"only {' '.join(config.args)} was run"
    if option.keyword or option.markexpr not in ("", FAST) or getattr(option, "lf", False):
        return "only some of the tests were run"
    if option.collectonly:
        return "the tests were only collected"
    return f"{failed} of the tests failed" if failed else None


_recorder = Recorder()
_collected: set[Use] = set()
_report_lines: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    botocore.handlers.BUILTIN_HANDLERS.append(("provide-client-params", _recorder.note))
    http, invoke = TestHTTPClient.request, TestLambdaClient.invoke

    def request(client: TestHTTPClient, *arguments: Any, **named: Any) -> Any:
        with _recorder.running(API.key):
            return http(client, *arguments, **named)

    def invoke_named(client: TestLambdaClient, function_name: str, payload: Any = None) -> Any:
        with _recorder.running(function_name):
            return invoke(client, function_name, payload)

    TestHTTPClient.request, TestLambdaClient.invoke = request, invoke_named


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object | None) -> None:
    """Collect the notes of an xdist worker that has ended, from its output."""
    _collected.update(Use(*each) for each in getattr(node, "workeroutput", {}).get("iam_uses", ()))


def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput["iam_uses"] = [list(use) for use in _recorder.uses]
        return
    uses = _collected | _recorder.uses
    if not uses:
        return
    policies = {each.key: policy(each, STAGE) for each in LAMBDAS}
    reason = why_partial(config, session.testsfailed)
    wrong = missing(uses, policies) + ([] if reason else unused(uses, policies))
    if wrong:
        _report_lines.extend(
            [*wrong, "correct the table in ops/deploying/policies.py, then: python -m ops policies --write"]
        )
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    elif reason:
        _report_lines.append(f"nothing is missing; unused permissions were not checked, because {reason}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _report_lines:
        terminalreporter.section("IAM policies")
        for line in _report_lines:
            terminalreporter.line(line)
