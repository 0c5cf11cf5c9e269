"""The registry of telephony providers.

Each provider's module is loaded on first use, so a cold start loads one provider only.
"""

from collections.abc import Mapping
from importlib import import_module

from chalicelib.domain.events import CallEvent
from chalicelib.errors import UnknownProvider
from chalicelib.providers.base import (
    CallbackRequest,
    DeferredByProvider,
    DialRequest,
    DialResult,
    MachineDetection,
    MalformedCallback,
    Now,
    Placed,
    PlacementUnknown,
    Provider,
    Refused,
    SignatureError,
    Unanswered,
)
from chalicelib.providers.http import Http

#: The providers: name -> (module, class), one line for each
REGISTRY = {
    "bolna": ("bolna", "Bolna"),
    "dialnexa": ("dialnexa", "DialNexa"),
    "exotel": ("exotel", "Exotel"),
    "plivo": ("plivo", "Plivo"),
    "signalwire": ("signalwire", "SignalWire"),
    "telnyx": ("telnyx", "Telnyx"),
    "twilio": ("twilio", "Twilio"),
    "vonage": ("vonage", "Vonage"),
}


def provider_class(name: str) -> type[Provider]:
    """Return the class of a provider by its name.

    Raises UnknownProvider.
    """
    try:
        module, cls = REGISTRY[name]
    except KeyError:
        raise UnknownProvider(f"{name[:40]!r} is no provider; use one of {', '.join(sorted(REGISTRY))}") from None
    loaded: type[Provider] = getattr(import_module(f"chalicelib.providers.{module}"), cls)
    return loaded


def load(name: str, credentials: Mapping[str, str], *, now: Now, http: Http | None = None) -> Provider:
    """Return a provider that is ready to use.

    ``credentials`` are keyed like the provider's environment variables, in lower case and without its prefix.
    """
    return provider_class(name)(credentials, now=now, http=http)


__all__ = [
    "REGISTRY",
    "CallEvent",
    "CallbackRequest",
    "DeferredByProvider",
    "DialRequest",
    "DialResult",
    "Http",
    "MachineDetection",
    "MalformedCallback",
    "Placed",
    "PlacementUnknown",
    "Provider",
    "Refused",
    "SignatureError",
    "Unanswered",
    "load",
    "provider_class",
]
