"""What every telephony provider is to Redial: verify, parse, dial, lookup, find and hang_up over frozen values."""

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
    """The callback was not signed by the provider; nothing of it may be believed."""


class MalformedCallback(RedialError):
    """The callback was signed but cannot be read."""


class Unanswered(RedialError):
    """The provider gave no answer, or none but that it cannot answer now; ask again later."""


@dataclass(frozen=True, slots=True)
class CallbackRequest:
    """A callback as it came in. ``url`` is the exact public URL, query included, that the provider was given."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    source_ip: str | None = None

    def header(self, name: str) -> str | None:
        """A header's value, whatever the case of its name."""
        wanted = name.lower()
        return next((value for key, value in self.headers.items() if key.lower() == wanted), None)


class MachineDetection(StrEnum):
    """Whether AMD runs, and whether the call waits for it (``sync``) or is told of it later (``async``)."""

    OFF = "off"
    SYNC = "sync"
    ASYNC = "async"


@dataclass(frozen=True, slots=True)
class DialRequest:
    """One attempt to place. ``callback_url`` holds our unguessable token and has no query."""

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
    """The provider took the call."""

    provider_call_id: str
    evidence: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider surely did not place the call, and why is about this number: the attempt has ended."""

    outcome: Outcome
    cause: str
    evidence: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PutOff:
    """The provider surely did not place the call, for a reason of the account or of pace: no attempt is used up.

    ``fault`` is True where someone must mend the account before dialling can go on.
    """

    cause: str
    fault: bool
    retry_after_sec: int | None = None
    evidence: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlacementUnknown:
    """The provider's answer was lost or ambiguous: the call may ring. Never POST it again on a guess."""

    cause: str
    evidence: Mapping[str, str] = field(default_factory=dict)


DialResult = Placed | Refused | PutOff | PlacementUnknown


class Provider(ABC):
    """One telephony provider. Credentials are named as its environment variables without its own prefix."""

    name: ClassVar[str]
    #: credential keys that must be there, in lower case (``account_sid`` for TWILIO_ACCOUNT_SID)
    required: ClassVar[tuple[str, ...]]
    #: new calls a second that the provider takes from an account by default
    calls_per_second: ClassVar[float] = 1.0
    #: how long a line rings where the deployment does not say, in seconds; 45 is some eight rings
    ring_timeout_sec: ClassVar[int] = 45
    #: True where the provider fetches its instructions from an answer URL
    needs_answer_url: ClassVar[bool] = True
    #: True where a call must name the agent that is to speak (``agent_version_id``)
    needs_agent: ClassVar[bool] = False
    #: True where each call names its own callback address; else the account has one, and events carry our token
    callback_per_call: ClassVar[bool] = True
    #: False where callbacks carry no signature: the token in their address, or the sender's, has to speak for them
    signs_callbacks: ClassVar[bool] = True
    #: the ways that callbacks are signed: each names the headers that a signature needs, together
    signature_headers: ClassVar[tuple[tuple[str, ...], ...]] = ()
    #: what to set at the provider where its callbacks come without these headers
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
        """The provider account that calls are placed from, for pace and limits."""

    @abstractmethod
    def verify(self, request: CallbackRequest) -> None:
        """Raise SignatureError unless the provider signed this request."""

    def lacks(self, answer_url: str | None, agent: str | None) -> tuple[str, str] | None:
        """What a call is missing before this provider can be asked to place it: the field, and what would be right."""
        if self.needs_answer_url and not answer_url:
            wanted = f"give a target, or set {self.name.upper()}_ANSWER_URL"
            return "target", f"{self.name} needs to know what to do with the call: {wanted}"
        if self.needs_agent and not agent:
            return "agent_version_id", f"{self.name} calls by an agent: name the one that is to speak"
        return None

    def knows_sender(self, request: CallbackRequest) -> bool:
        """True where the sender's address is one that the provider's callbacks are known to come from."""
        return False

    @abstractmethod
    def parse(self, request: CallbackRequest) -> list[CallEvent]:
        """The events that a verified callback carries. Raises MalformedCallback."""

    @abstractmethod
    def dial(self, request: DialRequest) -> DialResult:
        """Ask the provider, once, to place the call. Never raises for what the network or provider does."""

    @abstractmethod
    def lookup(self, provider_call_id: str) -> CallEvent | None:
        """What the provider says of a call now; None where it does not know it. Raises Unanswered."""

    def find(
        self, to_number: str, from_number: str, since: datetime, until: datetime, agent_version_id: str | None = None
    ) -> list[CallEvent] | None:
        """The calls that the provider made between the two numbers, created in [since, until]: each as by lookup().

        None where the provider has no such question or leaves the answer open; an empty list is a definite "none".
        Raises Unanswered where it does not answer now. The span is by the provider's clock, so leave room for its being
        ahead or behind. ``agent_version_id`` is the call's agent, for a provider that lists calls by agent. Where
        events carry ``token``, that tells whose call it is.
        """
        return None

    def set_wrong(self) -> tuple[str, str] | None:
        """What is set wrong at the provider, and what to set; None where nothing is, or it does not say.

        Raises Unanswered.
        """
        return None

    def hang_up(self, provider_call_id: str) -> bool:
        """End a live call; True where the provider said that it would. Raises Unanswered."""
        return False
