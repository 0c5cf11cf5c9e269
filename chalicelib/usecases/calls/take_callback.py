"""Take a provider's callback: verify, parse, then change the call that its token names, at most once."""

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

#: No more unknown words than this are told of by one process, should somebody send nothing but those.
MAX_SHOWN_CHARS = 100

#: the decision about a leg that is none to redial
LEFT_ALONE = {Leg.INBOUND: "inbound", Leg.OTHER: "other-leg"}


@dataclass(frozen=True, slots=True)
class Taken:
    """What a callback led to, in the words that its answer and the log use."""

    effect: str
    call_id: str
    attempt: int
    reason: str | None = None
    retry_at: datetime | None = None
    summary_status: str | None = None


def take_callback(ports: Ports, provider_name: str, token: str, request: CallbackRequest) -> list[Taken]:
    """Take in every event of a callback that came to the address of one attempt.

    Raises UnknownProvider, SignatureError before anything is read, MalformedCallback, NotFound for a token that
    names no attempt.
    """
    provider = verified(ports, provider_name, request)
    return [take_by_token(ports, provider_name, token, event) for event in provider.parse(request)]


def take_account_callback(ports: Ports, provider_name: str, request: CallbackRequest) -> list[Taken]:
    """Take in every event of a callback that came to the one address of an account.

    The event names its attempt by our token or by the provider's id. An inbound call, or a leg of another one, is left
    alone. Raise as take_callback() does, and NotFound for any other call: this address adopts none.
    """
    provider = verified(ports, provider_name, request)
    events = provider.parse(request)
    for event in events:
        if event.token is None and not (provider.signs_callbacks or provider.knows_sender(request)):
            wanted = f"{provider_name.upper()}_ALLOWED_IPS"
            raise SignatureError(f"nothing speaks for this callback: it is unsigned and {wanted} is not set")
    return [_take_by_name(ports, provider_name, event) for event in events]


def verified(ports: Ports, name: str, request: CallbackRequest) -> Provider:
    """The provider that signed the request, with its secrets read once more where they have been rotated."""
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
    """Take in an event of the attempt that a callback token names. Raise NotFound for an unknown one.

    The session of a call of ours is recorded, so that the legs which join it are not adopted.
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
    """Take in an event of an attempt. Raise NotFound where there is no such attempt."""
    call_id, number, token = named.call_id, named.number, named.token
    if (noted := _noted(ports, named, event)) is not None:
        return noted

    def absorb(record: CallRecord) -> Transition:
        attempt = record.attempt(number)
        ours = (token, erased_token(token))
        if attempt is None or attempt.token not in ours or attempt.provider != named.provider:
            raise NotFound("no attempt has this callback address")
        if attempt.provider_call_id is None and event.leg in LEFT_ALONE:
            return unchanged(record, ports.clock.now())  # a leg that our call made must not give it its id
        return lifecycle.absorb(record, number, event, ports.clock.now())

    transition = change(ports, call_id, absorb)
    measure.heard(event, ports.clock.now())
    # An account that carried a conversation is not at fault for want of credit or channels to place calls with.
    if event.fault is not None and transition.attempt is not None and not transition.attempt.counts:
        report_fault(ports, transition.before.call, transition.attempt, event)
    return _taken(transition, number, event)


def _noted(ports: Ports, named: Named, event: CallEvent) -> Taken | None:
    """Note what is said along the way in one request; None where the call has to be read and changed."""
    if event.is_terminal or event.leg in LEFT_ALONE or is_erased_token(named.token):
        return None
    noted = ports.notes.note(named, event, ports.clock.now())
    if noted in (Noted.AFTER_THE_END, Noted.NO_SUCH_ATTEMPT):
        return None
    if noted is Noted.KEPT:
        _say_once(event)
    measure.heard(event, ports.clock.now())
    log("callback", call=named.call_id, attempt=named.number, status=event.status, effect=noted)
    return Taken(noted, named.call_id, named.number)


_said: set[str | None] = set()


def _say_once(event: CallEvent) -> None:
    """An unknown word is worth one line: somebody should add it to a table, and every call would repeat it."""
    if event.status not in _said and len(_said) < MAX_SHOWN_CHARS:
        _said.add(event.status)
        warn("unknown-status", status=event.status, evidence=dict(event.evidence))


def _taken(transition: Transition, number: int, event: CallEvent) -> Taken:
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
