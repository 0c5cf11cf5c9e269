"""Dial the due calls after a wake has fired.

A wake may fire twice, late, or at the same time as another one: no call is dialled twice.
"""

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
from chalicelib.runtime.log import broken, log, warn, with_context
from chalicelib.storage.items import FRESH, RETRY
from chalicelib.storage.transact import StaleWrite, is_temporary
from chalicelib.usecases import measure
from chalicelib.usecases.calls.claim import Considered, commit, consider
from chalicelib.usecases.calls.dial import dial_claimed
from chalicelib.usecases.calls.schedule import remember_armed, set_trigger
from chalicelib.usecases.gates.rate_limits import DialRateLimits, RateLimitReached
from chalicelib.usecases.ports import Ports
from chalicelib.wheel import Triggers, plan

#: One dial may take this long: 3 s to connect, 10 s for the answer, and the writes around it.
MAX_DIAL_SEC = 16.0
#: An invocation with more time left than this may set more triggers.
MAX_KEPT_SEC = 60.0
#: A wake may arrive this late and still be on time: EventBridge fires within the minute, not at its first second.
WAKE_GRACE = timedelta(seconds=60)
#: Due calls to one number invalidate each other's claims. Each try lets one of them win.
CLAIM_TRIES = 5
#: The clocks of two synchronized computers differ by less than this.
CLOCK_BEHIND = timedelta(milliseconds=500)


class TimeLeft:
    """The time that an invocation has left for dials.

    No dial begins in its last 16 s; in a short invocation, none begins in the last quarter of its time.
    """

    def __init__(self, remaining: Callable[[], float]) -> None:
        self._remaining = remaining
        self._reserve = min(MAX_DIAL_SEC, remaining() / 4)

    def share(self, part: float) -> "TimeLeft":
        """Return this part of the time that is left now. The rest is kept for other work."""
        kept = (self._remaining() - self._reserve) * (1 - part)
        shared = TimeLeft(self._remaining)
        shared._reserve = self._reserve + max(0.0, kept)
        return shared

    def for_a_dial(self, wait_sec: float = 0.0) -> bool:
        """Return True if a dial that begins after ``wait_sec`` can end in time."""
        return self._remaining() - wait_sec > self._reserve

    def for_triggers(self) -> Callable[[], bool]:
        """Return a function that says whether there is time to set one more trigger.

        Triggers may use half of the time that is left now.
        """
        kept = min(self._remaining() / 2, MAX_KEPT_SEC)
        return lambda: self._remaining() > kept


def redial_due(ports: Ports, wake: datetime, time_left: TimeLeft) -> dict[str, int]:
    """Dial every due call, arm the finer wakes below, and remove this wake's trigger.

    Dialling and arming run side by side, so that neither waits for the other: the wake of a full hour arms up to 109
    finer wakes, and the first of them are needed within ``lead``.

    If there is no ``time_left`` for one more dial, a wake in the next minute does the rest. Return how many calls came
    to each end.
    """
    now = ports.clock.now()
    # This computer's clock may be a little behind the clock that fired the wake: then the wake is right.
    before = wake if now < wake <= now + CLOCK_BEHIND else now
    with _alongside(
        lambda: arm_below(ports, wake, time_left.for_triggers()), in_thread=ports.settings.dial_pool_size > 1
    ):
        counts = dial_due(ports, before, time_left)
    if counts["left"]:
        _arm_next_minute(ports)
    disarm(ports.triggers, wake)
    log("redialed", wake=plan.wake_text(wake), **counts)
    return dict(counts)


@contextmanager
def _alongside(work: Callable[[], None], *, in_thread: bool) -> Iterator[None]:
    """Run ``work`` in a thread while the block runs.

    Without ``in_thread`` run it after the block, even if the block raises.
    """
    if not in_thread:
        try:
            yield
        finally:
            work()
        return
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(with_context(lambda _: work()), None)
        yield
        done.result()


def arm_below(ports: Ports, wake: datetime, has_time: Callable[[], bool]) -> None:
    """Arm the minutes below the wake of a full hour, and at midnight the hours.

    Stop at the first trigger that EventBridge refuses: a full quota or a throttled bus refuses the others, too. The
    sweep dials the calls that have no trigger, within two minutes of their time.
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
    """Return the wakes to arm below this one.

    Each has the accounts that it serves, with their minutes.
    """
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
    """Claim and dial every call that is due by ``before``, in a pool of limited size.

    Retries go first by default. The call that has been due the longest goes first. Each invocation shuffles the calls
    of one batch: in the same order, concurrent invocations would all try to claim the same call.

    The counts are ``dialed``, ``rescheduled`` (the call may not be dialled now), ``ended`` (the call may not be dialled
    any more), ``skipped`` (another invocation had the call, or it is no longer due), ``broken`` (an error, which is
    logged; the sweep tries the call again) and ``left`` (no time). When the time is over, the index is read no further:
    ``left`` says that there are more calls, not how many. While ``DIALING`` is off, nothing is read or written, and due
    calls stay due.
    """
    counts: Counter[str] = Counter(left=0)
    if not ports.settings.dialing:
        warn("dialing-stopped", reason="DIALING is off")
        return counts

    def due() -> Iterator[str]:
        for call_id in _due_ids(ports, before):
            if not time_left.for_a_dial():
                counts["left"] += 1
                return
            yield call_id

    work = partial(_redial_safely, ports, before, time_left)
    counts.update(Counter(pooled(work, due(), ports.settings.dial_pool_size)))
    return counts


def _due_ids(ports: Ports, before: datetime) -> Iterator[str]:
    """Yield the ids of the due calls, in the order in which to dial them."""
    kinds = (RETRY, FRESH) if ports.settings.retries_first else (FRESH, RETRY)
    return (call_id for kind in kinds for batch in ports.calls.due(kind, before) for call_id in shuffled(batch))


def _redial_safely(ports: Ports, before: datetime, time_left: TimeLeft, call_id: str) -> str:
    """Claim and dial one call. An error is logged, and stops no other call."""
    try:
        return _redial(ports, call_id, before, time_left)
    except TooBusy:
        return "skipped"  # other invocations kept changing the call
    except RedialError as error:
        warn("redial-refused", call=call_id, error=str(error))
        set_back(ports, call_id, error)
    except Exception as error:
        broken("redial-broken", error, call=call_id)
        set_back(ports, call_id, error)
    return "broken"


def _redial(ports: Ports, call_id: str, before: datetime, time_left: TimeLeft) -> str:
    """Claim and dial one call, and return how that ended.

    The index lags behind the table, so the call itself is read first.
    """
    rate_limits = DialRateLimits(ports, time_left.for_a_dial)
    for _ in range(CLAIM_TRIES):
        record = _load_if_due(ports, call_id, before)
        if record is None:
            return "skipped"
        try:
            considered, settled = _settle_due(ports, record, rate_limits)
        except RateLimitReached:
            return "left"
        except StaleWrite:
            continue
        if not considered.may_dial:
            return "rescheduled" if settled.call.due_at else "ended"
        measure.claimed(settled)
        dial_claimed(ports, settled.after)
        return "dialed"
    return "skipped"


def set_back(ports: Ports, call_id: str, error: Exception) -> None:
    """Move a broken call behind the other due calls.

    The call that has been due the longest is dialled first, and a broken one must not block the others. If AWS failed,
    the call is not to blame: the next sweep dials it again, and no wait grows.
    """
    now = ports.clock.now()
    try:
        if is_temporary(error):
            ports.calls.move_behind(call_id, now - WAKE_GRACE)
        else:
            ports.calls.set_back(call_id, now)
    except (ClientError, BotoCoreError, TooBusy) as refusal:
        warn("call-not-set-back", call=call_id, error=str(refusal))


def _load_if_due(ports: Ports, call_id: str, before: datetime) -> CallRecord | None:
    """Return the call as it is now; None if it is not due any more."""
    record = ports.calls.load(call_id)
    if record is None or record.call.state is not CallState.SCHEDULED:
        return None
    return record if record.call.due_at is not None and record.call.due_at <= before else None


def _settle_due(ports: Ports, record: CallRecord, rate_limits: DialRateLimits) -> tuple[Considered, Transition]:
    """Claim, reschedule or end a due call, and commit that.

    Raises RateLimitReached if the claim would wait too long, StaleWrite if the call changed meanwhile.
    """
    considered = consider(ports, record)
    if considered.may_dial and rate_limits.wait(record.call):
        considered = consider(ports, record)  # a gate may have closed during the wait
    return considered, commit(ports, considered)


def shuffled(ids: list[str]) -> list[str]:
    """Return the ids in a random order."""
    return random.sample(ids, len(ids))


def _arm_next_minute(ports: Ports) -> None:
    now = ports.clock.now()
    set_trigger(ports, plan.first_minute(now + timedelta(seconds=1), now, ports.wake_lead))


def disarm(triggers: Triggers, wake: datetime) -> bool:
    """Remove a trigger. Return False, and log a warning, if that fails.

    The sweep removes the trigger later.
    """
    try:
        triggers.disarm(wake)
    except (ClientError, BotoCoreError) as error:
        warn("wake-not-removed", wake=plan.wake_text(wake), error=str(error))
        return False
    return True


def pooled(work: Callable[[str], str], ids: Iterable[str], size: int) -> Iterator[str]:
    """Yield the result of ``work`` for each id, with ``size`` ids at a time.

    The next id begins as soon as any of the running ones has ended.
    """
    if size == 1:
        yield from map(work, ids)
        return
    remaining = iter(ids)
    with ThreadPoolExecutor(size) as pool:
        running = {pool.submit(with_context(work), each) for each in islice(remaining, size)}
        while running:
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            running |= {pool.submit(with_context(work), each) for each in islice(remaining, len(ended))}
            yield from (each.result() for each in ended)
