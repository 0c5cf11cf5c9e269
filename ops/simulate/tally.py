"""Counts what an invariant looked at, and keeps what it found wrong."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must not be: of which invariant, of which call (its index), in words."""

    invariant: str
    call: int
    text: str


class Tally:
    """One invariant's count of a run."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.checked = 0
        self.violations: list[Violation] = []

    def expect(self, holds: bool, call: int, text: str) -> None:
        """Look at one thing, which is right where ``holds``."""
        self.checked += 1
        if not holds:
            self.violations.append(Violation(self._name, call, text))
