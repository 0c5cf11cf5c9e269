"""What a provider says about an attempt, in one shape for all providers."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from chalicelib.domain.outcome import Amd, Outcome


class Progress(StrEnum):
    """How far an attempt that has not ended has come; later ones outrank earlier ones."""

    QUEUED = "queued"
    INITIATED = "initiated"
    RINGING = "ringing"
    IN_PROGRESS = "in-progress"

    @property
    def rank(self) -> int:
        return list(Progress).index(self)


class Leg(StrEnum):
    """Which leg of which call an event is about; only an ``OUTGOING`` one may be adopted and redialled."""

    OUTGOING = "outgoing"  # known to be the outgoing, top-level leg: the call that a program asked for
    INBOUND = "inbound"  # the customer made the call
    OTHER = "other"  # a child, bridged or transferred leg of another call
    UNKNOWN = "unknown"  # the event does not say


@dataclass(frozen=True, slots=True)
class CallEvent:
    """One thing that a provider reported about one call.

    ``event_id`` is the provider's own identity of the event, stable over repeated deliveries. ``status`` is the
    provider's word, spelled with hyphens, and is kept even where it is unknown. ``outcome`` is set on terminal
    events only; an event with neither ``progress`` nor ``outcome`` carries AMD or nothing that we act on.
    ``sequence`` orders the events of one call where the provider numbers them. ``duration_sec`` is in whole seconds.
    ``cause`` is the provider's code for why (``sip:486``, ``21211``), ``evidence`` the raw fields it came from.
    ``fault`` is set where the account, not the callee, is to blame: such an event is no outcome. ``to_number`` and
    ``from_number`` are E.164, where the provider names them. ``token`` is our callback token where the provider sends
    it back inside the event, for want of a callback address for each call. ``leg`` is what the event itself says of
    its direction and place. ``session`` is the provider's id of what all legs of one call share, where it names that.
    """

    event_id: str
    provider_call_id: str
    status: str | None = None
    progress: Progress | None = None
    outcome: Outcome | None = None
    occurred_at: datetime | None = None
    duration_sec: int | None = None
    sequence: int | None = None
    amd: Amd | None = None
    cause: str | None = None
    fault: str | None = None
    to_number: str | None = None
    from_number: str | None = None
    token: str | None = None
    leg: Leg = Leg.UNKNOWN
    session: str | None = None
    evidence: Mapping[str, str] = field(default_factory=dict)

    @property
    def anonymous(self) -> "CallEvent":
        """The event as an erased call may take it in: how the attempt went, and nothing about whom it went to."""
        return replace(self, amd=None, to_number=None, from_number=None, token=None, evidence={})

    @property
    def is_terminal(self) -> bool:
        """True for an event after which the call is over: with an outcome, or a fault of the account."""
        return self.outcome is not None or self.fault is not None
