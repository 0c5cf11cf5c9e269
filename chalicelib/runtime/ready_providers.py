"""Providers with their credentials, by name.

When one of a provider's secrets is rotated, Redial makes a new provider with the new secret.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from chalicelib import providers
from chalicelib.errors import RedialError
from chalicelib.providers import CallbackRequest, Http, Provider
from chalicelib.providers.http import Answer
from chalicelib.providers.precheck import check_sender
from chalicelib.runtime.settings import Settings
from chalicelib.runtime.vault import DOUBTED, FRESH, Reference, Vault

#: The HTTP statuses by which a provider rejects the credentials.
DENIED = (401, 403)


class ReadyProviders:
    """The ready providers.

    Each is made on first use: call this object with the provider's name.
    """

    def __init__(self, settings: Settings, vault: Vault, now: Callable[[], datetime], http: Http | None) -> None:
        self._settings = settings
        self._vault = vault
        self._now = now
        self._http = http
        self._made: dict[str, tuple[Mapping[str, str], Provider]] = {}
        self._denied: set[str] = set()

    def __call__(self, name: str) -> Provider:
        """Return the provider of this name, ready to use.

        Raises UnknownProvider if Redial has no such provider, and RedialError if the provider is not set up.
        """
        providers.provider_class(name)
        given = self._settings.credentials(name)
        if not any(map(Reference.parse, given.values())):
            if name not in self._made:
                self._made[name] = given, self._make(name, given, self._http)
            return self._made[name][1]
        max_age = DOUBTED if name in self._denied else FRESH
        self._denied.discard(name)
        return self._with_secrets(name, given, max_age)

    def check_sender(self, name: str, request: CallbackRequest) -> None:
        """Raise SignatureError if a callback cannot come from the provider.

        This reads no secret. Raises UnknownProvider if Redial has no such provider. A provider that is not set up
        passes here; __call__() raises its error.
        """
        provider = providers.provider_class(name)
        given = self._settings.credentials(name)
        if all(given.get(key) for key in provider.required):
            check_sender(provider, request, {k: v for k, v in given.items() if not Reference.parse(v)})

    def fresh(self, name: str) -> Provider | None:
        """Read the secrets again, and return the provider with the new ones.

        Returns None if the secrets have not changed since the last use, if the provider was not used yet, or if its
        environment has no references to secrets. Redial does not read a secret again that it
        read within the last minute. So strangers who send wrong signatures cause few requests to AWS.
        """
        given = self._settings.credentials(name)
        _, last_used = self._made.get(name, (None, None))
        if last_used is None or not any(map(Reference.parse, given.values())):
            return None
        newest = self._with_secrets(name, given, DOUBTED)
        return newest if newest is not last_used else None

    def _with_secrets(self, name: str, given: Mapping[str, str], max_age: timedelta) -> Provider:
        prefix = f"{name.upper()}_"
        variables = {prefix + key.upper(): value for key, value in given.items()}
        resolved = self._vault.resolved(variables, max_age=max_age)
        credentials = {key.removeprefix(prefix).lower(): value for key, value in resolved.items()}
        used, provider = self._made.get(name, (None, None))
        if provider is None or used != credentials:
            watched = _Watched(self._http or Http(), lambda: self._denied.add(name))
            provider = self._make(name, credentials, watched)
            self._made[name] = credentials, provider
        return provider

    def _make(self, name: str, credentials: Mapping[str, str], http: Http | None) -> Provider:
        for key, value in credentials.items():
            # In a header such a value causes an error whose text holds the secret, and Redial would log the text.
            # A PEM key may hold line breaks.
            if not value.isprintable() and not value.lstrip().startswith("-----BEGIN"):
                raise RedialError(f"{name.upper()}_{key.upper()} holds a line break or another unprintable character")
        return providers.load(name, credentials, now=self._now, http=http)


class _Watched(Http):
    """An Http that calls ``denied`` when the provider rejects the credentials.

    It sends no request twice.
    """

    def __init__(self, http: Http, denied: Callable[[], None]) -> None:
        self._inner = http
        self._report_denied = denied

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        form: Sequence[tuple[str, str]] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        answer = self._inner.request(method, url, headers=headers, form=form, body=body)
        if answer.status in DENIED:
            self._report_denied()
        return answer
