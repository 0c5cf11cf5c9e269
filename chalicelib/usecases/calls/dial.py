"""Dial a claimed attempt: send the provider one request, and record its answer."""

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode, urlsplit, urlunsplit

from chalicelib.domain import lifecycle
from chalicelib.domain.call import Attempt, AttemptPhase, Call, CallRecord, CallState
from chalicelib.domain.events import CallEvent
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.transition import Transition
from chalicelib.providers import (
    DeferredByProvider,
    DialRequest,
    DialResult,
    MachineDetection,
    Placed,
    PlacementUnknown,
    Refused,
)
from chalicelib.runtime.log import log, warn
from chalicelib.usecases import measure
from chalicelib.usecases.calls.cancel_call import hang_up_canceled
from chalicelib.usecases.calls.ownership import call_name, own, owned_until
from chalicelib.usecases.calls.schedule import change
from chalicelib.usecases.gates.breaker import answered, report
from chalicelib.usecases.ports import Ports

#: If it is unknown whether a call was placed, the sweep asks the provider after this time.
FIRST_ASK = timedelta(minutes=1)


def dial_claimed(ports: Ports, record: CallRecord) -> DialResult:
    """Ask the provider to place the claimed attempt of a record. Return its answer.

    The request is sent once, whatever the answer is, and the answer is recorded. Raises ValueError if the latest
    attempt is not claimed.
    """
    call = record.call
    attempt = record.attempt(call.attempt)
    if attempt is None or attempt.phase is not AttemptPhase.DIALING:
        raise ValueError(f"attempt {call.attempt} of {call.id} is not claimed")
    result = ports.provider(attempt.provider).dial(_request(ports, call, attempt))
    if call.is_adopted and isinstance(result, DeferredByProvider) and result.fault:
        # The call's numbers came from the user's own code: the fault is this call's, not the account's.
        result = Refused(Outcome.ERROR, result.cause, evidence=result.evidence)
    log("dialed", call=call.id, attempt=attempt.number, result=type(result).__name__, provider=attempt.provider)
    _record(ports, call, attempt, result)
    measure.dialed(attempt.provider, result)
    report(ports, call.account, attempt.id, answered(result), getattr(result, "cause", ""))
    return result


def _record(ports: Ports, call: Call, attempt: Attempt, result: DialResult) -> None:
    """Record the provider's answer, and the deadline for the attempt's end."""
    deadline_at = attempt.claimed_at + ports.longest_attempt
    match result:
        case Placed(provider_call_id):
            name = call_name(ports, attempt.provider, provider_call_id)
            also = {"owner": ports.owners.placing(name, attempt, owned_until(ports, call))}
            placed = AttemptPhase.PLACED
            left_out = ports.calls.record_placement(attempt, placed, provider_call_id, None, deadline_at, also)
            if "owner" in left_out:
                own(ports, call, attempt, provider_call_id, confirmed=True)
            if "waiting" in left_out:
                hang_up_canceled(ports, call.id, attempt.number)
        case PlacementUnknown(cause):
            warn("placement-unknown", call=call.id, attempt=attempt.number, provider=attempt.provider, cause=cause)
            unknown = AttemptPhase.PLACEMENT_UNKNOWN
            ports.calls.record_placement(attempt, unknown, None, cause, ports.clock.now() + FIRST_ASK)
        case Refused() | DeferredByProvider():
            change(ports, call.id, _Unplaced(ports, attempt.number, result))


@dataclass(frozen=True, slots=True)
class _Unplaced:
    """The change of a call whose attempt the provider confirmed that it did not place."""

    ports: Ports
    number: int
    result: Refused | DeferredByProvider

    def __call__(self, record: CallRecord) -> Transition:
        now, result = self.ports.clock.now(), self.result
        still_dialing = record.call.state is CallState.DIALING and record.call.attempt == self.number
        if isinstance(result, DeferredByProvider) and still_dialing:
            if result.fault:
                call = record.call
                warn("account-fault", call=call.id, attempt=self.number, provider=call.provider, cause=result.cause)
            wait = timedelta(seconds=result.retry_after_sec) if result.retry_after_sec else None
            return lifecycle.defer(record, cause=result.cause, wait=wait, evidence=result.evidence, now=now)
        event = CallEvent(
            event_id=f"refused-{self.number}",
            provider_call_id="",
            status="refused",
            # Redial does not retry a call that was canceled while the provider deferred it.
            outcome=result.outcome if isinstance(result, Refused) else Outcome.CANCELED,
            cause=result.cause,
            evidence=result.evidence,
        )
        return lifecycle.absorb(record, self.number, event, now)


def _request(ports: Ports, call: Call, attempt: Attempt) -> DialRequest:
    settings = ports.settings
    return DialRequest(
        call_id=call.id,
        attempt=attempt.number,
        from_number=call.from_number,
        to_number=call.to_number,
        answer_url=attempt.target_url or _default_answer_url(ports, call, attempt),
        callback_url=f"{call.public_url}/callbacks/{attempt.provider}/{attempt.token}",
        agent_version_id=call.agent_version_id,
        variables=call.variables,
        machine_detection=MachineDetection(settings.machine_detection),
        ring_timeout_sec=settings.ring_timeout_seconds or ports.provider(attempt.provider).ring_timeout_sec,
        max_call_sec=settings.max_call_seconds,
    )


def _default_answer_url(ports: Ports, call: Call, attempt: Attempt) -> str | None:
    """Return the provider's default target, with the call's data in its query."""
    url = ports.settings.answer_url(attempt.provider)
    if url is None:
        return None
    query = dict(call.variables) | {"call_id": call.id, "attempt": str(attempt.number)}
    if call.agent_version_id:
        query["agent_version_id"] = call.agent_version_id
    parts = urlsplit(url)
    joined = "&".join(filter(None, [parts.query, urlencode(query)]))
    return urlunsplit(parts._replace(query=joined))
