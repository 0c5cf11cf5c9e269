"""The local stack: all of Redial on 127.0.0.1.

It runs AWS (ministack) and the mock carrier. The packaged app is deployed to the former and calls the latter.
"""

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.request import Request, urlopen

from chalicelib.providers import provider_class
from chalicelib.storage.keys import KeyStore, Role
from ops.data.keys import create_key
from ops.data.table import table_name
from ops.deploying.provision import Provisioner
from ops.local.carrier import PROVIDERS, Carrier
from ops.local.carrier_bolna import EVERY_AGENT
from ops.local.kept import Kept
from ops.local.ministack import LocalError, Ministack, wait_for_port, wait_until
from ops.local.package import LOCAL, Package, build_package
from ops.local.private import write_private
from ops.names import LAMBDAS

STAGE = "dev"
STACK_NAME = "redial-local"
BUCKET = "redial-local"
# Ministack takes the API's id from a tag. So the API's URL is known in time for the settings of the Lambdas.
API_ID = "redial"
WORKSPACE = "local"
# A PEM takes 1,700 of the 4,096 bytes of a Lambda's environment, so the Lambdas read it as docs/secrets.md advises.
PRIVATE_KEY = f"/redial-{STAGE}/vonage-private-key"
CARRIER_CREDENTIALS = ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_API_URL")
# The number to call from if a vendor's request names none.
FROM_NUMBER = "+14155550100"
DEPLOY_SECONDS = 60

Step = Callable[[str], AbstractContextManager[None]]


@contextmanager
def silently(what: str) -> Iterator[None]:
    """Do a step without showing it."""
    yield


class LocalStack:
    """A running local stack: ``with LocalStack() as stack:``.

    ``stack.env`` is what others need to use it. ``directory`` keeps the log and, while the stack runs, the file
    ``env``. ``step`` wraps each step of the start, for a caller that shows the steps. With ``kept`` the stack continues
    with the calls, the key and the ports of the last run. Entering raises LocalError if a part does not start.
    """

    def __init__(self, *, directory: Path = LOCAL, step: Step = silently, kept: Kept | None = None) -> None:
        self.directory = directory
        self.env: dict[str, str] = {}
        self.aws = Ministack(directory, port=kept.aws_port, items=kept.items) if kept else Ministack(directory)
        self._kept = kept
        self._step = step
        self._parts = ExitStack()

    @property
    def base_url(self) -> str:
        """The base of the API's addresses."""
        return f"{self.aws.url}/_aws/execute-api/{API_ID}/api"

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            self._start(starting)
            self._parts = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._parts.close()

    def check(self) -> None:
        """Raise LocalError if a part of the stack has died."""
        self.aws.check()

    def _start(self, parts: ExitStack) -> None:
        # A killed stack may have left this file. A program that waits for it would believe that this stack is ready.
        (self.directory / "env").unlink(missing_ok=True)
        kept = self._kept or Kept(self.directory)
        for port in filter(None, (kept.aws_port, kept.carrier_port)):
            wait_for_port(port)
        with self._step("start AWS (ministack)"):
            parts.enter_context(self.aws)
        with self._step("start the mock carrier"):
            carrier = parts.enter_context(Carrier(environment=kept.carrier_environment, port=kept.carrier_port))
        with self._step("package the app"):
            package = build_package(STAGE)
        with self._step("deploy it (CloudFormation)"):
            self._deploy(package, carrier)
        with self._step("make an API key" if not kept.api_key else "find the API key"):
            key = self._key(kept.api_key)
        with self._step("wake the API"):
            wait_until(self._answers, DEPLOY_SECONDS, lambda: self.aws.failure("answers no GET /health"))
        with self._step("register the webhooks that are not set per call"):
            self._register_webhooks(carrier)
        self.env = {
            "BASE_URL": self.base_url,
            "API_KEY": key,
            "WORKSPACE": WORKSPACE,
            "CARRIER_URL": carrier.url,
            # The user's own code places calls with these credentials, for Redial to adopt.
            **{name: carrier.environment[name] for name in CARRIER_CREDENTIALS},
            "AWS_ENDPOINT_URL": self.aws.url,
        }
        if self._kept:
            self._keep(self._kept, key, carrier)
        parts.callback(self._remove_env)
        self._write_env()

    def _key(self, kept: str) -> str:
        """Return the kept key, or a new key if the kept one is not an admin's any more."""
        dynamodb, now = self.aws.client("dynamodb"), datetime.now(UTC)
        found = KeyStore(dynamodb, table_name(STAGE)).find(kept) if kept else None
        if found and found.workspace == WORKSPACE and found.role == Role.ADMIN and not found.is_expired(now):
            return kept
        return create_key(dynamodb, table_name(STAGE), workspace=WORKSPACE, role=Role.ADMIN, now=now)

    def _keep(self, kept: Kept, key: str, carrier: Carrier) -> None:
        kept.aws_port, kept.carrier_port, kept.api_key = self.aws.port, carrier.port, key
        kept.carrier_environment = carrier.environment
        kept.save()

    def _deploy(self, package: Package, carrier: Carrier) -> None:
        pem = carrier.environment["VONAGE_PRIVATE_KEY"]
        self.aws.client("ssm").put_parameter(Name=PRIVATE_KEY, Value=pem, Type="SecureString", Overwrite=True)
        storage, formation = self.aws.client("s3"), self.aws.client("cloudformation")
        storage.create_bucket(Bucket=BUCKET)
        storage.upload_file(str(package.code), BUCKET, "deployment.zip")
        template = localize(package.read_template(), self.function_environment(carrier))
        formation.create_stack(
            StackName=STACK_NAME,
            TemplateURL=self.template_url(template),
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        )

        def ended() -> bool:
            (stack,) = formation.describe_stacks(StackName=STACK_NAME)["Stacks"]
            return not stack["StackStatus"].endswith("_IN_PROGRESS")

        wait_until(ended, DEPLOY_SECONDS, lambda: LocalError(f"no stack after {DEPLOY_SECONDS} s"))
        (stack,) = formation.describe_stacks(StackName=STACK_NAME)["Stacks"]
        if stack["StackStatus"] != "CREATE_COMPLETE":
            raise LocalError(f"the stack ended {stack['StackStatus']}: {stack.get('StackStatusReason')}")
        # Ministack's CloudFormation sets only the keys of a table; provision sets the rest.
        Provisioner(STAGE, make_client=self.aws.client, say=lambda line: None).provision()

    def template_url(self, template: Mapping[str, Any]) -> str:
        """Upload a template and return its URL.

        CloudFormation accepts at most 51,200 bytes inside a request.
        """
        self.aws.client("s3").put_object(Bucket=BUCKET, Key="template.json", Body=json.dumps(template).encode())
        return f"{self.aws.url}/{BUCKET}/template.json"

    def _register_webhooks(self, carrier: Carrier) -> None:
        """Register the webhooks at Bolna and DialNexa, as a user does once.

        Bolna has a webhook for each agent, DialNexa one for the workspace.
        """
        callbacks = f"{self.base_url}/callbacks"
        environment = carrier.environment
        agent = {"agent_config": {"webhook_url": f"{callbacks}/bolna"}}
        bolna = f"{environment['BOLNA_API_URL']}/v2/agent/{EVERY_AGENT}"
        _ask("PUT", bolna, agent, environment["BOLNA_API_KEY"])
        webhook = {
            "url": f"{callbacks}/dialnexa",
            "events": ["call_initiated", "call_ended"],
            "secret": environment["DIALNEXA_WEBHOOK_SECRET"].partition(",")[0],
        }
        _ask("POST", f"{environment['DIALNEXA_API_URL']}/v1/user-webhooks", webhook, environment["DIALNEXA_API_KEY"])

    def function_environment(self, carrier: Carrier) -> dict[str, str]:
        """Return the variables of the Lambdas that CloudFormation does not set."""
        # An agent answers the calls of the other providers.
        by_url = (provider for provider in PROVIDERS if not provider_class(provider).needs_agent)
        answer_urls = {f"{provider.upper()}_ANSWER_URL": f"{carrier.url}/answer" for provider in by_url}
        # Long enough to set a rule before its minute begins: a rule that is set later would never fire.
        own = {"PUBLIC_URL": self.base_url, "WAKE_LEAD_SECONDS": "2", "DEFAULT_FROM_NUMBER": FROM_NUMBER}
        own["KEY_REQUESTS_PER_SECOND"] = "1000"  # a test of many calls has one key
        return own | carrier.environment | answer_urls | {"VONAGE_PRIVATE_KEY": f"ssm:{PRIVATE_KEY}"}

    def _answers(self) -> bool:
        self.aws.check()
        try:
            with urlopen(f"{self.base_url}/health", timeout=DEPLOY_SECONDS) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _env_text(self) -> str:
        return "".join(f"{name}={value}\n" for name, value in self.env.items())

    def _write_env(self) -> None:
        write_private(self.directory / "env", self._env_text())

    def _remove_env(self) -> None:
        path = self.directory / "env"
        # A stack that started later may have written its own file.
        if path.exists() and path.read_text() == self._env_text():
            path.unlink()


def _ask(method: str, url: str, body: Mapping[str, Any], key: str) -> None:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    with urlopen(Request(url, json.dumps(body).encode(), headers, method=method), timeout=DEPLOY_SECONDS):
        pass


def localize(template: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Return a packaged template that runs on the local stack.

    Its code is in the local bucket, its API has a known id, and its settings are local.
    """
    local: dict[str, Any] = copy.deepcopy(dict(template))
    # Ministack has no alarms on a sum of metrics, and nobody would look at an alarm here.
    resources = {name: each for name, each in local["Resources"].items() if not _is_monitoring(each)}
    local["Resources"] = resources
    # Ministack's CloudFormation leaves out concurrency, throttle and API Gateway's answers; provision sets them later.
    for name in ("Parameters", "Conditions"):
        local.pop(name, None)
    for each in resources.values():
        each.pop("Condition", None)
    for name in ("MethodSettings", "GatewayResponses"):
        resources["RestAPI"]["Properties"].pop(name, None)
    resources["RestAPI"]["Properties"] |= {"Tags": {"ms-custom-id": API_ID}, "PropagateTags": True}
    for each in LAMBDAS:
        properties = resources[each.logical_id]["Properties"]
        properties.pop("ReservedConcurrentExecutions", None)
        properties["CodeUri"] = {"Bucket": BUCKET, "Key": "deployment.zip"}
        properties["Environment"]["Variables"] |= environment
    return local


def _is_monitoring(resource: Mapping[str, Any]) -> bool:
    return str(resource["Type"]).startswith("AWS::CloudWatch::")
