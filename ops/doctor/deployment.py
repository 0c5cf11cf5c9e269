"""A deployed stage as the doctor sees it, asked of AWS once and remembered."""

import http.client
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache, cached_property, partial
from typing import Any
from urllib.parse import urlsplit

import boto3

from chalicelib.errors import RedialError
from chalicelib.providers import Http
from chalicelib.runtime.settings import Settings
from ops import aws
from ops.data.table import table_name
from ops.deploying import capacity, deployed_by
from ops.names import API, LAMBDAS, REDIAL, Lambda

FETCH_SEC = 10


class CannotTell(RedialError):
    """A check that cannot be made, for a reason that another check reports."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer over HTTP, and over TLS when its certificate ends."""

    status: int
    certificate_ends_at: datetime | None


def fetch(url: str) -> Fetched:
    """GET the URL, once. Raises OSError where there is no answer, or no certificate that can be trusted."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        secure = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=FETCH_SEC, context=ssl.create_default_context()
        )
        secure.connect()
        certificate = secure.sock.getpeercert()
        connection: http.client.HTTPConnection = secure
    else:
        connection, certificate = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=FETCH_SEC), None
    try:
        connection.request("GET", parts.path or "/")
        answer = connection.getresponse()
        answer.read()
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP answer: {error!r}") from error
    finally:
        connection.close()
    ends = ssl.cert_time_to_seconds(str(certificate["notAfter"])) if certificate else None
    return Fetched(answer.status, datetime.fromtimestamp(ends, UTC) if ends else None)


def resolve(reference: str, make_client: aws.MakeClient) -> str:
    """The secret behind ``ssm:/path`` or ``secretsmanager:name-or-arn``, each with ``#key`` for one field of a JSON.

    Raises ClientError, or RedialError where the secret has no such field.
    """
    store, _, rest = reference.partition(":")
    name, _, key = rest.partition("#")
    if store == "ssm":
        value = make_client("ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
    else:
        value = make_client("secretsmanager").get_secret_value(SecretId=name)["SecretString"]
    if not key:
        return str(value)
    try:
        return str(json.loads(value)[key])
    except (ValueError, LookupError, TypeError):
        raise RedialError(f"the secret {name} is no JSON object with a field {key!r}") from None


@dataclass
class Deployment:
    """A stage, asked through ``make_client`` (AWS), ``http`` (providers), ``fetch`` (the API) and ``resolve``."""

    stage: str
    make_client: aws.MakeClient = boto3.client
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    http: Http = field(default_factory=Http)
    fetch: Callable[[str], Fetched] = fetch
    resolve: Callable[[str, aws.MakeClient], str] = resolve

    def __post_init__(self) -> None:
        # A client takes longer to make than most requests to be answered.
        self.make_client = cache(self.make_client)

    @property
    def table(self) -> str:
        return table_name(self.stage)

    @cached_property
    def caller(self) -> tuple[str, timedelta | None]:
        """The account of the credentials, and how far this clock is ahead of AWS's; None where AWS told no time."""
        answer = self.make_client("sts").get_caller_identity()
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        return answer["Account"], self.now() - parsedate_to_datetime(date) if date else None

    @cached_property
    def functions(self) -> dict[Lambda, dict[str, Any] | None]:
        """Each Lambda's configuration, None where it is not deployed."""
        client = self.make_client("lambda")
        return {
            each: aws.find(partial(client.get_function_configuration, FunctionName=each.name(self.stage)))
            for each in LAMBDAS
        }

    def function(self, each: Lambda) -> dict[str, Any]:
        """A Lambda's configuration. Raises CannotTell where it is not deployed."""
        found = self.functions[each]
        if found is None:
            raise CannotTell(f"the Lambda {each.name(self.stage)} is not deployed")
        return found

    @cached_property
    def stack(self) -> str | None:
        """The CloudFormation stack that the stage belongs to; None after ``chalice deploy``."""
        return deployed_by.stack_of(self.make_client, self.stage)

    @property
    def redeploy(self) -> str:
        """The command that deploys the code and its settings again."""
        return deployed_by.redeploy(self.stage, self.stack)

    @property
    def repair(self) -> str:
        """The command that makes the resources beside the Lambdas as they should be."""
        return deployed_by.repair(self.stage, self.stack)

    @property
    def redial_arn(self) -> str:
        return str(self.function(REDIAL)["FunctionArn"])

    @property
    def environment(self) -> dict[str, str]:
        """What the API's Lambda is told."""
        return told(self.function(API))

    @cached_property
    def resolved(self) -> dict[str, str]:
        """The same with each reference to a secret replaced by the secret; what cannot be had is left out."""
        values = {}
        for name, value in self.environment.items():
            try:
                values[name] = self.resolve(value, self.make_client) if is_reference(value) else value
            except Exception:  # noqa: S112 - the check of the secrets tells why
                continue
        return values

    @cached_property
    def settings(self) -> Settings:
        """What the deployed app makes of its environment. Raises RedialError naming the wrong variable."""
        return Settings.from_env(self.environment)

    @cached_property
    def public_url(self) -> str | None:
        """The base of the API's addresses: as it is told, or API Gateway's own; None where neither can be told."""
        if self.settings.public_url:
            return self.settings.public_url
        api_id = capacity.rest_api(self.make_client("lambda"), self.stage)
        if api_id is not None:
            region = self.function(API)["FunctionArn"].split(":")[3]
            return f"https://{api_id}.execute-api.{region}.amazonaws.com/{capacity.api_stage()}"
        return None


def told(function: dict[str, Any]) -> dict[str, str]:
    """The environment in a Lambda's configuration."""
    return dict(function.get("Environment", {}).get("Variables", {}))


def is_reference(value: str) -> bool:
    """Whether an environment's value names a secret rather than being it."""
    return value.startswith(("ssm:", "secretsmanager:"))
