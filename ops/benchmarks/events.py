"""Count what each kind of event uses, with the real handlers under a load.

All random choices are seeded, and the clock stands still, so that each run counts the same.
"""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from unittest.mock import patch

from chalicelib.storage.slots import SMALL
from chalicelib.usecases.calls.schedule import set_trigger
from ops.benchmarks.cpu_time import CpuTime
from ops.benchmarks.filling import Copies, Load, fill
from ops.benchmarks.handlers import WAIT_MINUTES, Handlers, running
from ops.benchmarks.metering import Meter
from ops.benchmarks.usage import Usage
from ops.simulate import quick_moto

#: The loads to count under. The first one is the base of all comparisons.
LOADS = (Load(10, 10), Load(1_000, 10), Load(100_000, 10), Load(1_000, 1_000), Load(10_000, 10_000))
#: Each kind of event happens so many times.
EVENTS = 3
#: A redialled attempt has this part of the cost of a wake: ten calls share one.
WAKE_SHARE = 0.1


class Kind(StrEnum):
    """A kind of event.

    An "end" is a callback that reports the end of an attempt. A "redialled attempt" has its redial, a part of the wake,
    and its callbacks: its line is busy, and the wake of its retry is armed.
    """

    PLACE_NOW = "place now"
    PLACE_LATER = "place later"
    PROGRESS = "progress callback"
    ANSWERED = "answered callback"
    END_ARMED = "end, retry, wake armed"
    END_UNARMED = "end, retry, wake not armed"
    END_FINAL = "end, no retry"
    REDIAL = "redial: a call"
    WAKE = "redial: the wake"
    ATTEMPT = "redialled attempt"
    SWEEP = "idle sweep"


@dataclass(frozen=True, slots=True)
class Counted:
    """The usage of one event of each kind under a load.

    ``callbacks`` is the number of callbacks of a redialled attempt whose line is busy.
    """

    load: Load
    usage: Mapping[Kind, Usage]
    callbacks: int

    @property
    def attempt(self) -> Usage:
        """The usage of a whole redialled attempt."""
        return self.usage[Kind.ATTEMPT]

    @property
    def invocations(self) -> float:
        """The invocations of Lambdas for a redialled attempt."""
        return self.callbacks + WAKE_SHARE

    @property
    def dial_cpu_ms(self) -> float:
        """The milliseconds of CPU of a dial, with its share of the wake."""
        return self.usage[Kind.REDIAL].cpu_ms + self.usage[Kind.WAKE].cpu_ms * WAKE_SHARE

    @property
    def callback_cpu_ms(self) -> float:
        """The milliseconds of CPU of a callback of a redialled attempt, as a mean."""
        return (self.attempt.cpu_ms - self.dial_cpu_ms) / self.callbacks


def count(load: Load = LOADS[0]) -> Counted:
    """Return the usage of one event of each kind: the mean of the events of the kind.

    Half of the slots of the Twilio account are free. Raises RuntimeError if Redial did not dial every call.
    """
    cpu, before = CpuTime(), random.getstate()
    try:
        with running(max(SMALL, 2 * load.in_flight)) as handlers, cpu.without_moto(), Meter(cpu).counting() as meter:
            story = _Story(handlers, meter)
            copies = story.prepare(load)
            with patch.object(quick_moto, "indexed", copies.indexed):
                story.tell()
            return Counted(load, story.usage, len(handlers.busy_statuses))
    finally:
        random.setstate(before)


class _Story:
    """The events in their order. ``usage`` has the usage of one event of each kind."""

    def __init__(self, handlers: Handlers, meter: Meter) -> None:
        self.usage: dict[Kind, Usage] = {}
        self._handlers = handlers
        self._meter = meter

    def prepare(self, load: Load) -> Copies:
        """Fill the table with copies of two calls that were really placed.

        After that the process is warm: it has its clients, its secrets and the settings of the workspace.
        """
        random.seed(str(load))
        (waiting,) = self._place(1)
        self._end(self._calls(1))
        (ringing,) = self._place(1)
        return fill(self._handlers, load, self._handlers.load(waiting), self._handlers.load(ringing))

    def tell(self) -> None:
        """Let all events happen."""
        self._answered_calls()
        self._scheduled_calls()
        self._busy_calls()
        self._idle_sweep()

    def _answered_calls(self) -> None:
        with self._over(Kind.PLACE_NOW):
            self._place(EVENTS)
        sids = self._calls(EVENTS)
        for kind, number, status in (
            (Kind.PROGRESS, 1, "ringing"),
            (Kind.ANSWERED, 2, "in-progress"),
            (Kind.END_FINAL, 3, "completed"),
        ):
            with self._over(kind):
                self._call_back(sids, status, number)

    def _scheduled_calls(self) -> None:
        start_at = self._handlers.clock.at + timedelta(hours=3)
        self._handlers.place(start_at=start_at)  # arms the wake
        with self._over(Kind.PLACE_LATER):
            for _ in range(EVENTS):
                self._handlers.place(start_at=start_at)

    def _busy_calls(self) -> None:
        """Let calls be busy, redial them at one wake, and let them be busy again."""
        self._handlers.clock.at += timedelta(minutes=1)
        first, *others = self._ringing(1 + EVENTS)
        with self._over(Kind.END_UNARMED, 1):
            self._call_back([first], "busy", 1)
        with self._over(Kind.END_ARMED):
            self._call_back(others, "busy", 1)
        self._idle_wake()
        self._handlers.clock.at += timedelta(minutes=WAIT_MINUTES)
        self._redialled_calls(1 + EVENTS)

    def _redialled_calls(self, calls: int) -> None:
        with self._over(Kind.REDIAL, calls):
            counts = self._handlers.wake()
        if counts["dialed"] != calls:
            raise RuntimeError(f"the wake of {calls} calls came to {counts}")
        first, *others = self._calls(calls)
        self._end([first])  # arms the wake of the next attempt
        with self._over(Kind.ATTEMPT, len(others)):
            self._end(others)
        wake = self.usage[Kind.WAKE]
        self.usage[Kind.REDIAL] -= wake / calls
        self.usage[Kind.ATTEMPT] += self.usage[Kind.REDIAL] + wake * WAKE_SHARE

    def _idle_wake(self) -> None:
        """Run a wake that finds no due call."""
        at = self._handlers.clock.at
        set_trigger(self._handlers.ports, at)
        with self._over(Kind.WAKE, 1):
            self._handlers.wake()

    def _idle_sweep(self) -> None:
        self._handlers.clock.at += timedelta(minutes=1)
        with self._over(Kind.SWEEP, 1):
            repaired = self._handlers.sweep()
        if repaired:
            raise RuntimeError(f"the sweep was not idle: {repaired}")

    def _ringing(self, calls: int) -> list[str]:
        """Place calls that ring, and return their ids at Twilio."""
        self._place(calls)
        self._call_back(self._calls(calls), "ringing", 0)
        return self._calls(calls)

    def _place(self, calls: int) -> list[str]:
        return [self._handlers.place() for _ in range(calls)]

    def _calls(self, latest: int) -> list[str]:
        """Return the ids at Twilio of the latest calls."""
        return list(self._handlers.twilio.addresses)[-latest:]

    def _call_back(self, sids: list[str], status: str, number: int) -> None:
        for sid in sids:
            self._handlers.callback(sid, status, number)

    def _end(self, sids: list[str]) -> None:
        """Post all callbacks of calls whose line is busy."""
        for number, status in enumerate(self._handlers.busy_statuses):
            self._call_back(sids, status, number)

    @contextmanager
    def _over(self, kind: Kind, events: int = EVENTS) -> Iterator[None]:
        """Record the usage of the block as that of ``events`` events of a kind."""
        random.seed(kind)
        before = self._usage()
        yield
        self.usage[kind] = (self._usage() - before) / events

    def _usage(self) -> Usage:
        printed = Usage(log_bytes=len(self._handlers.printed.getvalue().encode()))
        return self._meter.usage() + printed
