"""What a check found: green, amber or red, and for the last two what to do about it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from ops.doctor.deployment import Deployment


class Level(StrEnum):
    """Amber is worth a look, or could not be checked; red keeps calls from being made as they should be."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. ``advice`` is a command or a setting; empty where nothing is to be done."""

    level: Level
    what: str
    advice: str = ""


Check = Callable[[Deployment], Iterator[Finding]]


def green(what: str) -> Finding:
    return Finding(Level.GREEN, what)


def amber(what: str, advice: str) -> Finding:
    return Finding(Level.AMBER, what, advice)


def red(what: str, advice: str) -> Finding:
    return Finding(Level.RED, what, advice)


def holds(condition: bool, what: str, otherwise: Finding) -> Finding:
    """Green with ``what`` where the condition holds, or else the other finding."""
    return green(what) if condition else otherwise
