"""Take in a callback that came to an adoption address.

| what the callback is about                               | what happens                                      |
|----------------------------------------------------------|---------------------------------------------------|
| a call that Redial placed, or that is adopted here       | taken in                                          |
| a call that another workspace adopted                    | nothing: one call has one owner                   |
| an inbound call, or a leg of another call, by what the   |                                                   |
| event or its session says                                | nothing; the leg is recorded for later events     |
| an outgoing call, signed                                 | adopted                                           |
| an unsigned callback, or a leg that the event leaves out | kept until the sweep has looked the call up       |
"""

from chalicelib.domain.events import CallEvent, Leg
from chalicelib.errors import BadRequest, Invalid, NotFound
from chalicelib.providers import CallbackRequest, Provider
from chalicelib.runtime import metrics
from chalicelib.runtime.log import log, warn
from chalicelib.runtime.metrics import count
from chalicelib.storage.adoptions import Pending, Unadopted
from chalicelib.storage.notes import Named
from chalicelib.storage.owners import CallName, Owner
from chalicelib.usecases.adoption.adopt_call import Adoption, adopt_call, leg_in_session
from chalicelib.usecases.calls.ownership import call_name
from chalicelib.usecases.calls.take_callback import LEFT_ALONE, Taken, take_by_token, take_named, verified
from chalicelib.usecases.ports import Ports


def take_adoption_callback(
    ports: Ports, provider_name: str, token: str, request: CallbackRequest, public_url: str
) -> list[Taken]:
    """Take in every event of a callback that came to an adoption address.

    Raises SignatureError before anything is read; MalformedCallback; NotFound for a token that is not valid.
    """
    provider = verified(ports, provider_name, request)
    grant = ports.adoption_tokens.find(token, ports.clock.now())
    if grant is None:
        raise refused(provider_name, "unknown-token", "unknown adoption token; PUT /policies/{name} shows the address")
    events = provider.parse(request)
    if not grant.is_valid:
        for event in events:
            record(ports, grant.workspace, grant.policy_name, provider_name, event.provider_call_id, "token-replaced")
        raise refused(provider_name, "token-replaced", "this adoption token was replaced, or its policy was deleted")
    adoption = load_adoption(ports, grant.workspace, grant.policy_name, public_url)
    if adoption is None:
        for event in events:
            record(ports, grant.workspace, grant.policy_name, provider_name, event.provider_call_id, "policy-gone")
        raise refused(provider_name, "policy-gone", "the policy of this adoption address was deleted")
    return [_take(ports, provider, event, adoption) for event in events]


def load_adoption(ports: Ports, workspace: str, policy_name: str, public_url: str) -> Adoption | None:
    """Return the terms under which calls are adopted; None if the policy is deleted."""
    named = ports.policies.load(workspace, policy_name)
    if named is None:
        return None
    return Adoption(workspace, policy_name, named.policy, named.target_url, named.agent_version_id, public_url)


def refused(provider: str, reason: str, detail: str) -> NotFound:
    """Record a refused callback, and return the error to raise.

    The record is a line in the log and a metric that has an alarm.
    """
    warn("callback-refused", provider=provider, reason=reason, detail=detail)
    count(metrics.CALLBACKS_REFUSED, Reason=reason)
    return NotFound(detail)


def record(ports: Ports, workspace: str, policy: str, provider: str, call_id: str, reason: str) -> Taken:
    """Record for support that a callback led to no adoption, and return the decision."""
    warn("call-not-adopted", workspace=workspace, policy=policy, provider=provider, call=call_id, reason=reason)
    count(metrics.CALLS_NOT_ADOPTED, Reason=reason)
    ports.adoptions.record(workspace, Unadopted(ports.clock.now(), provider, call_id, policy, reason))
    return Taken(reason, "", 0)


def leave_alone(ports: Ports, name: CallName, leg: Leg) -> Taken:
    """Remember that a call is inbound or another call's leg, and return the decision."""
    ports.adoptions.remember_leg(name, leg, ports.clock.now())
    log("call-left-alone", provider=name.provider, call=name.id, leg=leg)
    return Taken(LEFT_ALONE[leg], "", 0)


def _take(ports: Ports, provider: Provider, event: CallEvent, adoption: Adoption) -> Taken:
    if event.token is not None:
        return take_by_token(ports, provider.name, event.token, event)
    name = call_name(ports, provider.name, event.provider_call_id)
    owner = ports.owners.find(name)
    if owner is not None:
        return _take_owned(ports, provider, name, event, adoption, owner)
    session_leg = leg_in_session(ports, name, event)
    leg = session_leg if session_leg is not Leg.UNKNOWN else ports.adoptions.leg_of(name)
    if leg in LEFT_ALONE:
        return leave_alone(ports, name, leg)
    if leg is Leg.OUTGOING and provider.signs_callbacks:
        return _adopt(ports, provider.name, event, adoption)
    return _keep_for_sweep(ports, name, event, adoption)


def _take_owned(
    ports: Ports, provider: Provider, name: CallName, event: CallEvent, adoption: Adoption, owner: Owner
) -> Taken:
    if owner.adopted_by is None:
        return take_by_token(ports, provider.name, owner.token, event)
    if owner.keeps_out(adoption.workspace):
        return _not_adopted(ports, event, adoption, provider.name, "adopted-elsewhere")
    if not provider.signs_callbacks and needs_proof(event):
        return _keep_for_sweep(ports, name, event, adoption)
    return take_named(ports, Named.by_token(provider.name, owner.token), event)


def needs_proof(event: CallEvent) -> bool:
    """Return True for an event that an unsigned callback cannot prove.

    Such events say how the call ended, or what answered it.
    """
    return event.is_terminal or event.fault is not None or event.amd is not None


def _adopt(ports: Ports, provider: str, event: CallEvent, adoption: Adoption) -> Taken:
    try:
        owner = adopt_call(ports, provider, event, adoption)
    except (BadRequest, Invalid) as error:
        reason = "no-numbers" if isinstance(error, BadRequest) else "policy-cannot-dial"
        record(ports, adoption.workspace, adoption.policy_name, provider, event.provider_call_id, reason)
        raise
    if owner is None:
        return Taken("erased", "", 0)
    if owner.keeps_out(adoption.workspace):
        return _not_adopted(ports, event, adoption, provider, "adopted-elsewhere")
    return take_named(ports, Named.by_token(provider, owner.token), event)


def _keep_for_sweep(ports: Ports, name: CallName, event: CallEvent, adoption: Adoption) -> Taken:
    now = ports.clock.now()
    pending = Pending(
        workspace=adoption.workspace,
        policy_name=adoption.policy_name,
        name=name,
        public_url=adoption.public_url,
        since=now,
        next_at=now,
        events=(event,),
    )
    if not ports.adoptions.keep(pending):
        return _not_adopted(ports, event, adoption, name.provider, "too-many-pending")
    log("call-pending", workspace=adoption.workspace, provider=name.provider, status=event.status)
    return Taken("pending", "", 0)


def _not_adopted(ports: Ports, event: CallEvent, adoption: Adoption, provider: str, reason: str) -> Taken:
    return record(ports, adoption.workspace, adoption.policy_name, provider, event.provider_call_id, reason)
