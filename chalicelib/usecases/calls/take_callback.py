"""Take in a provider's callback: verify it, parse it, and change its call.

A token names the call. Each event changes the call at most once.
"""

from dataclasses import dataclass
from datetime import datetime

from chalicelib.domain import lifecycle
from chalicelib.domain.call import CallRecord
from chalicelib.domain.erasure import erased_token, is_erased_token
from chalicelib.domain.events import CallEvent, Leg
from chalicelib.domain.transition import Effect, Transition, unchanged
from chalicelib.errors import NotFound
from chalicelib.providers import CallbackRequest, Provider, SignatureError
from chalicelib.runtime.log import log, warn
from chalicelib.storage.notes import Named, Noted
from chalicelib.usecases import measure
from chalicelib.usecases.adoption.adopt_call import note_session
from chalicelib.usecases.calls.ownership import call_name
from chalicelib.usecases.calls.schedule import change
from chalicelib.usecases.gates.breaker import report_fault
from chalicelib.usecases.ports import Ports

#: One process logs at most this many unknown statuses, in case somebody sends nothing but those.
MAX_UNKNOWN_STATUSES = 100

#: the effect of a callback about a leg that Redial does not redial
LEFT_ALONE = {Leg.INBOUND: "inbound", Leg.OTHER: "other-leg"}


@dataclass(frozen=True, slots=True)
class Taken:
    """The result of a callback, in the words of its answer and of the log."""

    effect: str
    call_id: str
    attempt: int
    reason: str | None = None
    retry_at: datetime | None = None
    summary_status: str | None = None


def take_callback(ports: Ports, provider_name: str, token: str, request: CallbackRequest) -> list[Taken]:
    """Take in every event of a callback to the address of one attempt.

    Raises UnknownProvider; SignatureError before anything is read; MalformedCallback; NotFound for a token that names
    no attempt.
    """
    provider = verified(ports, provider_name, request)
    return [take_by_token(ports, provider_name, token, event) for event in provider.parse(request)]


def take_account_callback(ports: Ports, provider_name: str, request: CallbackRequest) -> list[Taken]:
    """Take in every event of a callback to the one address of an account.

    The event names its attempt by our token or by the provider's id. An inbound call, or a leg of another call, changes
    nothing. Raises what take_callback() raises, and NotFound for any other call: this address adopts no calls.
    """
    provider = verified(ports, provider_name, request)
    events = provider.parse(request)
    for event in events:
        if event.token is None and not (provider.signs_callbacks or provider.knows_sender(request)):
            wanted = f"{provider_name.upper()}_ALLOWED_IPS"
            raise SignatureError(f"nothing speaks for this callback: it is unsigned and {wanted} is not set")
    return [_take_by_name(ports, provider_name, event) for event in events]


def verified(ports: Ports, name: str, request: CallbackRequest) -> Provider:
    """Return the provider, after it has verified the request.

    If the signature does not match, the provider's secrets are read once more, because they may have been rotated.
    Raises SignatureError.
    """
    provider = ports.provider(name)
    try:
        provider.verify(request)
    except SignatureError:
        fresh = ports.fresh_provider(name)
        if fresh is None:
            raise
        fresh.verify(request)
        return fresh
    return provider


def take_by_token(ports: Ports, provider: str, token: str, event: CallEvent) -> Taken:
    """Take in an event of the attempt that a callback token names.

    The session of a call of ours is recorded, so that the legs which join it are not adopted. Raises NotFound for an
    unknown token.
    """
    note_session(ports, call_name(ports, provider, event.provider_call_id), event)
    return take_named(ports, Named.by_token(provider, token), event)


def _take_by_name(ports: Ports, provider: str, event: CallEvent) -> Taken:
    owner = None if event.token else ports.owners.find(call_name(ports, provider, event.provider_call_id))
    token = owner.token if owner else event.token
    if token is not None:
        return take_by_token(ports, provider, token, event)
    if event.leg in LEFT_ALONE:
        return Taken(LEFT_ALONE[event.leg], "", 0)
    raise NotFound("unknown call; calls are adopted at the address that PUT /policies/{name} shows, not by ?policy=")


def take_named(ports: Ports, named: Named, event: CallEvent) -> Taken:
    """Take in an event of an attempt. Raises NotFound if there is no such attempt."""
    call_id, number, token = named.call_id, named.number, named.token
    if (noted := _note_progress(ports, named, event)) is not None:
        return noted

    def absorb(record: CallRecord) -> Transition:
        attempt = record.attempt(number)
        valid_tokens = (token, erased_token(token))
        if attempt is None or attempt.token not in valid_tokens or attempt.provider != named.provider:
            raise NotFound("no attempt has this callback address")
        if attempt.provider_call_id is None and event.leg in LEFT_ALONE:
            return unchanged(record, ports.clock.now())  # a leg that our call opened must not give the attempt its id
        return lifecycle.absorb(record, number, event, ports.clock.now())

    transition = change(ports, call_id, absorb)
    measure.callback_taken(event, ports.clock.now())
    # An account that carried a conversation has the credit and the channels to place calls.
    if event.fault is not None and transition.attempt is not None and not transition.attempt.counts:
        report_fault(ports, transition.before.call, transition.attempt, event)
    return _log_taken(transition, number, event)


def _note_progress(ports: Ports, named: Named, event: CallEvent) -> Taken | None:
    """Note an event that is not the end of a call, in one request to the table.

    Return None if the call has to be read and changed.
    """
    if event.is_terminal or event.leg in LEFT_ALONE or is_erased_token(named.token):
        return None
    noted = ports.notes.note(named, event, ports.clock.now())
    if noted in (Noted.AFTER_THE_END, Noted.NO_SUCH_ATTEMPT):
        return None
    if noted is Noted.KEPT:
        _warn_once(event)
    measure.callback_taken(event, ports.clock.now())
    log("callback", call=named.call_id, attempt=named.number, status=event.status, effect=noted)
    return Taken(noted, named.call_id, named.number)


_warned_statuses: set[str | None] = set()


def _warn_once(event: CallEvent) -> None:
    """Log a warning about an unknown status, once for each status.

    Somebody should add the status to the provider's table. Every call would repeat the warning.
    """
    if event.status not in _warned_statuses and len(_warned_statuses) < MAX_UNKNOWN_STATUSES:
        _warned_statuses.add(event.status)
        warn("unknown-status", status=event.status, evidence=dict(event.evidence))


def _log_taken(transition: Transition, number: int, event: CallEvent) -> Taken:
    call, decision = transition.call, transition.decision
    taken = Taken(
        effect=transition.effect if transition.effect is not Effect.NOTHING else Noted.NOTHING_NEW,
        call_id=call.id,
        attempt=number,
        reason=decision.reason if decision else None,
        retry_at=call.due_at if decision else None,
        summary_status=decision.summary_status if decision else None,
    )
    log(
        "callback",
        call=call.id,
        attempt=number,
        status=event.status,
        effect=taken.effect,
        reason=taken.reason,
        retry_at=f"{taken.retry_at:%Y-%m-%dT%H:%M:%SZ}" if taken.retry_at else None,
        summary_status=taken.summary_status,
    )
    return taken
