"""The clock. Code that needs the time receives a clock, so tests can set the time."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """The time, and a wait. A test passes a clock whose time it controls."""

    def now(self) -> datetime:
        """Return the time as an aware ``datetime`` in UTC."""

    def sleep(self, seconds: float) -> None:
        """Wait for this many seconds, then return."""


class SystemClock:
    """The clock of the operating system."""

    def now(self) -> datetime:
        """Return the time as an aware ``datetime`` in UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Wait for this many seconds, then return."""
        time.sleep(seconds)
