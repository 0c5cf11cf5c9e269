"""Threads that take turns. One runs at a time, so a run is the same every time."""

import threading
from collections.abc import Callable

Job = Callable[[], None]


class Worker:
    """A thread that does one job after another. A job can rest and continue later."""

    def __init__(self, turns: "Turns") -> None:
        self._turns = turns
        self._go = threading.Semaphore(0)
        self._job: Job | None = None
        threading.Thread(target=self._work, daemon=True).start()

    def give(self, job: Job | None) -> None:
        """Give the worker its next job; None ends the thread."""
        self._job = job

    def take_turn(self) -> None:
        """Continue the job. The caller has to wait for the end of the turn."""
        self._go.release()

    def rest(self) -> None:
        """End the turn in the middle of a job. The job continues with the next turn."""
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
            except BaseException as error:  # The thread that gave the turn raises this error.
                self._turns.failed = error
            self._turns.idle.append(self)
            self._turns.over.release()


class Turns:
    """Gives turns to workers.

    ``begin`` does a job until it rests or is done. ``go_on`` continues a job that rests.
    """

    def __init__(self) -> None:
        self.over = threading.Semaphore(0)
        self.local = threading.local()
        self.idle: list[Worker] = []
        self.failed: BaseException | None = None

    @property
    def mine(self) -> Worker | None:
        """The worker whose turn it is; None in the thread that gives the turns."""
        return getattr(self.local, "worker", None)

    def begin(self, job: Job) -> None:
        """Start a job, and wait until it rests or is done. Raises what the job raises."""
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
        """End the idle threads."""
        for worker in self.idle:
            worker.give(None)
            worker.take_turn()
        self.idle.clear()
