"""The registry of telephony providers; each is loaded on first use, so that a cold start pays for one only."""

from collections.abc import Mapping
from importlib import import_module

from chalicelib.domain.events import CallEvent
from chalicelib.errors import UnknownProvider
from chalicelib.providers.base import (
    CallbackRequest,
    DialRequest,
    DialResult,
    MachineDetection,
    MalformedCallback,
    Now,
    Placed,
    PlacementUnknown,
    Provider,
    PutOff,
    Refused,
    SignatureError,
    Unanswered,
)
from chalicelib.providers.http import Http

#: provider name -> (module, class); one line a provider
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
    """The class of a provider by its name. Raises UnknownProvider."""
    try:
        module, cls = REGISTRY[name]
    except KeyError:
        raise UnknownProvider(f"{name[:40]!r} is no provider; use one of {', '.join(sorted(REGISTRY))}") from None
    loaded: type[Provider] = getattr(import_module(f"chalicelib.providers.{module}"), cls)
    return loaded


def load(name: str, credentials: Mapping[str, str], *, now: Now, http: Http | None = None) -> Provider:
    """A provider ready to use; ``credentials`` are keyed as its environment variables, lower case, unprefixed."""
    return provider_class(name)(credentials, now=now, http=http)


__all__ = [
    "REGISTRY",
    "CallEvent",
    "CallbackRequest",
    "DialRequest",
    "DialResult",
    "Http",
    "MachineDetection",
    "MalformedCallback",
    "Placed",
    "PlacementUnknown",
    "Provider",
    "PutOff",
    "Refused",
    "SignatureError",
    "Unanswered",
    "load",
    "provider_class",
]
