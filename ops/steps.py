"""The steps of a command that changes resources, each reported on one line.

A step makes a change, or reports that the resource is already as it should be.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

WIDTH = 12


@dataclass(slots=True)
class Steps:
    """The steps of one command, which ``say`` prints.

    With ``dry_run`` the steps change nothing and report what they would change. ``changes`` counts the changes made, or
    those that ``dry_run`` left out.
    """

    say: Callable[[str], None]
    dry_run: bool = False
    changes: int = field(default=0, init=False)

    def ensure(self, what: str, holds: bool, change: Callable[[], Any]) -> None:
        """Report ``what`` as already so if it ``holds``, or else change it."""
        if holds:
            self.already(what)
        else:
            self._do("changed", "would change", what, change)

    def create(self, what: str, make: Callable[[], Any]) -> None:
        """Create a resource that does not exist."""
        self._do("created", "would create", what, make)

    def remove(self, what: str, act: Callable[[], Any]) -> None:
        """Remove a resource that exists."""
        self._do("removed", "would remove", what, act)

    def already(self, what: str) -> None:
        """Report that nothing has to change."""
        self.note("already so", what)

    def note(self, word: str, what: str) -> None:
        """Print one line in the form of all steps: a word, then ``what``."""
        self.say(f"  {word:<{WIDTH}}  {what}")

    def _do(self, done: str, would: str, what: str, act: Callable[[], Any]) -> None:
        self.changes += 1
        if self.dry_run:
            self.note(would, what)
            return
        act()
        self.note(done, what)
