"""Place a call: write it down claimed or scheduled, and dial it if it may start now."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from chalicelib import ids
from chalicelib.domain.call import Call, CallRecord
from chalicelib.domain.decide import Decision, Reason
from chalicelib.domain.lifecycle import Effect, Transition
from chalicelib.domain.policy import Policy
from chalicelib.errors import FieldError, Invalid, NotFound, RedialError
from chalicelib.log import log
from chalicelib.storage.calls import Idempotency, IdempotencyKeyUsed
from chalicelib.usecases.dial import claim, dial_claimed
from chalicelib.usecases.ports import Ports
from chalicelib.usecases.schedule import book_minute

#: How long an Idempotency-Key is remembered.
IDEMPOTENCY_KEPT = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCall:
    """A call as asked for, checked; numbers are E.164, ``start_at`` is UTC, None for now."""

    workspace: str
    to_number: str
    from_number: str
    policy: Policy
    provider: str
    public_url: str
    agent_version_id: str | None = None
    target_url: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    timezone: str | None = None
    start_at: datetime | None = None
    webhook_url: str | None = None


def place_call(ports: Ports, new: NewCall, key: str | None = None, request_hash: str = "") -> CallRecord:
    """Place a call and return it as it then stands.

    With an Idempotency-Key the same request answers the same call, and a different one raises Invalid.
    """
    now = ports.clock.now()
    call = _call(ports, new, now)
    idempotency = Idempotency(new.workspace, key, request_hash, now + IDEMPOTENCY_KEPT) if key else None
    try:
        if call.due_at is not None and call.due_at > now:
            _create_scheduled(ports, call, idempotency)
        else:
            transition = claim(ports, CallRecord(call))
            ports.calls.create(transition, idempotency)
            dial_claimed(ports, transition.after)
    except IdempotencyKeyUsed as used:
        return _repeated(ports, used.stored, request_hash)
    log("call-placed", call=call.id, workspace=call.workspace, provider=call.provider)
    return _stored(ports, call.id)


def _create_scheduled(ports: Ports, call: Call, idempotency: Idempotency | None) -> None:
    booked = book_minute(ports, call)
    decision = Decision(Reason.STARTED, (f"starts at {call.due_at:%Y-%m-%dT%H:%M:%SZ}",), retry_at=call.due_at)
    transition = Transition(CallRecord(call), booked, None, Effect.DECIDED, at=call.created_at, decision=decision)
    ports.calls.create(transition, idempotency)


def _call(ports: Ports, new: NewCall, now: datetime) -> Call:
    try:
        provider = ports.provider(new.provider)
    except RedialError as error:
        raise Invalid([FieldError("/provider", str(error))]) from error
    if provider.needs_answer_url and not (new.target_url or ports.settings.answer_url(new.provider)):
        wanted = f"give a target, or set {new.provider.upper()}_ANSWER_URL"
        raise Invalid([FieldError("/target", f"{new.provider} must be told what to do with the call: {wanted}")])
    start_at = max(new.start_at or now, now)
    call = Call(
        id=ids.sortable_id("call", now),
        workspace=new.workspace,
        to_number=new.to_number,
        from_number=new.from_number,
        provider=new.provider,
        account=f"{new.provider}:{provider.account}",
        policy=new.policy,
        created_at=now,
        expires_at=start_at + timedelta(hours=new.policy.expires_after_hours),
        due_at=start_at,
        public_url=new.public_url,
    )
    return replace(
        call,
        agent_version_id=new.agent_version_id,
        target_url=new.target_url,
        variables=new.variables,
        metadata=new.metadata,
        timezone=new.timezone,
        webhook_url=new.webhook_url,
    )


def _repeated(ports: Ports, stored: dict[str, Any], request_hash: str) -> CallRecord:
    if stored["request_hash"] != request_hash:
        raise Invalid(
            [
                FieldError(
                    "",
                    "this Idempotency-Key came with a different request before; use a new key for a new call",
                )
            ]
        )
    return _stored(ports, stored["call_id"])


def _stored(ports: Ports, call_id: str) -> CallRecord:
    record = ports.calls.load(call_id)
    if record is None:
        raise NotFound(f"there is no call {call_id}")
    return record
