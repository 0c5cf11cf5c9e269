"""The CPU time of a thread, without the time of moto and of the meter."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from moto.core.botocore_stubber import BotocoreStubber


class CpuTime:
    """The CPU time that this thread spends outside the excluded blocks."""

    def __init__(self) -> None:
        self._excluded_sec = 0.0
        self._depth = 0

    def now_ms(self) -> float:
        """Return the milliseconds until now. Only differences mean something."""
        return (time.thread_time() - self._excluded_sec) * 1000

    @contextmanager
    def excluded(self) -> Iterator[None]:
        """Leave the time of a block out. Blocks may be nested."""
        if self._depth:
            yield
            return
        self._depth, began = 1, time.thread_time()
        try:
            yield
        finally:
            self._depth = 0
            self._excluded_sec += time.thread_time() - began

    @contextmanager
    def without_moto(self) -> Iterator[None]:
        """Leave the time out in which moto answers in AWS's place."""
        answer, cpu = BotocoreStubber.__call__, self

        def excluded(stubber: Any, *arguments: Any, **options: Any) -> Any:
            with cpu.excluded():
                return answer(stubber, *arguments, **options)

        with patch.object(BotocoreStubber, "__call__", excluded):
            yield
