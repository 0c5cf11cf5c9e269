"""Dial what is due: a wake has fired. Safe when it fires twice, late, or next to another one."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import islice

from chalicelib.domain.call import CallState
from chalicelib.errors import RedialError
from chalicelib.log import broken, inheriting, log, warn
from chalicelib.storage.calls import StaleWrite
from chalicelib.storage.items import RETRY
from chalicelib.usecases import measure
from chalicelib.usecases.claim import claim
from chalicelib.usecases.dial import dial_claimed
from chalicelib.usecases.ports import Ports
from chalicelib.usecases.schedule import settle
from chalicelib.wheel import plan

#: One dial may take this long (3 s to connect, 10 s to be answered, and the writes around it).
LONGEST_DIAL_SEC = 16.0
#: Calls to one number that fall due together lose each other's claims; each try lets one of them win.
CLAIM_TRIES = 5


class TimeLeft:
    """Whether an invocation may begin one more dial: not in its last 16 s, nor in the last quarter of a short one."""

    def __init__(self, remaining: Callable[[], float]) -> None:
        self._remaining = remaining
        self._reserve = min(LONGEST_DIAL_SEC, remaining() / 4)

    def for_a_dial(self) -> bool:
        """True while one more dial can end before the invocation does."""
        return self._remaining() > self._reserve


def redial_due(ports: Ports, wake: datetime, time_left: TimeLeft) -> dict[str, int]:
    """Arm the finer wakes below this one, dial every call that is due, and remove this wake's alarm.

    Where there is no ``time_left`` for one more dial, the rest is left to a wake that is armed for the next minute.
    Returns how many calls came to which end.
    """
    arm_below(ports, wake)
    counts = dial_due(ports, ports.clock.now(), time_left)
    if counts["left"]:
        _arm_next(ports)
    ports.alarms.disarm(wake)
    log("redialed", wake=plan.wake_text(wake), **counts)
    return dict(counts)


def arm_below(ports: Ports, wake: datetime) -> None:
    """What a full hour's wake does besides dialling: arm the minutes below it, and at midnight the hours."""
    now, lead = ports.clock.now(), ports.wake_lead
    below: dict[datetime, set[tuple[str, datetime]]] = {}
    if (minutes := plan.minutes_below(wake, lead)) is not None:
        for account, minute, _ in ports.wakes.planned(*minutes):
            below.setdefault(minute, set()).add((account, minute))
    if (hours := plan.hours_below(wake, lead)) is not None:
        first, last = hours[0] + plan.ceil_lead(lead), hours[1] + plan.ceil_lead(lead) + timedelta(minutes=59)
        for account, minute, _ in ports.wakes.planned(first, last):
            hour = plan.hour_wake(minute, lead)
            below.setdefault(minute if hour < now + lead else hour, set()).add((account, minute))
    for finer, places in sorted(below.items()):
        if finer > now and finer != wake:
            ports.alarms.arm(finer)
            hours_of_accounts = {(account, minute.replace(minute=0)) for account, minute in places}
            for account, hour in sorted(hours_of_accounts):
                ports.wakes.mark_armed(account, hour, {plan.stamp(finer)})


def dial_due(ports: Ports, before: datetime, time_left: TimeLeft) -> Counter[str]:
    """Claim and dial every call that is due by ``before``, a bounded number at a time.

    Counts ``dialed``, ``moved`` and ``ended`` (it may not be dialled now, or no more), ``skipped`` (somebody else had
    it, or it is no longer due), ``broken`` (an error, logged; the sweep comes back to it) and ``left`` (no time).
    """
    counts: Counter[str] = Counter(left=0)

    def one(call_id: str) -> str:
        if not time_left.for_a_dial():
            return "left"
        try:
            return _redial(ports, call_id)
        except Exception as error:  # one call's trouble must not keep the others from being dialled
            if isinstance(error, RedialError):
                warn("redial-refused", call=call_id, error=str(error))
            else:
                broken("redial-broken", error, call=call_id)
            return "broken"

    due = (call_id for page in ports.calls.due(RETRY, before) for call_id in page)
    counts.update(pooled(one, due, ports.settings.dial_pool_size))
    return counts


def _redial(ports: Ports, call_id: str) -> str:
    """Claim and dial one call. The index trails the table: what counts is what the call itself says now."""
    for _ in range(CLAIM_TRIES):
        record = ports.calls.load(call_id)
        now = ports.clock.now()
        if record is None or record.call.state is not CallState.SCHEDULED:
            return "skipped"
        if record.call.due_at is None or record.call.due_at > now:
            return "skipped"
        claimed = claim(ports, record)
        try:
            settled = settle(ports, claimed.transition, claimed.also)
        except StaleWrite:
            continue
        if not claimed.may_dial:
            return "moved" if settled.call.due_at else "ended"
        measure.claimed(record.call, now)
        dial_claimed(ports, settled.after)
        return "dialed"
    return "skipped"


def _arm_next(ports: Ports) -> None:
    now = ports.clock.now()
    ports.alarms.arm(plan.first_minute(now + timedelta(seconds=1), now, ports.wake_lead))


def pooled(work: Callable[[str], str], ids: Iterable[str], size: int) -> Iterator[str]:
    """``work`` over all ids, ``size`` at a time, without holding more than that of them in memory."""
    if size == 1:
        yield from map(work, ids)
        return
    remaining = iter(ids)
    with ThreadPoolExecutor(size) as pool:
        while batch := list(islice(remaining, size * 4)):
            yield from pool.map(inheriting(work), batch)
