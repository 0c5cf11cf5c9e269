"""The interface of a telephony provider: the class Provider and its frozen values.

verify() and parse() read callbacks. dial(), lookup(), find() and hang_up() send requests to the provider.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from chalicelib.domain.events import CallEvent
from chalicelib.domain.outcome import Outcome
from chalicelib.errors import NotSetUp, RedialError
from chalicelib.providers.http import Http

Now = Callable[[], datetime]


class SignatureError(RedialError):
    """A callback that the provider did not sign. Redial believes nothing of it."""


class MalformedCallback(RedialError):
    """A callback that the provider signed, and that Redial cannot read."""


class Unanswered(RedialError):
    """A request that the provider did not answer, or cannot answer now. Retry later."""


@dataclass(frozen=True, slots=True)
class CallbackRequest:
    """A callback as it arrived.

    ``url`` is the exact public URL that the provider was given, with its query.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    source_ip: str | None = None

    def header(self, name: str) -> str | None:
        """Return a header's value. The case of ``name`` does not matter."""
        wanted = name.lower()
        return next((value for key, value in self.headers.items() if key.lower() == wanted), None)


class MachineDetection(StrEnum):
    """The mode of answering machine detection (AMD).

    ``off``: AMD does not run. ``sync``: the call waits for the result. ``async``: a callback reports the result later.
    """

    OFF = "off"
    SYNC = "sync"
    ASYNC = "async"


@dataclass(frozen=True, slots=True)
class DialRequest:
    """One attempt that the provider is to place.

    ``callback_url`` holds our unguessable token and has no query.
    """

    call_id: str
    attempt: int
    from_number: str
    to_number: str
    answer_url: str | None
    callback_url: str
    agent_version_id: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    machine_detection: MachineDetection = MachineDetection.ASYNC
    ring_timeout_sec: int = 45
    max_call_sec: int = 3600


@dataclass(frozen=True, slots=True)
class Placed:
    """The provider accepted the call."""

    provider_call_id: str
    evidence: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider confirmed that it placed no call, for a reason of this number.

    The attempt has ended.
    """

    outcome: Outcome
    cause: str
    evidence: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeferredByProvider:
    """The provider confirmed that it placed no call, for a reason of the account.

    The reason may also be a rate limit, or a network error before the request was sent. Redial dials again later, and
    the attempt does not count. ``fault`` is True if somebody must repair the account before Redial can dial again.
    """

    cause: str
    fault: bool
    retry_after_sec: int | None = None
    evidence: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlacementUnknown:
    """The provider's answer was lost or ambiguous, so the phone may ring.

    Never send the request again on a guess.
    """

    cause: str
    evidence: Mapping[str, str] = field(default_factory=dict)


DialResult = Placed | Refused | DeferredByProvider | PlacementUnknown


class Provider(ABC):
    """One telephony provider.

    ``credentials`` are keyed like its environment variables, in lower case and without its prefix.
    """

    name: ClassVar[str]
    #: The credentials that must be set, in lower case (``account_sid`` for TWILIO_ACCOUNT_SID)
    required: ClassVar[tuple[str, ...]]
    #: The number of new calls per second that the provider accepts from an account by default
    calls_per_second: ClassVar[float] = 1.0
    #: The ring time in seconds if the deployment sets none; 45 seconds are about eight rings
    ring_timeout_sec: ClassVar[int] = 45
    #: True if the provider fetches its instructions from an answer URL
    needs_answer_url: ClassVar[bool] = True
    #: True if a call must name the agent that speaks (``agent_version_id``)
    needs_agent: ClassVar[bool] = False
    #: True if each call names its own callback URL; otherwise the account has one, and events carry our token
    callback_per_call: ClassVar[bool] = True
    #: False if callbacks have no signature: then the token in their URL, or the sender's address, must prove them
    signs_callbacks: ClassVar[bool] = True
    #: The ways to sign a callback; each lists the headers that its signature needs together
    signature_headers: ClassVar[tuple[tuple[str, ...], ...]] = ()
    #: The setting to change at the provider if its callbacks arrive without these headers
    signature_hint: ClassVar[str] = ""

    def __init__(self, credentials: Mapping[str, str], *, now: Now, http: Http | None = None) -> None:
        missing = [key for key in self.required if not credentials.get(key)]
        if missing:
            names = ", ".join(f"{self.name.upper()}_{key.upper()}" for key in missing)
            raise NotSetUp(f"{self.name} is not set up: {names} missing")
        self.credentials = credentials
        self.now = now
        self.http = http or Http()

    @property
    @abstractmethod
    def account(self) -> str:
        """The provider account that places the calls. Rates and limits count per account."""

    @abstractmethod
    def verify(self, request: CallbackRequest) -> None:
        """Raise SignatureError unless the provider signed this request."""

    def lacks(self, answer_url: str | None, agent: str | None) -> tuple[str, str] | None:
        """Return what the call lacks before this provider can place it; None for nothing.

        The result is the field and what would be right.
        """
        if self.needs_answer_url and not answer_url:
            wanted = f"give a target, or set {self.name.upper()}_ANSWER_URL"
            return "target", f"{self.name} needs to know what to do with the call: {wanted}"
        if self.needs_agent and not agent:
            return "agent_version_id", f"{self.name} calls by an agent: name the one that is to speak"
        return None

    def knows_sender(self, request: CallbackRequest) -> bool:
        """Return True if the sender's address is known to be the provider's."""
        return False

    @abstractmethod
    def parse(self, request: CallbackRequest) -> list[CallEvent]:
        """Return the events of a verified callback.

        Raises MalformedCallback.
        """

    @abstractmethod
    def dial(self, request: DialRequest) -> DialResult:
        """Send one request to place the call.

        Never raises for an error of the network or of the provider.
        """

    @abstractmethod
    def lookup(self, provider_call_id: str) -> CallEvent | None:
        """Return the provider's current record of a call; None if it knows no such call.

        Raises Unanswered.
        """

    def find(
        self, to_number: str, from_number: str, since: datetime, until: datetime, agent_version_id: str | None = None
    ) -> list[CallEvent] | None:
        """Return the calls between two numbers that were created in [since, until].

        Each event is as lookup() returns it. An empty list means confirmed none. None means that the provider has no
        list of calls, or that its list leaves the answer open. Raises Unanswered if the provider does not answer now.

        The span is by the provider's clock, so leave room for a difference. ``agent_version_id`` is the call's agent,
        for a provider that lists calls by agent. If the events carry ``token``, the token shows which attempt made the
        call.
        """
        return None

    def wrong_setting(self) -> tuple[str, str] | None:
        """Return a wrong setting at the provider and the right one; None for none.

        None also means that the provider does not show its settings. Raises Unanswered.
        """
        return None

    def hang_up(self, provider_call_id: str) -> bool:
        """End a live call. Return True if the provider accepted the request.

        Raises Unanswered.
        """
        return False
