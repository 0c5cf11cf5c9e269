"""Adopt a call that the user's own code placed.

Its callback makes the record. From then on Redial handles the call as one of its own.
"""

from dataclasses import dataclass, replace

from chalicelib import ids
from chalicelib.domain import lifecycle
from chalicelib.domain.call import Call, CallRecord
from chalicelib.domain.events import CallEvent, Leg
from chalicelib.domain.policy import Policy
from chalicelib.errors import BadRequest, TooBusy
from chalicelib.runtime.log import log
from chalicelib.storage.owners import CallName, Owner
from chalicelib.storage.transact import StaleWrite
from chalicelib.usecases.calls.ownership import call_name
from chalicelib.usecases.calls.place_call import CREATE_TRIES, with_accounts, with_expiry
from chalicelib.usecases.ports import Ports


@dataclass(frozen=True, slots=True)
class Adoption:
    """The terms of an adoption: the call's workspace, its policy and its target."""

    workspace: str
    policy_name: str
    policy: Policy
    target_url: str | None
    agent_version_id: str | None
    public_url: str


def leg_in_session(ports: Ports, name: CallName, event: CallEvent) -> Leg:
    """Return which leg an event is about, by the event and by its session.

    A session belongs to the leg that began it. Every other leg of the session is a child: the user's own agent, or the
    person that the call was transferred to. The events of a child look like those of a call that a program placed.
    """
    if event.session is None or event.leg is Leg.OTHER:
        return event.leg
    note_session(ports, name, event)
    begun = ports.adoptions.begun_by(replace(name, id=event.session))
    if begun is None or event.leg is Leg.INBOUND:
        return event.leg
    call_id, leg = begun
    return leg if call_id == event.provider_call_id else Leg.OTHER


def note_session(ports: Ports, name: CallName, event: CallEvent) -> None:
    """Record which leg began the event's session, if the event says so."""
    if event.session is not None and event.leg in (Leg.INBOUND, Leg.OUTGOING):
        session = replace(name, id=event.session)
        ports.adoptions.open_session(session, event.provider_call_id, event.leg, ports.clock.now())


def adopt_call(ports: Ports, provider: str, event: CallEvent, adoption: Adoption) -> Owner | None:
    """Adopt the call that an event is about, and return the call's owner.

    The owner may be another workspace, or a dial of ours, that was faster. Return None for a call to an erased number:
    no record of it is made. The call's id is random, so that nobody can compute it. The claim on the provider's id
    makes sure that concurrent callbacks adopt the call once. Raises BadRequest if the event names no numbers, Invalid
    if the policy's redials could not be placed.
    """
    name = call_name(ports, provider, event.provider_call_id)
    for _ in range(CREATE_TRIES):
        owner = ports.owners.find(name)
        if owner is not None:
            return owner
        call = _call(ports, provider, event, adoption)
        number = ports.numbers.load(call.workspace, call.to_number)
        if number.erased_at is not None:
            return None
        now = call.created_at
        mine = Owner(ids.callback_token(call.id, 1), call.workspace)
        transition = lifecycle.adopt(
            CallRecord(call),
            token=mine.token,
            provider_call_id=event.provider_call_id,
            now=now,
            deadline_at=now + ports.longest_attempt,
            others_made=number.dialed_by_others(call.id, now - call.policy.reach) if call.policy.caps else (),
        )
        also = [
            ports.owners.adopting(name, mine, call.expires_at),
            *ports.numbers.naming(call),
            ports.numbers.adding(number, f"{call.id}-1", now),
        ]
        try:
            ports.calls.create(transition, None, also)
        except StaleWrite:
            continue
        log("call-adopted", call=call.id, workspace=call.workspace, provider=provider)
        return mine
    raise TooBusy(f"others keep calling {event.to_number}; try again in a moment")


def _call(ports: Ports, provider: str, event: CallEvent, adoption: Adoption) -> Call:
    if event.to_number is None or event.from_number is None:
        raise BadRequest("the callback names no E.164 numbers to call from and to, so it cannot be redialled")
    now = ports.clock.now()
    call = Call(
        id=ids.sortable_id("call", now),
        workspace=adoption.workspace,
        to_number=event.to_number,
        from_number=event.from_number,
        provider=provider,
        account="",
        policy=adoption.policy.held_to(event.to_number, ports.settings.default_cap),
        created_at=now,
        expires_at=now,
        target_url=adoption.target_url,
        agent_version_id=adoption.agent_version_id,
        public_url=adoption.public_url,
        is_adopted=True,
    )
    return with_expiry(with_accounts(ports, call, "/failover"), now)
