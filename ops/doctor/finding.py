"""A finding of a check: green, amber or red. Amber and red come with advice."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from ops.doctor.deployment import Deployment


class Level(StrEnum):
    """The level of a finding.

    Amber deserves a look, or could not be checked. Red keeps Redial from making calls as it should.
    """

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    ``what`` is what the check found. ``advice`` is a command or a setting, empty if there is nothing to do.
    """

    level: Level
    what: str
    advice: str = ""


Check = Callable[[Deployment], Iterator[Finding]]


def green(what: str) -> Finding:
    """Return a finding with nothing to do."""
    return Finding(Level.GREEN, what)


def amber(what: str, advice: str) -> Finding:
    """Return a finding that deserves a look, or that could not be checked."""
    return Finding(Level.AMBER, what, advice)


def red(what: str, advice: str) -> Finding:
    """Return a finding that keeps Redial from making calls as it should."""
    return Finding(Level.RED, what, advice)


def holds(condition: bool, what: str, otherwise: Finding) -> Finding:
    """Return ``what`` as a green finding if ``condition`` is true, else ``otherwise``."""
    return green(what) if condition else otherwise
