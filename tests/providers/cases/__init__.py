"""The case of each provider: how its callbacks are signed, and its payload files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from chalicelib.domain.events import Leg, Progress
from chalicelib.domain.outcome import Outcome
from chalicelib.providers import CallbackRequest

NOW = datetime(2026, 1, 26, 10, 0, 5, tzinfo=UTC)
PAYLOADS = Path(__file__).parent.parent / "payloads"
#: the callback address of the attempt that every payload is about
URL = "https://redial.example.com/api/callbacks/{provider}/call_01.1.0123456789abcdef0123456789abcdef"


@dataclass(frozen=True, slots=True)
class ListedCall:
    """A call as a provider's list has it: a person answered, and it has ended.

    ``created_at`` None stands for a row that does not say; ``inbound`` for a call of another direction.
    """

    call_id: str
    created_at: datetime | None
    to_number: str = "+16505550199"
    from_number: str = "+14155550100"
    inbound: bool = False


@dataclass(frozen=True, slots=True)
class ProviderCase:
    """One provider, as the suite sees it.

    ``sign`` turns a request without a signature into one that the provider would have sent, with the secret of that
    number (0 is the current one, 1 the one it was rotated from). A payload is a file under ``payloads/<provider>/``,
    the body as it comes over the wire; ``content_type`` is what it is said to be. All payloads but ``other_call`` are
    about one call, ``call_id``.
    """

    name: str
    credentials: Mapping[str, str]
    sign: Callable[[CallbackRequest, int], CallbackRequest]
    content_type: str
    call_id: str
    #: payload -> how far the call has come
    progress: Mapping[str, Progress]
    #: payload -> how the attempt ended; every terminal word of the provider's vocabulary has a row
    terminal: Mapping[str, Outcome]
    #: told of a machine, or of a person, while the call goes on; None where the provider tells only at the end
    machine: str | None
    human: str | None
    #: a status word that nobody has heard of
    unknown: str
    #: payload -> how the attempt ended, where the end's own fields contradict its word: a busy line that was talked to
    contradictory: Mapping[str, Outcome]
    #: payload -> which leg it is known to be about, from this event alone
    legs: Mapping[str, Leg]
    #: the account is to blame, not the callee; None where callbacks never say so
    fault: str | None = None
    #: False where nothing is signed and only the token and the sender's address speak for a callback
    signed: bool = True
    #: seconds after which a repeated request is refused, where the signature covers its time
    replay_sec: int | None = None
    #: payloads in the order in which the provider would send them for a call that is answered by a person
    answered_story: tuple[str, ...] = ()
    extra_headers: Mapping[str, str] = field(default_factory=dict)
    #: the JSON that a GET of that URL is answered with, where the provider has made those calls, all on one page; None
    #: where it cannot be asked for calls whose id is not known
    listed: Callable[[str, Sequence[ListedCall]], object] | None = None

    def request(self, payload: str, secret: int = 0) -> CallbackRequest:
        """Return a callback with this payload, signed as the provider signs."""
        body = (PAYLOADS / self.name / payload).read_bytes()
        headers = {"Content-Type": self.content_type, **self.extra_headers}
        unsigned = CallbackRequest("POST", URL.format(provider=self.name), headers, body, source_ip="203.0.113.7")
        return self.sign(unsigned, secret)


def case(name: str) -> ProviderCase:
    """Return the case of a provider.

    Raises ModuleNotFoundError if there is none, so a provider without its rows fails.
    """
    found: ProviderCase = import_module(f"tests.providers.cases.{name}").CASE
    return found
