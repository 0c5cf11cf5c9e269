"""The doctor's checks of the secrets, the public URL and the providers' accounts."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import providers
from chalicelib.errors import RedialError
from chalicelib.providers import Http
from chalicelib.providers.http import Answer, AnswerLost, NotSent
from chalicelib.runtime.settings import Settings
from ops import aws
from ops.doctor.deployment import Deployment, is_reference
from ops.doctor.finding import Finding, amber, green, holds, red

CERTIFICATE_LEFT = timedelta(days=14)
LOOPBACK = ("127.0.0.1", "localhost", "::1")
#: The id of a call that no provider has. A lookup of this call is a GET that needs credentials.
NO_CALL = "00000000-0000-0000-0000-000000000000"
#: provider -> the same in the form of the provider's ids
NO_CALL_OF = {"twilio": f"CA{'0' * 32}", "exotel": "0" * 32}


def secrets(on: Deployment) -> Iterator[Finding]:
    """Check that each secret that the environment refers to can be read."""
    references = {name: value for name, value in sorted(on.environment.items()) if is_reference(value)}
    for name, reference in references.items():
        error = _read_error(on, reference)
        if error:
            yield red(f"{name} names {reference}, which cannot be read: {error}", _advice(reference))
    if all(name in on.resolved for name in references):
        yield green(f"{len(references)} references to secrets, all of which can be read")


def _read_error(on: Deployment, reference: str) -> str | None:
    try:
        on.resolve(reference, on.make_client)
    except (BotoCoreError, ClientError) as error:
        return aws.in_words(error)
    except RedialError as error:
        return str(error)
    return None


def _advice(reference: str) -> str:
    store, _, rest = reference.partition(":")
    name = rest.partition("#")[0]
    if store == "ssm":
        return f"aws ssm put-parameter --type SecureString --name {name} --value ..."
    return f"aws secretsmanager create-secret --name {name} --secret-string ..."


def public_url(on: Deployment) -> Iterator[Finding]:
    """Check that the API answers at its public URL, with a certificate that lasts."""
    base = on.public_url
    if base is None:
        yield red("no API is deployed, and PUBLIC_URL is not set", on.redeploy)
        return
    url, parts = f"{base}/health", urlsplit(base)
    try:
        fetched = on.fetch(url)
    except OSError as error:
        yield red(
            f"{url} does not answer: {error}",
            "providers cannot reach it either: correct PUBLIC_URL, its DNS or its TLS",
        )
        return
    yield holds(
        fetched.status == 200,
        f"{url} answers",
        red(f"{url} answers {fetched.status}", "PUBLIC_URL must be the API's base, with the stage if it has one"),
    )
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        yield amber(f"{base} is plain HTTP", "callbacks name the people who were called: serve it over HTTPS")
    ends_at = fetched.certificate_ends_at
    if ends_at is not None:
        days = (ends_at - on.now()).days
        yield holds(
            ends_at - on.now() > CERTIFICATE_LEFT,
            f"the URL's certificate is good for {days} days",
            amber(f"the URL's certificate ends in {days} days", "renew it: without it no callback comes"),
        )


def provider_accounts(on: Deployment) -> Iterator[Finding]:
    """Check that each configured provider accepts its credentials and settings."""
    settings = Settings.from_env(on.resolved)
    configured = [name for name in sorted(providers.REGISTRY) if _is_configured(settings, name)]
    if settings.default_provider not in providers.REGISTRY:
        known = ", ".join(sorted(providers.REGISTRY))
        yield red(f"DEFAULT_PROVIDER is {settings.default_provider!r}", f"it must be one of {known}")
    for name in configured:
        yield _account(on, settings, name)
        yield from _wrong_settings(on, settings, name)
        if providers.provider_class(name).needs_answer_url and not settings.answer_url(name):
            yield amber(f"{name.upper()}_ANSWER_URL is not set", "set it, or give each call a target")


def _is_configured(settings: Settings, name: str) -> bool:
    required = providers.provider_class(name).required
    return name == settings.default_provider or any(settings.credentials(name).get(key) for key in required)


def _account(on: Deployment, settings: Settings, name: str) -> Finding:
    watched = _Watched(on.http)
    try:
        provider = providers.load(name, settings.credentials(name), now=on.now, http=watched)
    except RedialError as error:
        return red(str(error), f"set it in .chalice/config.json, then {on.redeploy}")
    # The HTTP status says more than the result of the lookup.
    with suppress(RedialError):
        provider.lookup(NO_CALL_OF.get(name, NO_CALL))
    variables = ", ".join(f"{name.upper()}_{key.upper()}" for key in provider.required)
    if watched.lost is not None:
        return red(f"{name} cannot be reached: {watched.lost}", f"check {name.upper()}_API_URL and the network")
    if watched.status in (401, 403):
        return red(f"{name} refuses the credentials ({watched.status})", f"check {variables}")
    if watched.status is None or watched.status >= 500:
        return amber(f"{name} could not be asked: it answered {watched.status}", "look at the provider's status page")
    return green(f"{name} takes the credentials")


def _wrong_settings(on: Deployment, settings: Settings, name: str) -> Iterator[Finding]:
    with suppress(RedialError):
        provider = providers.load(name, settings.credentials(name), now=on.now, http=on.http)
        wrong = provider.wrong_setting()
        if wrong is not None:
            yield red(f"{name}: {wrong[0]}", wrong[1])


class _Watched(Http):
    """An HTTP client that remembers the status or the error of its last request."""

    def __init__(self, inner: Http) -> None:
        self._inner = inner
        self.status: int | None = None
        self.lost: Exception | None = None

    def request(self, method: str, url: str, *, headers: Mapping[str, str], **content: Any) -> Answer:
        try:
            answer = self._inner.request(method, url, headers=headers, **content)
        except (NotSent, AnswerLost) as error:
            self.lost = error
            raise
        self.status = answer.status
        return answer
