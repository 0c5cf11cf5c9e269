"""Place a call: record it as claimed or scheduled, and dial it if it may start now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import ids
from chalicelib.domain import lifecycle
from chalicelib.domain.call import Call, CallRecord
from chalicelib.domain.decide import Reason, first, never_open
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
from chalicelib.usecases.gates.pace import InPace, OutOfPace
from chalicelib.usecases.numbers.quiet import quiet_of
from chalicelib.usecases.ports import Ports

#: How long an Idempotency-Key is remembered.
IDEMPOTENCY_KEPT = timedelta(hours=24)
#: Calls placed to one number at the same time lose each other's claims; each try lets one of them win.
CREATE_TRIES = 8
#: A request that asks for a call waits no longer than this for the rate limits, all waits together; API Gateway ends
#: it after 29 s. What cannot start by then is scheduled.
MAX_WAIT = timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCall:
    """A call as asked for, checked; numbers are E.164, ``start_at`` is UTC, None for now.

    ``to_pointer`` is where in the request the number is. Without ``dial_now`` even a call that may start at once waits
    for the wheel: one of a hundred in a request.
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
        """Return the same call to another number, which stands at ``pointer`` in the request."""
        return replace(self, to_number=number, to_pointer=pointer)


def check_call(ports: Ports, new: NewCall) -> None:
    """Raise Invalid where a call could not be placed as asked for. Nothing is written."""
    _call(ports, new, ports.clock.now())


def place_call(ports: Ports, new: NewCall, key: str | None = None, request_hash: str = "") -> CallRecord:
    """Place a call and return it as it then stands: dialled if it may be now, else scheduled or, with a reason, ended.

    With an Idempotency-Key the same request answers the same call, and a different one raises Invalid.
    """
    now = ports.clock.now()
    call = _call(ports, new, now)
    idempotency = Idempotency(new.workspace, key, request_hash, now + IDEMPOTENCY_KEPT) if key else None
    try:
        if key:
            ports.calls.check_unused(new.workspace, key)
        _create(ports, call, idempotency, dial_now=new.dial_now)
    except IdempotencyKeyUsed as used:
        return _repeated(ports, used.stored, request_hash)
    log("call-placed", call=call.id, workspace=call.workspace, provider=call.provider)
    return _stored(ports, call.id)


def _create(ports: Ports, call: Call, idempotency: Idempotency | None, *, dial_now: bool) -> None:
    wait_until = ports.clock.now() + MAX_WAIT
    pace = InPace(ports, lambda wait_sec: ports.clock.now() + timedelta(seconds=wait_sec) <= wait_until)
    for _ in range(CREATE_TRIES):
        number = ports.numbers.load(call.workspace, call.to_number)
        # A call to a number whose data was erased is refused, and its record must not bring the number back.
        kept = blanked(call, number.erased_at) if number.erased_at else call
        begun = _begin(ports, kept, number, pace if dial_now else None)
        naming = [] if number.erased_at else ports.numbers.naming(call)
        if not _written(ports, begun, idempotency, naming):
            continue  # somebody called or opted the number out, or took the slot, in between
        measure.committed(begun.transition)
        if begun.may_dial:
            _dial(ports, begun.transition.after)
        return
    raise TooBusy(f"others keep calling {call.to_number}; try again in a moment")


def _written(ports: Ports, begun: Considered, idempotency: Idempotency | None, naming: Sequence[Write]) -> bool:
    """Write a new call; where that fails its place in the wheel goes back. False where it is to be tried again."""
    call = begun.transition.call
    try:
        ports.calls.create(begun.transition, idempotency, [*naming, *begun.also])
    except StaleWrite:
        unbook(ports, call)
        return False
    except (ClientError, BotoCoreError, IdempotencyKeyUsed, TooBusy):
        # It may have been written all the same: if so by us, for nobody else has this id.
        if ports.calls.load(call.id) is None:
            unbook(ports, call)
            raise
    return True


def _begin(ports: Ports, call: Call, number: Number, pace: InPace | None) -> Considered:
    """What a new call begins with: claimed where it may be dialled now, else waiting for its minute, or ended.

    Without ``pace`` it waits for the wheel.
    """
    others_made = number.dialed_by_others(call.id, call.created_at - call.policy.reach) if call.policy.caps else ()
    quiet = quiet_of(ports, call, number, call.created_at)
    record = CallRecord(replace(call, others_made=others_made, quiet_until=quiet.until))
    decision = opted_out(number) or first(call.policy, record.situation, call.due_at or call.created_at)
    if decision.retry_at != call.created_at or pace is None:
        return Considered(book(ports, lifecycle.decided(record, decision, call.created_at)))
    considered = _in_pace(ports, record, number, pace)
    return considered if considered.may_dial else Considered(book(ports, considered.transition))


def _in_pace(ports: Ports, record: CallRecord, number: Number, pace: InPace) -> Considered:
    """Claim a new call once the rate limits let it start; where that would take too long, it is scheduled."""
    considered = consider(ports, record, number)
    try:
        if considered.may_dial and pace.keep(record.call):
            return consider(ports, record, number)  # what was found open may have closed
    except OutOfPace as held:
        now = ports.clock.now()
        return Considered(lifecycle.decided(record, postponed(record.call, Reason.RATE_LIMITED, str(held), now), now))
    return considered


def _dial(ports: Ports, record: CallRecord) -> None:
    """Dial a call that is recorded: whatever goes wrong now, it exists, and the sweep finds out what became of it.

    An error would have the user ask for the call again.
    """
    try:
        dial_claimed(ports, record)
    except Exception as error:
        broken("dial-broken", error, call=record.call.id)


def account_of(ports: Ports, name: str, target_url: str | None, agent: str | None, pointer: str) -> str:
    """The account (``<provider>:<id>``) that a call is placed from. Raises Invalid where the provider cannot do it.

    ``pointer`` is where in the request the provider, and beside it the target, are named.
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
    """Raise Invalid where the window is never open in all zones of the number: the call could never be dialled."""
    start_at = call.due_at or call.created_at
    if first(call.policy, CallRecord(call).situation, start_at).reason is Reason.WINDOW_NEVER_OPENS:
        closed = never_open(call.policy.window, call.zones)
        wanted = f"{Reason.WINDOW_NEVER_OPENS}: {closed}; give the call a timezone, or a wider window"
        raise Invalid([FieldError("/timezone", wanted)])


def _call(ports: Ports, new: NewCall, now: datetime) -> Call:
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
    ready = with_expiry(with_accounts(ports, call, "/retry/failover"), start_at)
    _check_window(ready)
    return ready


def _check_numbers(new: NewCall) -> None:
    """Raise Invalid where the number to call is one that the call is placed from."""
    failover = new.policy.failover
    if new.to_number == new.from_number:
        raise Invalid([FieldError(new.to_pointer, f"{_SAME} (got {new.to_number!r} as both)")])
    if failover is not None and failover.from_number == new.to_number:
        raise Invalid([FieldError("/retry/failover/from_number", f"{_SAME} (got {new.to_number!r} as both)")])


_SAME = "the number to call and the number to call from must differ"


def with_expiry(call: Call, start_at: datetime) -> Call:
    """Return a new call, whose zones are known, with the time at which it expires."""
    ends = expiry(call.policy, call.zones, start_at)
    return replace(call, expires_at=ends.at, policy_ends_at=ends.policy_ends_at)


def with_accounts(ports: Ports, call: Call, failover_pointer: str) -> Call:
    """Return a new call with the accounts that it is placed from, and the zones that its policy needs to know.

    Raises Invalid where a provider cannot place it; ``failover_pointer`` is where the request names the second one.
    """
    failover, agent = call.policy.failover, call.agent_version_id
    second = None
    account = account_of(ports, call.provider, call.target_url, agent, "")
    if failover is not None:
        second = account_of(ports, failover.provider, failover.target_url, agent, failover_pointer)
    zones = contact_zones(call.timezone, call.to_number) if call.policy.needs_zones else ()
    return replace(call, account=account, failover_account=second, zones=zones)


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
