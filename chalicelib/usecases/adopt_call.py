"""Adopt a call that the user's own code placed: its callback makes the record, and from then on it is one of ours."""

from dataclasses import dataclass, replace
from datetime import timedelta

from chalicelib import ids
from chalicelib.domain import lifecycle
from chalicelib.domain.call import Call, CallRecord
from chalicelib.domain.events import CallEvent
from chalicelib.domain.number_zones import contact_zones
from chalicelib.domain.policy import Policy
from chalicelib.errors import BadRequest, TooBusy
from chalicelib.log import log
from chalicelib.storage.transact import StaleWrite
from chalicelib.usecases.place_call import CREATE_TRIES, account_of
from chalicelib.usecases.ports import Ports


@dataclass(frozen=True, slots=True)
class Adoption:
    """Whose a call becomes, and what it is redialled by and to."""

    workspace: str
    policy: Policy
    target_url: str | None
    agent_version_id: str | None
    public_url: str


def adopt_call(ports: Ports, provider: str, event: CallEvent, adoption: Adoption) -> CallRecord | None:
    """The record of the call that an event is about, made from the event where there is none yet.

    Its id follows from the provider's, so that callbacks that come at the same time adopt it once. None for a call to
    a number whose data was erased: no record of it is made. Raises BadRequest where the event names no numbers, Invalid
    where the policy's redials could not be placed.
    """
    call_id = ids.derived_id("call", adoption.workspace, provider, event.provider_call_id)
    for _ in range(CREATE_TRIES):
        record = ports.calls.load(call_id)
        if record is not None:
            return record
        call = _call(ports, call_id, provider, event, adoption)
        number = ports.numbers.load(call.workspace, call.to_number)
        if number.erased_at is not None:
            return None
        now = call.created_at
        transition = lifecycle.adopt(
            CallRecord(call),
            token=ids.callback_token(call_id, 1),
            provider_call_id=event.provider_call_id,
            now=now,
            deadline_at=now + ports.attempt_limit,
            others_made=number.made_by_others(call_id, now - call.policy.reach) if call.policy.caps else (),
        )
        also = [*ports.numbers.naming(call), ports.numbers.adding(number, f"{call_id}-1", now)]
        try:
            ports.calls.create(transition, None, also)
        except StaleWrite:
            continue
        log("call-adopted", call=call_id, workspace=call.workspace, provider=provider)
        return transition.after
    raise TooBusy(f"call {call_id} keeps changing; try again in a moment")


def _call(ports: Ports, call_id: str, provider: str, event: CallEvent, adoption: Adoption) -> Call:
    if event.to_number is None or event.from_number is None:
        raise BadRequest("the callback names no E.164 numbers to call from and to, so it cannot be redialled")
    now = ports.clock.now()
    policy, failover = adoption.policy, adoption.policy.failover
    call = Call(
        id=call_id,
        workspace=adoption.workspace,
        to_number=event.to_number,
        from_number=event.from_number,
        provider=provider,
        account=account_of(ports, provider, adoption.target_url, adoption.agent_version_id, ""),
        policy=policy,
        created_at=now,
        expires_at=now + timedelta(hours=policy.expires_after_hours),
        target_url=adoption.target_url,
        agent_version_id=adoption.agent_version_id,
        public_url=adoption.public_url,
    )
    agent = adoption.agent_version_id
    return replace(
        call,
        failover_account=(
            account_of(ports, failover.provider, failover.target_url, agent, "/failover") if failover else None
        ),
        zones=contact_zones(None, event.to_number) if policy.needs_zones else (),
    )
