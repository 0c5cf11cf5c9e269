"""What a preset is: one row of calling hours, days off, caps and quiet, with its source."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date

from chalicelib.domain.caps import Cap
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.rules import Rules
from chalicelib.domain.window import RECIPIENT, WEEK, Interval, Weekday, Window, interval

Days = tuple[Weekday, ...]

DAILY = WEEK
MONDAY_TO_FRIDAY = WEEK[:5]
MONDAY_TO_SATURDAY = WEEK[:6]
SATURDAY, SUNDAY = WEEK[5:6], WEEK[6:]
WEEKEND = WEEK[5:]


@dataclass(frozen=True, slots=True)
class Preset:
    """One row: ``hours`` are (days, opening, end) in the recipient's own time, on the wall clock.

    ``law`` is False for what is custom or guidance only, or was not found in a text in force or in an article that
    quotes it. ``as_of`` is the day on which it was last looked up; where ``law`` is False and ``source`` names a
    statute, the day on which the row was written. ``lacks`` says what the row does not cover. ``eves`` are the hours
    on the day before a public holiday, of those that are open anyway. ``by_number`` returns the names of the rows that
    hold for an E.164 number in place of this one, whose own hours are the widest of theirs.
    """

    name: str
    hours: tuple[tuple[Days, str, str], ...]
    law: bool
    source: str
    as_of: date
    lacks: str = ""
    holidays: tuple[str, ...] = ()
    eves: tuple[str, str] | None = None
    caps: tuple[Cap, ...] = ()
    quiet_after: Mapping[Outcome, float] = field(default_factory=dict)
    by_number: Callable[[str], tuple[str, ...]] | None = None

    def window(self, timezone: str = RECIPIENT) -> Window:
        """Return the row as a window."""
        opening: dict[Weekday, tuple[Interval, ...]] = {}
        for days, start, end in self.hours:
            for day in days:
                opening[day] = (*opening.get(day, ()), interval(start, end))
        eves = (interval(*self.eves),) if self.eves else None
        return Window(timezone, opening, holidays=self.holidays, eves=eves)

    def rules(self, timezone: str = RECIPIENT) -> Rules:
        """Return the row as rules."""
        return Rules(self.window(timezone), self.caps, self.quiet_after, (self.name,))
