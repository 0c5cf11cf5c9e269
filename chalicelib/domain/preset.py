"""A preset: one row of calling hours, days off, caps and quiet, with its source."""

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
    """A row of the presets. Hours are in the recipient's own time, on the wall clock.

    - ``hours``: (days, opening, end).
    - ``law``: False if the row is only custom or guidance. Also False if neither a text in force nor an article that
      quotes it was found.
    - ``as_of``: the day of the last look-up. If ``law`` is False and ``source`` names a statute, the day on which the
      row was written.
    - ``lacks``: what the row does not cover.
    - ``eves``: the hours on the day before a public holiday, out of those that are open anyway.
    - ``by_number``: returns the names of the rows that hold for an E.164 number instead of this row. The hours of this
      row are the widest hours of those rows.
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
        """Return the window of the row."""
        opening: dict[Weekday, tuple[Interval, ...]] = {}
        for days, start, end in self.hours:
            for day in days:
                opening[day] = (*opening.get(day, ()), interval(start, end))
        eves = (interval(*self.eves),) if self.eves else None
        return Window(timezone, opening, holidays=self.holidays, eves=eves)

    def rules(self, timezone: str = RECIPIENT) -> Rules:
        """Return the rules of the row."""
        return Rules(self.window(timezone), self.caps, self.quiet_after, (self.name,))
