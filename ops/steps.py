"""The steps of bringing something to what it should be, each said in one line: done, or already so."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

WIDTH = 12


@dataclass(slots=True)
class Steps:
    """``dry_run`` says what would be done and does nothing. ``changes`` counts what was, or would be, done."""

    say: Callable[[str], None]
    dry_run: bool = False
    changes: int = field(default=0, init=False)

    def ensure(self, what: str, holds: bool, change: Callable[[], Any]) -> None:
        """Leave alone what holds, and change the rest."""
        if holds:
            self.already(what)
        else:
            self._do("changed", "would change", what, change)

    def create(self, what: str, make: Callable[[], Any]) -> None:
        """Make what is not there."""
        self._do("created", "would create", what, make)

    def remove(self, what: str, act: Callable[[], Any]) -> None:
        """Take away what is there."""
        self._do("removed", "would remove", what, act)

    def already(self, what: str) -> None:
        """Say that there is nothing to do about this."""
        self.note("already so", what)

    def note(self, word: str, what: str) -> None:
        """One line in the form of all the others."""
        self.say(f"  {word:<{WIDTH}}  {what}")

    def _do(self, done: str, would: str, what: str, act: Callable[[], Any]) -> None:
        self.changes += 1
        if self.dry_run:
            self.note(would, what)
            return
        act()
        self.note(done, what)
