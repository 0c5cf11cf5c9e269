"""Ready providers by name, each made anew when one of the secrets that it was made with has been rotated."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from chalicelib import providers
from chalicelib.errors import RedialError
from chalicelib.providers import CallbackRequest, Http, Provider
from chalicelib.providers.http import Answer
from chalicelib.providers.precheck import check_sender
from chalicelib.runtime.settings import Settings
from chalicelib.runtime.vault import DOUBTED, FRESH, Reference, Vault

#: statuses by which a provider says that the credentials will not do
DENIED = (401, 403)


class ReadyProviders:
    """Makes providers on first use. Called with a provider's name it returns the one to use now."""

    def __init__(self, settings: Settings, vault: Vault, now: Callable[[], datetime], http: Http | None) -> None:
        self._settings = settings
        self._vault = vault
        self._now = now
        self._http = http
        self._made: dict[str, tuple[Mapping[str, str], Provider]] = {}
        self._denied: set[str] = set()

    def __call__(self, name: str) -> Provider:
        """The provider, ready to use. Raises UnknownProvider, and RedialError where it is not set up."""
        providers.provider_class(name)
        given = self._settings.credentials(name)
        if not any(map(Reference.parse, given.values())):
            if name not in self._made:
                self._made[name] = given, self._make(name, given, self._http)
            return self._made[name][1]
        max_age = DOUBTED if name in self._denied else FRESH
        self._denied.discard(name)
        return self._of_secrets(name, given, max_age)

    def check_sender(self, name: str, request: CallbackRequest) -> None:
        """Raise SignatureError where a callback cannot be the provider's, and UnknownProvider; no secret is read.

        A provider that is not set up is left to __call__(), which says so.
        """
        provider = providers.provider_class(name)
        given = self._settings.credentials(name)
        if all(given.get(key) for key in provider.required):
            check_sender(provider, request, {k: v for k, v in given.items() if not Reference.parse(v)})

    def fresh(self, name: str) -> Provider | None:
        """The provider with its secrets read again; None where they are the ones that it was used with just now.

        A secret read within the last minute is not asked for again, whoever sends us wrong signatures.
        """
        given = self._settings.credentials(name)
        _, before = self._made.get(name, (None, None))
        if before is None or not any(map(Reference.parse, given.values())):
            return None
        now = self._of_secrets(name, given, DOUBTED)
        return now if now is not before else None

    def _of_secrets(self, name: str, given: Mapping[str, str], max_age: timedelta) -> Provider:
        prefix = f"{name.upper()}_"
        variables = {prefix + key.upper(): value for key, value in given.items()}
        resolved = self._vault.resolved(variables, max_age=max_age)
        credentials = {key.removeprefix(prefix).lower(): value for key, value in resolved.items()}
        made_of, provider = self._made.get(name, (None, None))
        if provider is None or made_of != credentials:
            watched = _Watched(self._http or Http(), lambda: self._denied.add(name))
            provider = self._make(name, credentials, watched)
            self._made[name] = credentials, provider
        return provider

    def _make(self, name: str, credentials: Mapping[str, str], http: Http | None) -> Provider:
        for key, value in credentials.items():
            # In a header such a value would be an error whose text, and so the log, holds the secret. A PEM has lines.
            if not value.isprintable() and not value.lstrip().startswith("-----BEGIN"):
                raise RedialError(f"{name.upper()}_{key.upper()} holds a line break or another unprintable character")
        return providers.load(name, credentials, now=self._now, http=http)


class _Watched(Http):
    """Passes requests on, and tells where the provider would not have our credentials; nothing is sent twice."""

    def __init__(self, http: Http, denied: Callable[[], None]) -> None:
        self._inner = http
        self._tell = denied

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
            self._tell()
        return answer
