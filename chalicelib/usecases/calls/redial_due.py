"""Dial what is due: a wake has fired. Safe when it fires twice, late, or next to another one."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from itertools import islice

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.domain.call import CallRecord, CallState
from chalicelib.domain.transition import Transition
from chalicelib.errors import RedialError, TooBusy
from chalicelib.runtime.log import broken, inheriting, log, warn
from chalicelib.storage.items import FRESH, RETRY
from chalicelib.storage.transact import StaleWrite
from chalicelib.usecases import measure
from chalicelib.usecases.calls.claim import Considered, commit, consider
from chalicelib.usecases.calls.dial import dial_claimed
from chalicelib.usecases.calls.schedule import remember_armed, set_trigger
from chalicelib.usecases.gates.pace import InPace, OutOfPace
from chalicelib.usecases.ports import Ports
from chalicelib.wheel import Triggers, plan

#: One dial may take this long (3 s to connect, 10 s to be answered, and the writes around it).
MAX_DIAL_SEC = 16.0
#: An invocation with more time left than this may go on arming.
MAX_KEPT_SEC = 60.0
#: Calls to one number that fall due together lose each other's claims; each try lets one of them win.
CLAIM_TRIES = 5
#: Machines whose clocks are kept in step differ by less than this.
CLOCK_BEHIND = timedelta(milliseconds=500)


class TimeLeft:
    """Whether an invocation may begin one more dial: not in its last 16 s, nor in the last quarter of a short one."""

    def __init__(self, remaining: Callable[[], float]) -> None:
        self._remaining = remaining
        self._reserve = min(MAX_DIAL_SEC, remaining() / 4)

    def share(self, part: float) -> "TimeLeft":
        """Return this part of the time that is left now: the rest is kept for other work."""
        kept = (self._remaining() - self._reserve) * (1 - part)
        shared = TimeLeft(self._remaining)
        shared._reserve = self._reserve + max(0.0, kept)
        return shared

    def for_a_dial(self, wait_sec: float = 0.0) -> bool:
        """True while one more dial that begins after ``wait_sec`` can end before the invocation does."""
        return self._remaining() - wait_sec > self._reserve

    def for_triggers(self) -> Callable[[], bool]:
        """Return whether one more alarm may be set: half of the time that is left now is for alarms."""
        kept = min(self._remaining() / 2, MAX_KEPT_SEC)
        return lambda: self._remaining() > kept


def redial_due(ports: Ports, wake: datetime, time_left: TimeLeft) -> dict[str, int]:
    """Dial every call that is due, arm the finer wakes below this one, and remove this wake's alarm.

    Both are done side by side, for neither may wait for the other: a full hour's wake arms up to 109 finer ones, and
    the first of them are needed in ``lead``.

    Where there is no ``time_left`` for one more dial, the rest is left to a wake that is armed for the next minute.
    Returns how many calls came to which end.
    """
    now = ports.clock.now()
    # Where this machine's clock is a little behind the one that fired the wake, the wake is right.
    before = wake if now < wake <= now + CLOCK_BEHIND else now
    with _beside(lambda: arm_below(ports, wake, time_left.for_triggers()), apart=ports.settings.dial_pool_size > 1):
        counts = dial_due(ports, before, time_left)
    if counts["left"]:
        _arm_next(ports)
    disarm(ports.triggers, wake)
    log("redialed", wake=plan.wake_text(wake), **counts)
    return dict(counts)


@contextmanager
def _beside(work: Callable[[], None], *, apart: bool) -> Iterator[None]:
    """Do some work in a thread of its own while the block runs; without ``apart`` after it, however it ended."""
    if not apart:
        try:
            yield
        finally:
            work()
        return
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(inheriting(lambda _: work()), None)
        yield
        done.result()


def arm_below(ports: Ports, wake: datetime, has_time: Callable[[], bool]) -> None:
    """Arm the minutes below a full hour's wake, and at midnight the hours.

    Stop at the first alarm that EventBridge refuses, for a full quota or a throttled bus refuses the others, too. The
    sweep dials what has no alarm, within two minutes of its time.
    """
    now = ports.clock.now()
    finer_wakes = sorted(_finer_wakes(ports, wake, now).items())
    for number, (finer, places) in enumerate(finer_wakes):
        if finer <= now or finer == wake:
            continue
        if not has_time() or not set_trigger(ports, finer):
            warn("wakes-left", wake=plan.wake_text(wake), left=len(finer_wakes) - number)
            return
        hours_of_accounts = {(account, minute.replace(minute=0)) for account, minute in places}
        for account, hour in sorted(hours_of_accounts):
            remember_armed(ports, account, hour, finer)


def _finer_wakes(ports: Ports, wake: datetime, now: datetime) -> dict[datetime, set[tuple[str, datetime]]]:
    """The wakes to arm below this one, each with the accounts' minutes that it serves."""
    lead = ports.wake_lead
    below: dict[datetime, set[tuple[str, datetime]]] = {}
    if (minutes := plan.minutes_below(wake, lead)) is not None:
        for account, minute, _ in ports.wakes.planned(*minutes):
            below.setdefault(minute, set()).add((account, minute))
    if (hours := plan.hours_below(wake, lead)) is not None:
        for account, minute, _ in ports.wakes.planned(*plan.minutes_of_hours(*hours, lead)):
            hour = plan.hour_wake(minute, lead)
            below.setdefault(minute if hour < now + lead else hour, set()).add((account, minute))
    return below


def dial_due(ports: Ports, before: datetime, time_left: TimeLeft) -> Counter[str]:
    """Claim and dial every call that is due by ``before``, a bounded number at a time, retries first by default.

    What is due the longest goes first. Of what is due together each invocation has an order of its own: those that run
    at the same time would else all want the same call, and go through the rest as one.

    Counts ``dialed``, ``rescheduled`` and ``ended`` (it may not be dialled now, or no more), ``skipped`` (another
    invocation had it, or it is no longer due), ``broken`` (an error, logged; the sweep tries it again) and ``left`` (no
    time). Once
    the time is over the index is read no further: ``left`` says that there is more, not how much. While ``DIALING`` is
    off nothing is read or written: what is due stays due.
    """
    counts: Counter[str] = Counter(left=0)
    if not ports.settings.dialing:
        warn("dialing-stopped", reason="DIALING is off")
        return counts

    def due() -> Iterator[str]:
        for call_id in _in_order(ports, before):
            if not time_left.for_a_dial():
                counts["left"] += 1
                return
            yield call_id

    work = partial(_redial_safely, ports, before, time_left)
    counts.update(Counter(pooled(work, due(), ports.settings.dial_pool_size)))
    return counts


def _in_order(ports: Ports, before: datetime) -> Iterator[str]:
    """The calls that are due, in the order in which they are to be dialled."""
    kinds = (RETRY, FRESH) if ports.settings.retries_first else (FRESH, RETRY)
    return (call_id for kind in kinds for together in ports.calls.due(kind, before) for call_id in shuffled(together))


def _redial_safely(ports: Ports, before: datetime, time_left: TimeLeft, call_id: str) -> str:
    """Claim and dial one call; its trouble must not keep the others from being dialled."""
    try:
        return _redial(ports, call_id, before, time_left)
    except TooBusy:
        return "skipped"  # others had it all the time
    except RedialError as error:
        warn("redial-refused", call=call_id, error=str(error))
    except Exception as error:
        broken("redial-broken", error, call=call_id)
    set_back(ports, call_id)
    return "broken"


def _redial(ports: Ports, call_id: str, before: datetime, time_left: TimeLeft) -> str:
    """Claim and dial one call. The index trails the table: what counts is what the call itself says now."""
    pace = InPace(ports, time_left.for_a_dial)
    for _ in range(CLAIM_TRIES):
        record = _still_due(ports, call_id, before)
        if record is None:
            return "skipped"
        try:
            considered, settled = _settle_due(ports, record, pace)
        except OutOfPace:
            return "left"
        except StaleWrite:
            continue
        if not considered.may_dial:
            return "rescheduled" if settled.call.due_at else "ended"
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


def _still_due(ports: Ports, call_id: str, before: datetime) -> CallRecord | None:
    """Return the call as it is now; None where it is not due any more."""
    record = ports.calls.load(call_id)
    if record is None or record.call.state is not CallState.SCHEDULED:
        return None
    return record if record.call.due_at is not None and record.call.due_at <= before else None


def _settle_due(ports: Ports, record: CallRecord, pace: InPace) -> tuple[Considered, Transition]:
    """Claim, move or end a call that is due, and commit that. Raises OutOfPace, StaleWrite."""
    considered = consider(ports, record)
    if considered.may_dial and pace.keep(record.call):
        considered = consider(ports, record)  # what was found open may have closed
    return considered, commit(ports, considered)


def shuffled(ids: list[str]) -> list[str]:
    """The same in an order by chance."""
    return random.sample(ids, len(ids))


def _arm_next(ports: Ports) -> None:
    now = ports.clock.now()
    set_trigger(ports, plan.first_minute(now + timedelta(seconds=1), now, ports.wake_lead))


def disarm(triggers: Triggers, wake: datetime) -> bool:
    """Remove an alarm; False, and a line in the log, where that failed: the sweep removes it later."""
    try:
        triggers.disarm(wake)
    except (ClientError, BotoCoreError) as error:
        warn("wake-not-removed", wake=plan.wake_text(wake), error=str(error))
        return False
    return True


def pooled(work: Callable[[str], str], ids: Iterable[str], size: int) -> Iterator[str]:
    """``work`` over all ids, ``size`` at a time; the next one begins as soon as any of them has ended."""
    if size == 1:
        yield from map(work, ids)
        return
    remaining = iter(ids)
    with ThreadPoolExecutor(size) as pool:
        running = {pool.submit(inheriting(work), each) for each in islice(remaining, size)}
        while running:
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            running |= {pool.submit(inheriting(work), each) for each in islice(remaining, len(ended))}
            yield from (each.result() for each in ended)
