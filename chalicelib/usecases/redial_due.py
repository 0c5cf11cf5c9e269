"""Dial what is due: a wake has fired. Safe when it fires twice, late, or next to another one."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import islice

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.domain.call import CallState
from chalicelib.errors import RedialError, TooBusy
from chalicelib.log import broken, inheriting, log, warn
from chalicelib.storage.items import FRESH, RETRY
from chalicelib.storage.transact import StaleWrite
from chalicelib.usecases import measure
from chalicelib.usecases.claim import claim, commit
from chalicelib.usecases.dial import dial_claimed
from chalicelib.usecases.pace import OutOfPace, keep_pace
from chalicelib.usecases.ports import Ports
from chalicelib.usecases.schedule import set_alarm
from chalicelib.wheel import plan

#: One dial may take this long (3 s to connect, 10 s to be answered, and the writes around it).
LONGEST_DIAL_SEC = 16.0
#: Calls to one number that fall due together lose each other's claims; each try lets one of them win.
CLAIM_TRIES = 5
#: Machines whose clocks are kept in step differ by less than this.
CLOCK_BEHIND = timedelta(milliseconds=500)


class TimeLeft:
    """Whether an invocation may begin one more dial: not in its last 16 s, nor in the last quarter of a short one."""

    def __init__(self, remaining: Callable[[], float]) -> None:
        self._remaining = remaining
        self._reserve = min(LONGEST_DIAL_SEC, remaining() / 4)

    def for_a_dial(self, wait_sec: float = 0.0) -> bool:
        """True while one more dial that begins after ``wait_sec`` can end before the invocation does."""
        return self._remaining() - wait_sec > self._reserve


def redial_due(ports: Ports, wake: datetime, time_left: TimeLeft) -> dict[str, int]:
    """Arm the finer wakes below this one, dial every call that is due, and remove this wake's alarm.

    Where there is no ``time_left`` for one more dial, the rest is left to a wake that is armed for the next minute.
    Returns how many calls came to which end.
    """
    arm_below(ports, wake)
    now = ports.clock.now()
    # Where this machine's clock is a little behind the one that fired the wake, the wake is right.
    counts = dial_due(ports, wake if now < wake <= now + CLOCK_BEHIND else now, time_left)
    if counts["left"]:
        _arm_next(ports)
    disarm(ports, wake)
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
        if finer > now and finer != wake and set_alarm(ports, finer):
            hours_of_accounts = {(account, minute.replace(minute=0)) for account, minute in places}
            for account, hour in sorted(hours_of_accounts):
                ports.wakes.mark_armed(account, hour, {plan.stamp(finer)})


def dial_due(ports: Ports, before: datetime, time_left: TimeLeft) -> Counter[str]:
    """Claim and dial every call that is due by ``before``, a bounded number at a time, retries first by default.

    What is due the longest goes first. Of what is due together each invocation has an order of its own: those that run
    at the same time would else all want the same call, and go through the rest as one.

    Counts ``dialed``, ``moved`` and ``ended`` (it may not be dialled now, or no more), ``skipped`` (somebody else had
    it, or it is no longer due), ``broken`` (an error, logged; the sweep comes back to it) and ``left`` (no time).
    """
    counts: Counter[str] = Counter(left=0)

    def one(call_id: str) -> str:
        if not time_left.for_a_dial():
            return "left"
        try:
            return _redial(ports, call_id, before, time_left)
        except TooBusy:
            return "skipped"  # others had it all the time
        except Exception as error:  # one call's trouble must not keep the others from being dialled
            if isinstance(error, RedialError):
                warn("redial-refused", call=call_id, error=str(error))
            else:
                broken("redial-broken", error, call=call_id)
            set_back(ports, call_id)
            return "broken"

    kinds = (RETRY, FRESH) if ports.settings.retries_first else (FRESH, RETRY)
    due = (call_id for kind in kinds for together in ports.calls.due(kind, before) for call_id in shuffled(together))
    counts.update(pooled(one, due, ports.settings.dial_pool_size))
    return counts


def _redial(ports: Ports, call_id: str, before: datetime, time_left: TimeLeft) -> str:
    """Claim and dial one call. The index trails the table: what counts is what the call itself says now."""
    in_pace = False
    for _ in range(CLAIM_TRIES):
        record = ports.calls.load(call_id)
        if record is None or record.call.state is not CallState.SCHEDULED:
            return "skipped"
        if record.call.due_at is None or record.call.due_at > before:
            return "skipped"
        ports.provider(record.call.provider)  # one that is not set up, or whose secret cannot be read, costs no attempt
        claimed = claim(ports, record)
        if claimed.may_dial and not in_pace:
            try:
                wait_sec = keep_pace(ports, record.call, time_left.for_a_dial)
            except OutOfPace:
                return "left"
            in_pace = True
            if wait_sec:
                claimed = claim(ports, record)  # what was found open may have closed
        try:
            settled = commit(ports, claimed)
        except StaleWrite:
            continue
        if not claimed.may_dial:
            return "moved" if settled.call.due_at else "ended"
        measure.claimed(settled)
        dial_claimed(ports, settled.after)
        return "dialed"
    return "skipped"


def set_back(ports: Ports, call_id: str) -> None:
    """Let a broken call be found behind the others, for what is due the longest is taken up first."""
    try:
        ports.calls.set_back(call_id, ports.clock.now())
    except (ClientError, BotoCoreError, TooBusy) as error:
        warn("call-not-set-back", call=call_id, error=str(error))


def shuffled(ids: list[str]) -> list[str]:
    """The same in an order by chance."""
    return random.sample(ids, len(ids))


def _arm_next(ports: Ports) -> None:
    now = ports.clock.now()
    set_alarm(ports, plan.first_minute(now + timedelta(seconds=1), now, ports.wake_lead))


def disarm(ports: Ports, wake: datetime) -> bool:
    """Remove an alarm; False, and a line in the log, where that failed: the sweep removes it later."""
    try:
        ports.alarms.disarm(wake)
    except (ClientError, BotoCoreError) as error:
        warn("alarm-not-removed", wake=plan.wake_text(wake), error=str(error))
        return False
    return True


def pooled(work: Callable[[str], str], ids: Iterable[str], size: int) -> Iterator[str]:
    """``work`` over all ids, ``size`` at a time, without holding more than that of them in memory."""
    if size == 1:
        yield from map(work, ids)
        return
    remaining = iter(ids)
    with ThreadPoolExecutor(size) as pool:
        while batch := list(islice(remaining, size * 4)):
            yield from pool.map(inheriting(work), batch)
