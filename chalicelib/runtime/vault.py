"""The secrets of ``ssm:`` and ``secretsmanager:`` references in the environment.

``ssm:/redial-prod/twilio-auth-token`` is a parameter of Systems Manager. ``secretsmanager:redial-prod/twilio`` is a
secret of Secrets Manager, by its name or ARN. ``#auth_token`` at the end of a reference selects one key of a JSON
object.
"""

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import RedialError, Unavailable
from chalicelib.runtime.log import warn

#: Redial uses a secret for this long before it reads the secret again.
FRESH = timedelta(minutes=5)
#: After a sign of a wrong secret (a signature failed, a provider answered 401), Redial reads a secret again if it is
#: older than this.
DOUBTED = timedelta(minutes=1)
#: After a failed read, Redial waits this long before it reads the secret again. So not each request of a stranger
#: causes a request to AWS.
FAILED_KEPT = timedelta(seconds=30)
#: GetParameters takes at most this many names.
MAX_PARAMETERS = 10


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference to a secret: the service, and the secret's name in this service.

    ``json_key`` is the key of the secret in a JSON object. It is None if the whole text is the secret.
    """

    service: str
    name: str
    json_key: str | None

    @classmethod
    def parse(cls, text: str) -> "Reference | None":
        """Read ``ssm:/path`` or ``secretsmanager:name#key``.

        Returns None if the text is not a reference but the value itself.
        """
        service, colon, rest = text.strip().partition(":")
        if not colon or service not in _SERVICES:
            return None
        name, _, json_key = rest.partition("#")
        return cls(service, name, json_key or None)


@dataclass(frozen=True, slots=True)
class _Kept:
    text: str = field(repr=False)
    read_at: datetime


@dataclass(frozen=True, slots=True)
class _Failed:
    """A secret that could not be read.

    An empty ``why`` means that the secret does not exist.
    """

    why: str
    at: datetime


class Vault:
    """The secrets that references refer to.

    The vault remembers each secret for five minutes. ``make_client`` makes the botocore client of a service by the
    service's name. The vault calls it only if there is a reference.
    """

    def __init__(self, make_client: Callable[[str], Any], now: Callable[[], datetime]) -> None:
        self._make_client = make_client
        self._now = now
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._tried_at: dict[tuple[str, str], datetime] = {}
        self._failed: dict[tuple[str, str], _Failed] = {}
        self._lock = threading.Lock()

    def resolved(self, values: Mapping[str, str], *, max_age: timedelta = FRESH) -> dict[str, str]:
        """Return the values with each reference replaced by its secret.

        ``values`` maps the names of variables to their values. If one secret is older than ``max_age``, the vault reads
        all secrets of these values again, those of one service together. If the read fails, the vault uses the secrets
        that it read before.

        Raises Unavailable if the read fails and one of the secrets was never read before. Raises RedialError if a
        secret does not exist or has the wrong form. The errors name the variable and the reference.
        """
        references = {name: found for name, value in values.items() if (found := Reference.parse(value))}
        if not references:
            return dict(values)
        with self._lock:
            self._read_stale(references, max_age)
            taken = {name: self._secret(name, values[name], found) for name, found in references.items()}
        return {**values, **taken}

    def _read_stale(self, references: Mapping[str, Reference], max_age: timedelta) -> None:
        now = self._now()
        sources = {(found.service, found.name): name for name, found in references.items()}
        if not any(self._is_stale(source, now, max_age) for source in sources):
            return
        for service, read in _SERVICES.items():
            wanted = {name: variable for (of, name), variable in sources.items() if of == service}
            if wanted:
                self._read(service, read, wanted, now)

    def _is_stale(self, source: tuple[str, str], now: datetime, max_age: timedelta) -> bool:
        failed = self._failed.get(source)
        if failed is not None:
            return now - failed.at >= FAILED_KEPT
        tried_at = self._tried_at.get(source)
        return tried_at is None or now - tried_at >= max_age

    def _read(self, service: str, read: "_Read", wanted: Mapping[str, str], now: datetime) -> None:
        known = all((service, name) in self._kept for name in wanted)
        try:
            found = read(self._make_client(service), list(wanted))
        except (ClientError, BotoCoreError) as error:
            secrets = ", ".join(f"{variable} ({service}:{name})" for name, variable in wanted.items())
            if not known:
                why = f"{secrets} could not be read: {_why(error)}"
                self._failed |= {(service, name): _Failed(why, now) for name in wanted}
                raise Unavailable(why) from error
            warn("secret-not-read-again", secrets=secrets, error=_why(error))
            found = {}
        for name in wanted:
            if name in found:
                self._kept[service, name] = _Kept(found[name], now)
            if (service, name) in self._kept:
                self._tried_at[service, name] = now
                self._failed.pop((service, name), None)
            else:
                self._failed[service, name] = _Failed("", now)

    def _secret(self, variable: str, text: str, reference: Reference) -> str:
        kept = self._kept.get((reference.service, reference.name))
        if kept is None:
            where = "Systems Manager has no parameter" if reference.service == "ssm" else "there is no secret"
            failed = self._failed.get((reference.service, reference.name))
            if failed is not None and failed.why:
                raise Unavailable(failed.why)
            raise RedialError(f"{variable} is {text!r}, but {where} {reference.name!r} with a text in it")
        if reference.json_key is None:
            # A line break at the end comes from the shell that wrote the secret. It is never part of the secret.
            return kept.text.strip()
        try:
            value = json.loads(kept.text)[reference.json_key]
        except (ValueError, KeyError, TypeError):
            # The new error does not include this error, because its text may contain the secret.
            value = None
        if not isinstance(value, str):
            wanted = f"must be a JSON object with a text under {reference.json_key!r}"
            raise RedialError(f"{variable} is {text!r}, but what is kept there {wanted}")
        return value.strip()


_Read = Callable[[Any, Iterable[str]], dict[str, str]]


def _read_parameters(client: Any, names: Iterable[str]) -> dict[str, str]:
    """Read parameters by name, ten in a request. Leave out those that do not exist."""
    found: dict[str, str] = {}
    for batch in _batches(names):
        answer = client.get_parameters(Names=batch, WithDecryption=True)
        for parameter in answer["Parameters"]:
            # AWS answers with the plain name, also if the request had the ARN, a version or a label.
            for name in (parameter["Name"] + parameter.get("Selector", ""), parameter.get("ARN", "")):
                found[name] = parameter["Value"]
    return found


def _batches(names: Iterable[str]) -> Iterable[list[str]]:
    every = list(names)
    return (every[first : first + MAX_PARAMETERS] for first in range(0, len(every), MAX_PARAMETERS))


def _read_secrets(client: Any, names: Iterable[str]) -> dict[str, str]:
    """Read secrets by name or ARN. Leave out those that do not exist or hold bytes."""
    found: dict[str, str] = {}
    for name in names:
        try:
            answer = client.get_secret_value(SecretId=name)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            continue
        if "SecretString" in answer:
            found[name] = answer["SecretString"]
    return found


def _why(error: Exception) -> str:
    """Return the short text of an AWS error.

    It may name the secret, but never contains it.
    """
    if isinstance(error, ClientError):
        return f"{error.response['Error']['Code']}: {error.response['Error'].get('Message', '')}"
    return str(error)


_SERVICES: dict[str, _Read] = {"ssm": _read_parameters, "secretsmanager": _read_secrets}
