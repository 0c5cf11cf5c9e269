"""Place a call: record it as claimed or scheduled, and dial it if it may start."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import ids
from chalicelib.domain import lifecycle
from chalicelib.domain.call import Call, CallRecord
from chalicelib.domain.decide import Reason, first, why_never_open
from chalicelib.domain.deciding import postponed
from chalicelib.domain.erasure import blanked
from chalicelib.domain.expiry import expiry
from chalicelib.domain.number_zones import contact_zones
from chalicelib.domain.policy import Policy
from chalicelib.errors import FieldError, Invalid, NotFound, RedialError, TooBusy, Unavailable
from chalicelib.runtime.log import broken, log
from chalicelib.storage.calls import Idempotency, IdempotencyKeyUsed
from chalicelib.storage.numbers import Number
from chalicelib.storage.transact import StaleWrite, Write
from chalicelib.usecases import measure
from chalicelib.usecases.calls.claim import Considered, consider, opted_out
from chalicelib.usecases.calls.dial import dial_claimed
from chalicelib.usecases.calls.schedule import book, unbook
from chalicelib.usecases.gates.limits import check_destination
from chalicelib.usecases.gates.rate_limits import DialRateLimits, RateLimitReached
from chalicelib.usecases.numbers.quiet import quiet_of
from chalicelib.usecases.ports import Ports

#: The table keeps an Idempotency-Key this long.
IDEMPOTENCY_KEPT = timedelta(hours=24)
#: Calls that are placed to one number at the same time invalidate each other's claims. Each try lets one of them win.
CREATE_TRIES = 8
#: A request that places a call waits this long for the rate limits, all waits together. API Gateway ends the request
#: after 29 s. Redial schedules a call that cannot start in this time.
MAX_WAIT = timedelta(seconds=2)
#: The JSON pointer of the second provider in a request
FAILOVER_POINTER = "/retry/failover"
#: A preview checks a provider with this agent, because the call itself may name any agent.
ANY_AGENT = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCall:
    """A call to place: numbers are E.164, ``start_at`` is UTC or None for now.

    ``to_pointer`` is the JSON pointer of the number in the request. Without ``dial_now`` a call waits for the wheel
    even if it may start now, for example one of a hundred calls in a request.
    """

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
    campaign_id: str | None = None
    dial_now: bool = True
    to_pointer: str = "/to_number"

    def to(self, number: str, pointer: str = "/to_number") -> "NewCall":
        """Return the same call to another number, at ``pointer`` in the request."""
        return replace(self, to_number=number, to_pointer=pointer)


def check_call(ports: Ports, new: NewCall) -> None:
    """Raise Invalid if the call cannot be placed. Nothing is written."""
    _checked_call(ports, new, ports.clock.now())


def check_previewed(ports: Ports, workspace: str, policy: Policy, to_number: str | None) -> None:
    """Raise Invalid if check_call() would refuse every call under this policy.

    A preview names no number to call from, so the number to call is checked as if it was called from its own country. A
    preview also names no agent, so the second provider is checked as if the call had an agent.
    """
    if to_number is not None:
        _check_failover_number(policy, to_number)
        check_destination(ports, workspace, to_number, to_number, "/to_number")
    if policy.failover is not None:
        account_of(ports, policy.failover.provider, policy.failover.target_url, ANY_AGENT, FAILOVER_POINTER)


def place_call(ports: Ports, new: NewCall, key: str | None = None, request_hash: str = "") -> CallRecord:
    """Place a call, and return its record: dialled, scheduled or ended.

    The call is dialled if it may start now; an ended call has the reason in its decisions. ``key`` is the request's
    Idempotency-Key: the same key and ``request_hash`` return the same call, and the same key with another hash raises
    Invalid.
    """
    now = ports.clock.now()
    call = _checked_call(ports, new, now)
    idempotency = Idempotency(new.workspace, key, request_hash, now + IDEMPOTENCY_KEPT) if key else None
    try:
        if key:
            ports.calls.check_unused(new.workspace, key)
        _create(ports, call, idempotency, dial_now=new.dial_now)
    except IdempotencyKeyUsed as used:
        return _call_of_key(ports, used.stored, request_hash)
    log("call-placed", call=call.id, workspace=call.workspace, provider=call.provider)
    return _load(ports, call.id)


def _create(ports: Ports, call: Call, idempotency: Idempotency | None, *, dial_now: bool) -> None:
    wait_until = ports.clock.now() + MAX_WAIT
    rate_limits = DialRateLimits(ports, lambda wait_sec: ports.clock.now() + timedelta(seconds=wait_sec) <= wait_until)
    for _ in range(CREATE_TRIES):
        number = ports.numbers.load(call.workspace, call.to_number)
        # Redial refuses a call to an erased number, and the call's record must not bring the number back.
        recorded = blanked(call, number.erased_at) if number.erased_at else call
        considered = _consider_new(ports, recorded, number, rate_limits if dial_now else None)
        naming = [] if number.erased_at else ports.numbers.naming(call)
        if not _write_new(ports, considered, idempotency, naming):
            continue  # meanwhile another call dialled the number, the number opted out, or the slot was taken
        measure.committed(considered.transition)
        if considered.may_dial:
            _dial_safely(ports, considered.transition.after)
        return
    raise TooBusy(f"others keep calling {call.to_number}; try again in a moment")


def _write_new(ports: Ports, considered: Considered, idempotency: Idempotency | None, naming: Sequence[Write]) -> bool:
    """Write a new call. Return False if a condition failed: the caller may try again.

    A call that is not written gives back its place in the wheel.
    """
    call = considered.transition.call
    try:
        ports.calls.create(considered.transition, idempotency, [*naming, *considered.also])
    except StaleWrite:
        unbook(ports, call)
        return False
    except (ClientError, BotoCoreError, IdempotencyKeyUsed, TooBusy):
        # The write may have succeeded all the same. Nobody else has this id.
        if ports.calls.load(call.id) is None:
            unbook(ports, call)
            raise
    return True


def _consider_new(ports: Ports, call: Call, number: Number, rate_limits: DialRateLimits | None) -> Considered:
    """Return the start of a new call: claimed, scheduled or ended.

    The call is claimed if it may be dialled now. Without ``rate_limits`` it waits for the wheel.
    """
    others_made = number.dialed_by_others(call.id, call.created_at - call.policy.reach) if call.policy.caps else ()
    quiet = quiet_of(ports, call, number, call.created_at)
    record = CallRecord(replace(call, others_made=others_made, quiet_until=quiet.until))
    decision = opted_out(number) or first(call.policy, record.situation, call.due_at or call.created_at)
    if decision.retry_at != call.created_at or rate_limits is None:
        return Considered(book(ports, lifecycle.decided(record, decision, call.created_at)))
    considered = _consider_within_limits(ports, record, number, rate_limits)
    return considered if considered.may_dial else Considered(book(ports, considered.transition))


def _consider_within_limits(
    ports: Ports, record: CallRecord, number: Number, rate_limits: DialRateLimits
) -> Considered:
    """Claim a new call when the rate limits allow it to start.

    If that would take too long, the call is scheduled.
    """
    considered = consider(ports, record, number)
    try:
        if considered.may_dial and rate_limits.wait(record.call):
            return consider(ports, record, number)  # a gate may have closed during the wait
    except RateLimitReached as held:
        now = ports.clock.now()
        return Considered(lifecycle.decided(record, postponed(record.call, Reason.RATE_LIMITED, str(held), now), now))
    return considered


def _dial_safely(ports: Ports, record: CallRecord) -> None:
    """Dial a call that is recorded, and log an error instead of raising it.

    The call exists now, and the sweep finds out how the dial ended. After an error the user would place the call a
    second time.
    """
    try:
        dial_claimed(ports, record)
    except Exception as error:
        broken("dial-broken", error, call=record.call.id)


def account_of(ports: Ports, name: str, target_url: str | None, agent: str | None, pointer: str) -> str:
    """Return the account (``<provider>:<id>``) that a call is placed from.

    ``pointer`` is the JSON pointer of the object that has the provider and its target. Raises Invalid if the provider
    cannot place the call, Unavailable if its secrets cannot be read.
    """
    try:
        provider = ports.provider(name)
    except Unavailable:
        raise
    except RedialError as error:
        raise Invalid([FieldError(f"{pointer}/provider", str(error))]) from error
    lacking = provider.lacks(target_url or ports.settings.answer_url(name), agent)
    if lacking is not None:
        raise Invalid([FieldError(f"{pointer}/{lacking[0]}", lacking[1])])
    return f"{name}:{provider.account}"


def _check_window(call: Call) -> None:
    """Raise Invalid if the window is never open in all time zones of the number.

    Such a call could never be dialled.
    """
    start_at = call.due_at or call.created_at
    if first(call.policy, CallRecord(call).situation, start_at).reason is Reason.WINDOW_NEVER_OPENS:
        closed = why_never_open(call.policy.window, call.zones)
        wanted = f"{Reason.WINDOW_NEVER_OPENS}: {closed}; give the call a timezone, or a wider window"
        raise Invalid([FieldError("/timezone", wanted)])


def _checked_call(ports: Ports, new: NewCall, now: datetime) -> Call:
    _check_numbers(new)
    check_destination(ports, new.workspace, new.to_number, new.from_number, new.to_pointer)
    start_at = max(new.start_at or now, now)
    policy = new.policy.held_to(new.to_number, ports.settings.default_cap)
    call = Call(
        id=ids.sortable_id("call", now),
        workspace=new.workspace,
        to_number=new.to_number,
        from_number=new.from_number,
        provider=new.provider,
        account="",
        policy=policy,
        created_at=now,
        expires_at=start_at,
        due_at=start_at,
        agent_version_id=new.agent_version_id,
        target_url=new.target_url,
        variables=new.variables,
        metadata=new.metadata,
        timezone=new.timezone,
        campaign_id=new.campaign_id,
        public_url=new.public_url,
    )
    ready = with_expiry(with_accounts(ports, call, FAILOVER_POINTER), start_at)
    _check_window(ready)
    return ready


def _check_numbers(new: NewCall) -> None:
    """Raise Invalid if the number to call is also a number to call from."""
    if new.to_number == new.from_number:
        raise Invalid([_same_number(new.to_pointer, new.to_number)])
    _check_failover_number(new.policy, new.to_number)


def _check_failover_number(policy: Policy, to_number: str) -> None:
    if policy.failover is not None and policy.failover.from_number == to_number:
        raise Invalid([_same_number(f"{FAILOVER_POINTER}/from_number", to_number)])


def _same_number(pointer: str, number: str) -> FieldError:
    return FieldError(pointer, f"the number to call and the number to call from must differ (got {number!r} as both)")


def with_expiry(call: Call, start_at: datetime) -> Call:
    """Return a new call, whose zones are known, with its expiry."""
    ends = expiry(call.policy, call.zones, start_at)
    return replace(call, expires_at=ends.at, policy_ends_at=ends.policy_ends_at)


def with_accounts(ports: Ports, call: Call, failover_pointer: str) -> Call:
    """Return a new call with its accounts, and with the zones that its policy needs.

    ``failover_pointer`` is the JSON pointer of the second provider in the request. Raises Invalid if a provider cannot
    place the call.
    """
    failover, agent = call.policy.failover, call.agent_version_id
    second = None
    account = account_of(ports, call.provider, call.target_url, agent, "")
    if failover is not None:
        second = account_of(ports, failover.provider, failover.target_url, agent, failover_pointer)
    zones = contact_zones(call.timezone, call.to_number) if call.policy.needs_zones else ()
    return replace(call, account=account, failover_account=second, zones=zones)


def _call_of_key(ports: Ports, stored: dict[str, Any], request_hash: str) -> CallRecord:
    if stored["request_hash"] != request_hash:
        raise Invalid(
            [
                FieldError(
                    "",
                    "this Idempotency-Key came with a different request before; use a new key for a new call",
                )
            ]
        )
    return _load(ports, stored["call_id"])


def _load(ports: Ports, call_id: str) -> CallRecord:
    record = ports.calls.load(call_id)
    if record is None:
        raise NotFound(f"there is no call {call_id}")
    return record
