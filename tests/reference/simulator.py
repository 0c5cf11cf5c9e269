"""A policy played minute by minute, written only from docs/policies.md.

No product code decides anything here. The simulation is slow and simple on purpose. Time is a count of minutes since
the beginning of a stretch of days, and each question ("is the window open now?", "how many attempts count now?") is
answered again in every minute.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache

from chalicelib.domain.zones import zone  # only for local time: the zones come from the pinned package

DAYS = 16
MINUTES = DAYS * 1440
QUARTER = 15


@dataclass(frozen=True)
class Plan:
    """A policy in the words of the docs.

    Minutes are minutes of the day, and weekdays are 0 (Monday) to 6.
    """

    strategy: str = "fixed"
    waits: tuple[int, ...] = (30,)
    factor: int = 2
    max_minutes: int = 1440
    times: tuple[int, ...] = ()
    gap: int = 60
    dates: tuple[int, ...] = ()
    vary: bool = False
    max_retries: int = 3
    rules: dict[str, tuple[int | None, int | None]] = field(default_factory=dict)  # outcome -> own wait, own maximum
    window: bool = False
    own_zone: str | None = None
    open: dict[int, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    pause: dict[int, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    also_open: tuple[dict[int, tuple[tuple[int, int], ...]], ...] = ()  # more weeks, as presets add them
    holidays: frozenset[int] = frozenset()  # ordinals of dates
    closed: frozenset[int] = frozenset()  # ordinals of dates
    eves: tuple[int, int] | None = None  # the only hours on the day before a holiday
    quiet: dict[str, int] = field(default_factory=dict)  # outcome -> minutes
    caps: tuple[tuple[int, int | None], ...] = ()  # attempts, hours; None hours: per local day
    expires: int = 72 * 60


Wall = tuple[int, int]  # the ordinal of a date, and a minute of that day


@cache
def walls(name: str, base: datetime) -> list[Wall]:
    """Return what a clock in a zone shows in each minute."""
    place = zone(name)
    shown = []
    for minute in range(MINUTES):
        local = (base + timedelta(minutes=minute)).astimezone(place)
        shown.append((local.toordinal(), local.hour * 60 + local.minute))
    return shown


@cache
def first_shown(name: str, base: datetime) -> dict[Wall, int]:
    """Return the minute in which each wall time comes for the first time.

    A skipped wall time comes at the end of the gap.
    """
    found: dict[Wall, int] = {}
    before: Wall | None = None
    for minute, (day, at) in enumerate(walls(name, base)):
        if before is not None and (day, at) > before:
            skipped_day, skipped = before
            while (skipped_day, skipped) != (day, at):
                skipped += 1
                if skipped == 1440:
                    skipped_day, skipped = skipped_day + 1, 0
                found.setdefault((skipped_day, skipped), minute)
        found.setdefault((day, at), minute)
        before = max(before, (day, at)) if before else (day, at)
    return found


class Reference:
    """One policy for one number, in a stretch of days."""

    def __init__(self, plan: Plan, zones: tuple[str, ...], base: datetime) -> None:
        self.plan, self.base = plan, base
        # One check for each quarter of an hour is enough: hours begin and end at quarters, and offsets are quarters.
        self._open_in: dict[int, bool] = {}
        weeks = (plan.open, plan.pause, *plan.also_open, {0: (plan.eves or (0, 0),)})
        assert all(at % QUARTER == 0 for week in weeks for hours in week.values() for pair in hours for at in pair)
        self.read = (plan.own_zone,) if plan.window and plan.own_zone else zones
        self.clocks = [walls(name, base) for name in self.read]
        self.days = [walls(name, base) for name in zones]

    def is_open(self, now: int) -> bool:
        if not self.plan.window:
            return True
        quarter = now // QUARTER
        if quarter not in self._open_in:
            self._open_in[quarter] = all(self._is_open_at(*clock[now]) for clock in self.clocks)
        return self._open_in[quarter]

    def _is_open_at(self, day: int, minute: int) -> bool:
        plan, today = self.plan, (day - 1) % 7  # the ordinal 1 was a Monday
        yesterday = (today - 1) % 7
        if self._is_off(day):
            return False
        if plan.eves and day + 1 in plan.holidays and not plan.eves[0] <= minute < plan.eves[1]:
            return False
        if any(a <= minute < b for a, b in plan.pause.get(today, ())):
            return False
        if any(a <= minute + 1440 < b for a, b in plan.pause.get(yesterday, ())):
            return False
        for week in (plan.open, *plan.also_open):
            carried = any(a <= minute + 1440 < b for a, b in week.get(yesterday, ())) and not self._is_off(day - 1)
            if week and not carried and not any(a <= minute < b for a, b in week.get(today, ())):
                return False
        return True

    def _is_off(self, day: int) -> bool:
        return day in self.plan.holidays or day in self.plan.closed

    def is_under_caps(self, now: int, made: list[int]) -> bool:
        for most, hours in self.plan.caps:
            if hours is not None:
                if sum(1 for at in made if at > now - hours * 60) >= most:
                    return False
            elif any(sum(1 for at in made if clock[at][0] == clock[now][0]) >= most for clock in self.days):
                return False
        return True

    def ends(self, start: int) -> int:
        """Return the expiry.

        If it falls into closed hours, it is at the end of the next open hours.
        """
        end = start + self.plan.expires
        if self.is_open(end):
            return end
        opens = end
        while not self.is_open(opens):
            opens += 1
        closes = opens
        while self.is_open(closes) and closes < opens + 1440:
            closes += 1
        return closes

    def proposal(self, tried: list[tuple[str, int]]) -> int | None:
        plan = self.plan
        outcome, last = tried[-1]
        own_wait = plan.rules[outcome][0]
        if own_wait is not None:
            return max(last + own_wait, last + 1)
        retry = len(tried) - 1
        match plan.strategy:
            case "scheduled":
                return next((date for date in plan.dates if date > last), None)
            case "time_of_day":
                return self._next_time(last + max(plan.gap, 1))
            case "exponential":
                wait = min(plan.waits[0] * plan.factor**retry, plan.max_minutes)
            case _:
                wait = plan.waits[min(retry, len(plan.waits) - 1)]
        at = last + max(wait, 1)
        return self._varied(at, last) if plan.vary else at

    def _next_time(self, now: int) -> int:
        first = [first_shown(name, self.base) for name in self.read]
        while True:
            for clock in self.clocks:
                day, _ = clock[now]
                for time in self.plan.times:
                    for of_day in (day - 1, day):
                        shown = [found[of_day, time] for found in first if (of_day, time) in found]
                        if shown and min(shown) == now:
                            return now
            now += 1

    def _varied(self, at: int, last: int) -> int:
        clock, first = self.clocks[0], first_shown(self.read[0], self.base)
        morning = clock[last][1] < 720
        if (clock[at][1] < 720) != morning:
            return at
        wanted = 720 if morning else 540
        while first.get((clock[at][0], wanted)) != at:
            at += 1
        return at

    def attempts(self, start: int, outcomes: list[str]) -> list[int]:
        """Return the minutes of the attempts: one for each outcome, and one more."""
        plan, ends = self.plan, self.ends(start)
        tried: list[tuple[str, int]] = []
        at: int | None = start
        made: list[int] = []
        quiet_until = start
        while at is not None:
            at = max(at, quiet_until)
            while at <= ends and not (self.is_open(at) and self.is_under_caps(at, made)):
                at += 1
            if at > ends:
                break
            made.append(at)
            if len(made) > len(outcomes):
                break
            outcome = outcomes[len(made) - 1]
            of_this = sum(1 for earlier, _ in tried if earlier == outcome)
            tried.append((outcome, at))
            quiet_until = max(quiet_until, at + plan.quiet.get(outcome, 0))
            if outcome not in plan.rules or len(tried) > plan.max_retries:
                break
            most = plan.rules[outcome][1]
            if most is not None and of_this >= most:
                break
            at = self.proposal(tried)
        return made
