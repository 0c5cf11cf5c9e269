"""Virtual time: a queue of events, a clock that jumps ahead, and a trace."""

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
    """A future event: it starts a new ``action``, or it continues a ``worker``."""

    at: datetime
    seq: int
    action: Callable[[], None] = field(compare=False)
    worker: Worker | None = field(compare=False, default=None)


@dataclass(frozen=True, slots=True)
class Said:
    """One line of the trace.

    ``call`` is the index of the call in the traffic; None for a line about all calls.
    """

    tick: int
    at: datetime
    call: int | None
    text: str


class Engine:
    """The time, the queue of events and the trace.

    ``also`` gives events that are not in the queue: rules and the sweep. A handler that waits (``linger``) lets the
    other handlers continue, so handlers overlap as Lambdas do. One handler runs at a time, and the virtual time decides
    which.
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
        """Return the time of the app's clock, which may be wrong by some seconds."""
        return self.at + self.skew

    @property
    def label(self) -> str | None:
        """The label of the handler that runs in this thread; None if no handler runs."""
        return getattr(self._running, "label", None)

    @property
    def began(self) -> datetime:
        """The time at which the handler in this thread began."""
        return getattr(self._running, "began", self.at)

    def say(self, call: int | None, text: str) -> int:
        """Add a line to the trace. Return its tick, which orders all events of the run."""
        self.tick += 1
        self.trace.append(Said(self.tick, self.at, call, text))
        return self.tick

    def after(self, sec: float, action: Callable[[], None]) -> None:
        """Schedule an action for ``sec`` seconds from now."""
        self.at_time(self.at + timedelta(seconds=sec), action)

    def at_time(self, at: datetime, action: Callable[[], None]) -> None:
        """Schedule an action for a time, or for now if that time is past."""
        self._seq += 1
        heapq.heappush(self._queue, Event(max(at, self.at), self._seq, action))

    @property
    def idle(self) -> bool:
        """The queue is empty."""
        return not self._queue

    def advance(self, until: datetime) -> None:
        """Run all events up to a time, and set the clock to that time."""
        while (event := self._next()) is not None and event.at <= until:
            self.run(event)
        self.at = max(self.at, until)

    def step(self) -> bool:
        """Run the next event. Return False if there is no event."""
        event = self._next()
        if event is None:
            return False
        self.run(event)
        return True

    def run(self, event: Event) -> None:
        """Run an event at its time."""
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
        """Mark a handler as running in this thread."""
        self._running.label, self._running.began = label, self.at
        try:
            yield
        finally:
            self._running.label = None

    def linger(self, sec: float) -> None:
        """Let the running handler wait while others continue."""
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
        """End the threads that ran the handlers."""
        self._turns.close()

    def sleep(self, seconds: float) -> None:
        """Wait on behalf of the app, which uses this object as its clock."""
        self.linger(seconds)

    def digest(self) -> str:
        """Return a hash of the trace. Two runs are the same if their hashes are equal."""
        digest = hashlib.sha256()
        for said in self.trace:
            digest.update(f"{said.tick} {said.at.isoformat()} {said.call} {said.text}\n".encode())
        return digest.hexdigest()
