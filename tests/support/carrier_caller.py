"""A caller who uses the mock carrier through one provider, and the expected calls."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from chalicelib.domain.events import CallEvent, Progress
from chalicelib.domain.outcome import Outcome
from chalicelib.providers import (
    DeferredByProvider,
    DialRequest,
    DialResult,
    Http,
    Placed,
    PlacementUnknown,
    Provider,
    Refused,
)
from tests.support.carrier_client import FROM, TO, CarrierClient, wait_until

TOKEN = "call_01.1.0123456789abcdef0123456789abcdef"
#: the usual dial; the callback URL is the sink's
DIAL = DialRequest("call_01", 1, FROM, TO, "https://example.com/answer", "")
#: the results of the scripted refusals if the HTTP status says what they mean
REFUSALS: Sequence[tuple[str, DialResult]] = (
    ("invalid-number", Refused(Outcome.INVALID_NUMBER, "http:400")),
    ("error", PlacementUnknown("http:500")),
    ("throttled", DeferredByProvider("http:429", fault=False)),
    ("auth", DeferredByProvider("http:401", fault=True)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seconds:
    """The length of a call that has ended, by its outcome.

    None if the provider does not send a length. Calls of less than a second have the length 1, because the mock carrier
    rounds up.
    """

    completed: int | None = 1
    voicemail: int | None = 1
    unanswered: int | None = 0

    def of(self, outcome: Outcome) -> int | None:
        """Return the length of a call with this outcome."""
        answered = {Outcome.COMPLETED: self.completed, Outcome.VOICEMAIL: self.voicemail}
        return answered.get(outcome, self.unanswered)


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierCase:
    """One provider's calls on the mock carrier, as its class reads them.

    The defaults are what most providers send. A case that differs has the vendor's reason beside it.
    """

    name: str
    dial: DialRequest = DIAL
    #: the statuses of the events of a call that a person answers
    answered: Sequence[str]
    #: (scripted word, the statuses of the events, the outcome, the cause of the last event)
    endings: Sequence[tuple[str, Sequence[str], Outcome, str | None]]
    #: (scripted word, the result of a dial that the carrier rejects)
    refusals: Sequence[tuple[str, DialResult]] = REFUSALS
    #: the status and the progress of the first look-up of a call
    placed: tuple[str, Progress]
    #: the outcome of a call that is hung up right after the dial, or None if the carrier keeps the call
    stopped: Outcome | None = Outcome.CANCELED
    #: (scripted times, the reported progress at which the call is hung up, the outcome or None as in ``stopped``)
    hang_ups: Sequence[tuple[Mapping[str, float], Progress, Outcome | None]] = ()
    #: the length in the last event, and in a look-up after the end
    reported_sec: Seconds = Seconds()
    looked_up_sec: Seconds = Seconds()
    #: the outcome of a look-up after these scripted words, if it differs from that of the last event
    looked_up: Mapping[str, Outcome] = field(default_factory=dict)
    #: False if a look-up has no cause of the end
    looks_up_causes: bool = True
    #: True if the events, or a look-up, carry Redial's token
    carries_token: bool = False
    looks_up_token: bool = False
    #: credentials by which the callbacks are not signed; none if the provider signs no callback
    other_secret: Mapping[str, str] = field(default_factory=dict)
    #: an id that no call has
    unknown_id: str = "00000000"


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller who places calls through one provider and reads the callbacks."""

    carrier: CarrierClient
    case: CarrierCase

    def provider(self, http: Http | None = None, **credentials: str) -> Provider:
        """Return the provider with the carrier's credentials, some of them changed."""
        return self.carrier.provider(self.case.name, http, **credentials)

    def script(self, *outcomes: Any) -> None:
        """Set what happens on the calls to the number that is dialed."""
        self.carrier.script(*outcomes, number=self.case.dial.to_number)

    def dial(self, http: Http | None = None, **changed: Any) -> DialResult:
        """Dial, with some fields of the request changed."""
        callback = f"{self.carrier.sink.url}/callbacks/{self.case.name}/{TOKEN}"
        request = replace(self.case.dial, **{"callback_url": callback, **changed})
        return self.provider(http).dial(request)

    def place(self, **changed: Any) -> str:
        """Return the id of a call that the carrier takes."""
        result = self.dial(**changed)
        assert isinstance(result, Placed)
        return result.provider_call_id

    def reported(self, count: int) -> list[CallEvent]:
        """Wait for ``count`` events, and return those of all callbacks, each verified."""
        return self.reported_until(lambda events: len(events) >= count)

    def reported_until(self, reached: Callable[[Sequence[CallEvent]], bool]) -> list[CallEvent]:
        """Wait until ``reached`` is true of the events so far, and return them.

        They are the events of all callbacks, each verified.
        """
        provider, events = self.provider(), list[CallEvent]()

        def is_reached() -> bool:
            callbacks = [each.request(self.carrier.sink.url) for each in list(self.carrier.sink.received)]
            for callback in callbacks:
                provider.verify(callback)
            events[:] = [event for callback in callbacks for event in provider.parse(callback)]
            return reached(events)

        wait_until(is_reached)
        return events

    def lookup(self, call_id: str) -> CallEvent:
        """Return the event of one look-up, which must find the call."""
        found = self.provider().lookup(call_id)
        assert found is not None
        return found

    def look_up_until(self, call_id: str, reached: Callable[[CallEvent], bool]) -> None:
        """Look the call up until ``reached`` is true of its event.

        It is for calls whose callbacks do not report what ``reached`` waits for. Each look-up must find the call.
        """
        wait_until(lambda: reached(self.lookup(call_id)))
