"""A deployed stage as the doctor sees it: asks AWS once and remembers the answers."""

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
    """An answer over HTTP.

    ``certificate_ends_at`` is None if the URL is not https.
    """

    status: int
    certificate_ends_at: datetime | None


def fetch(url: str) -> Fetched:
    """Get the URL once, and return its status and the end of its certificate.

    Raises OSError if nothing answers, or if the certificate cannot be trusted.
    """
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
    """Return the secret that ``ssm:/path`` or ``secretsmanager:name-or-arn`` names.

    ``#key`` at the end of a reference selects one field of a secret that is a JSON object. Raises ClientError, or
    RedialError if the secret has no such field.
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
        raise RedialError(f"the secret {name} is not a JSON object with a field {key!r}") from None


@dataclass
class Deployment:
    """A stage, and the functions that ask about it.

    ``make_client`` asks AWS, ``http`` the providers, ``fetch`` the API, and ``resolve`` reads a secret.
    """

    stage: str
    make_client: aws.MakeClient = boto3.client
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    http: Http = field(default_factory=Http)
    fetch: Callable[[str], Fetched] = fetch
    resolve: Callable[[str, aws.MakeClient], str] = resolve

    def __post_init__(self) -> None:
        # Making a client takes longer than most requests, so each is made once.
        self.make_client = cache(self.make_client)

    @property
    def table(self) -> str:
        """The name of the stage's table."""
        return table_name(self.stage)

    @cached_property
    def caller(self) -> tuple[str, timedelta | None]:
        """The account of the credentials, and how far this clock is ahead of AWS's.

        The second value is None if AWS's answer has no time.
        """
        answer = self.make_client("sts").get_caller_identity()
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        return answer["Account"], self.now() - parsedate_to_datetime(date) if date else None

    @cached_property
    def functions(self) -> dict[Lambda, dict[str, Any] | None]:
        """The configuration of each Lambda, or None if it is not deployed."""
        client = self.make_client("lambda")
        return {
            each: aws.find(partial(client.get_function_configuration, FunctionName=each.name(self.stage)))
            for each in LAMBDAS
        }

    def function(self, each: Lambda) -> dict[str, Any]:
        """Return a Lambda's configuration. Raises CannotTell if it is not deployed."""
        found = self.functions[each]
        if found is None:
            raise CannotTell(f"the Lambda {each.name(self.stage)} is not deployed")
        return found

    @cached_property
    def stack(self) -> str | None:
        """The CloudFormation stack of the stage, or None after ``chalice deploy``."""
        return deployed_by.stack_of(self.make_client, self.stage)

    @property
    def redeploy(self) -> str:
        """The command that deploys the code and its settings again."""
        return deployed_by.redeploy(self.stage, self.stack)

    @property
    def repair(self) -> str:
        """The command that corrects the resources beside the Lambdas."""
        return deployed_by.repair(self.stage, self.stack)

    @property
    def redial_arn(self) -> str:
        """The ARN of ``redial``. Raises CannotTell if it is not deployed."""
        return str(self.function(REDIAL)["FunctionArn"])

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of the API's Lambda."""
        return environment_of(self.function(API))

    @cached_property
    def resolved(self) -> dict[str, str]:
        """The environment variables, with the secret in place of each reference.

        A variable is left out if its secret cannot be read.
        """
        values = {}
        for name, value in self.environment.items():
            try:
                values[name] = self.resolve(value, self.make_client) if is_reference(value) else value
            except Exception:  # noqa: S112 - the check of the secrets reports why
                continue
        return values

    @cached_property
    def settings(self) -> Settings:
        """The settings that the deployed app reads from its environment.

        Raises RedialError, which names the wrong variable.
        """
        return Settings.from_env(self.environment)

    @cached_property
    def public_url(self) -> str | None:
        """The base of the API's addresses, or None if it is unknown.

        It is ``PUBLIC_URL``, or else API Gateway's own address.
        """
        if self.settings.public_url:
            return self.settings.public_url
        api_id = capacity.rest_api(self.make_client("lambda"), self.stage)
        if api_id is not None:
            region = self.function(API)["FunctionArn"].split(":")[3]
            return f"https://{api_id}.execute-api.{region}.amazonaws.com/{capacity.api_stage()}"
        return None


def environment_of(function: dict[str, Any]) -> dict[str, str]:
    """Return the environment variables in a Lambda's configuration."""
    return dict(function.get("Environment", {}).get("Variables", {}))


def is_reference(value: str) -> bool:
    """Return whether a variable's value names a secret and is not the secret itself."""
    return value.startswith(("ssm:", "secretsmanager:"))
