"""The events of providers, in one shape for all of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from chalicelib.domain.outcome import Amd, Outcome


class Progress(StrEnum):
    """The progress of an attempt that has not ended.

    A later value outranks an earlier one.
    """

    QUEUED = "queued"
    INITIATED = "initiated"
    RINGING = "ringing"
    IN_PROGRESS = "in-progress"

    @property
    def rank(self) -> int:
        """The position in the order of progress, from 0."""
        return list(Progress).index(self)


class Leg(StrEnum):
    """The leg that an event is about. Redial adopts only ``OUTGOING`` legs."""

    OUTGOING = "outgoing"  # certainly the outgoing, top-level leg: the call that a program requested
    INBOUND = "inbound"  # the customer made the call
    OTHER = "other"  # a child, bridged or transferred leg of another call
    UNKNOWN = "unknown"  # the event does not say


@dataclass(frozen=True, slots=True)
class CallEvent:
    """An event: one report of a provider about one call.

    - ``event_id``: the provider's own id of the event. It is the same in repeated deliveries.
    - ``status``: the provider's word, spelled with hyphens. It is kept even if Redial does not know the word.
    - ``progress`` and ``outcome``: only a terminal event has an ``outcome``. An event without both carries AMD, or
      nothing that Redial uses.
    - ``sequence``: the order of the events of one call, if the provider numbers them.
    - ``duration_sec``: whole seconds.
    - ``cause``: the provider's code for the reason (``sip:486``, ``21211``).
    - ``evidence``: the raw fields from which the outcome comes.
    - ``fault``: set if the account, not the callee, is to blame. Such an event has no outcome.
    - ``to_number`` and ``from_number``: E.164, if the provider names them.
    - ``token``: Redial's callback token, if the provider sends it back inside the event. Such a provider has no
      callback address for each call.
    - ``leg``: what the event itself says about its direction and its place in the call.
    - ``session``: the provider's id that all legs of one call share, if the provider names it.
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
        """The event as an erased call accepts it: without any data about the person."""
        return replace(self, amd=None, to_number=None, from_number=None, token=None, evidence={})

    @property
    def is_terminal(self) -> bool:
        """The call is over: the event has an outcome, or a fault of the account."""
        return self.outcome is not None or self.fault is not None
