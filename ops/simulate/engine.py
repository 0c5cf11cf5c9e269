"""Virtual time: one queue of events, a clock that jumps from one to the next, and a trace of all that happens."""

import hashlib
import heapq
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ops.simulate.turns import Turns, Worker


@dataclass(order=True, slots=True)
class Event:
    """Something that will happen: a new ``action``, or one that waits until then and goes on in its ``worker``."""

    at: datetime
    seq: int
    action: Callable[[], None] = field(compare=False)
    worker: Worker | None = field(compare=False, default=None)


@dataclass(frozen=True, slots=True)
class Said:
    """One line of the trace; ``call`` is the call concerned (its index in the traffic), None for all."""

    tick: int
    at: datetime
    call: int | None
    text: str


class Engine:
    """The time, the queue and the trace. ``also`` gives events that are not in the queue (rules, the sweep).

    What waits for something (``linger``) lets everybody else go on meanwhile, each from where it was: handlers meet as
    they do in Lambdas of their own. One runs at a time, and the time says which.
    """

    def __init__(self, start: datetime) -> None:
        self.at = start
        self.skew = timedelta()
        self.tick = 0
        self.trace: list[Said] = []
        self.also: Callable[[], Event | None] = lambda: None
        self._queue: list[Event] = []
        self._seq = 0
        self._turns = Turns()
        self._running = threading.local()

    def now(self) -> datetime:
        """The app's clock, which may be off by some seconds."""
        return self.at + self.skew

    @property
    def label(self) -> str | None:
        """Which handler is running here; None where none is."""
        return getattr(self._running, "label", None)

    @property
    def began(self) -> datetime:
        """When the handler that is running here began."""
        return getattr(self._running, "began", self.at)

    def say(self, call: int | None, text: str) -> int:
        """Add a line to the trace. Returns its tick, which orders everything that happens."""
        self.tick += 1
        self.trace.append(Said(self.tick, self.at, call, text))
        return self.tick

    def after(self, sec: float, action: Callable[[], None]) -> None:
        """Let something happen so many seconds from now."""
        self.at_time(self.at + timedelta(seconds=sec), action)

    def at_time(self, at: datetime, action: Callable[[], None]) -> None:
        """Let something happen at a time; at once where that is past."""
        self._seq += 1
        heapq.heappush(self._queue, Event(max(at, self.at), self._seq, action))

    @property
    def idle(self) -> bool:
        """True where nothing is left in the queue."""
        return not self._queue

    def advance(self, until: datetime) -> None:
        """Let all happen that happens up to a time, and go there."""
        while (event := self._next()) is not None and event.at <= until:
            self.run(event)
        self.at = max(self.at, until)

    def step(self) -> bool:
        """Let the next thing happen; False where there is none."""
        event = self._next()
        if event is None:
            return False
        self.run(event)
        return True

    def run(self, event: Event) -> None:
        """Let an event happen, at its time."""
        if self._queue and event is self._queue[0]:
            heapq.heappop(self._queue)
        self.at = max(self.at, event.at)
        if event.worker is not None:
            self._turns.go_on(event.worker)
        else:
            self._turns.begin(event.action)

    def _next(self) -> Event | None:
        other = self.also()
        queued = self._queue[0] if self._queue else None
        if queued is None or (other is not None and other.at < queued.at):
            return other
        return queued

    @contextmanager
    def running(self, label: str) -> Iterator[None]:
        """A handler runs."""
        self._running.label, self._running.began = label, self.at
        try:
            yield
        finally:
            self._running.label = None

    def linger(self, sec: float) -> None:
        """The running handler waits, and others go on meanwhile."""
        until = self.at + timedelta(seconds=sec)
        worker = self._turns.mine
        if worker is None:
            self.advance(until)
        elif (event := self._next()) is not None and event.at <= until:
            self._seq += 1
            heapq.heappush(self._queue, Event(until, self._seq, worker.rest, worker))
            worker.rest()
        self.at = max(self.at, until)

    def close(self) -> None:
        """End what was needed to run handlers side by side."""
        self._turns.close()

    def sleep(self, seconds: float) -> None:
        """The app's own waiting."""
        self.linger(seconds)

    def digest(self) -> str:
        """A hash of the whole trace: two runs are the same run where theirs are equal."""
        digest = hashlib.sha256()
        for said in self.trace:
            digest.update(f"{said.tick} {said.at.isoformat()} {said.call} {said.text}\n".encode())
        return digest.hexdigest()
