"""Threads that take turns: one runs at a time, and says when the next may, so that a run is the same every time."""

import threading
from collections.abc import Callable

Job = Callable[[], None]


class Worker:
    """A thread that does one job after another, and stops in the midst of one where the job says so."""

    def __init__(self, turns: "Turns") -> None:
        self._turns = turns
        self._go = threading.Semaphore(0)
        self._job: Job | None = None
        threading.Thread(target=self._work, daemon=True).start()

    def give(self, job: Job | None) -> None:
        """What to do at the next turn; None to end."""
        self._job = job

    def take_turn(self) -> None:
        """Go on. Whoever calls this has to wait for the turn to be over."""
        self._go.release()

    def rest(self) -> None:
        """Called in the midst of a job: the turn is over, and the job goes on with the next one."""
        self._turns.over.release()
        self._go.acquire()

    def _work(self) -> None:
        self._turns.local.worker = self
        while True:
            self._go.acquire()
            if self._job is None:
                return
            try:
                self._job()
            except BaseException as error:  # told to whoever gave the turn
                self._turns.failed = error
            self._turns.idle.append(self)
            self._turns.over.release()


class Turns:
    """Gives the turns: ``begin`` does a job until it rests or is done, ``go_on`` continues one that rests."""

    def __init__(self) -> None:
        self.over = threading.Semaphore(0)
        self.local = threading.local()
        self.idle: list[Worker] = []
        self.failed: BaseException | None = None

    @property
    def mine(self) -> Worker | None:
        """The worker whose turn it is; None for whoever gives the turns."""
        return getattr(self.local, "worker", None)

    def begin(self, job: Job) -> None:
        """Do a job until it rests or is done. Raises what the job raises."""
        worker = self.idle.pop() if self.idle else Worker(self)
        worker.give(job)
        self.go_on(worker)

    def go_on(self, worker: Worker) -> None:
        """Continue a job until it rests again or is done. Raises what the job raises."""
        worker.take_turn()
        self.over.acquire()
        failed, self.failed = self.failed, None
        if failed is not None:
            raise failed

    def close(self) -> None:
        """End the threads that have nothing to do."""
        for worker in self.idle:
            worker.give(None)
            worker.take_turn()
        self.idle.clear()
