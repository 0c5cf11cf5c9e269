"""A tally of one invariant: it counts the checks and keeps the violations."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """A violation of an invariant: the invariant's name, the call's index, and a text."""

    invariant: str
    call: int
    text: str


class Tally:
    """The checks and violations of one invariant in one run."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.checked = 0
        self.violations: list[Violation] = []

    def expect(self, holds: bool, call: int, text: str) -> None:
        """Count one check, and record a violation if ``holds`` is False."""
        self.checked += 1
        if not holds:
            self.violations.append(Violation(self._name, call, text))
