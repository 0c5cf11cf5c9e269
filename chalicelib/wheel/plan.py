"""Which wake serves which minute: the arithmetic of the timing wheel, without any I/O.

A dial in the next hour has a wake in its own minute. One within 48 hours has the wake of its hour, which arms the
minutes below it when it fires; a later one the wake of its UTC day, which arms the hours. The three share one row of
names, so that the wake of 10:00 is at once a minute's and an hour's.

A wake takes a while to become effective (``lead``), so an hour's wake arms the minutes from ``lead`` after it to
``lead`` after the next: the first minutes of an hour belong to the hour before. The same holds for a day.
"""

from datetime import UTC, datetime, timedelta

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)

#: A dial within this time has its own minute's wake; one within HOURS_AHEAD the wake of its hour.
MINUTES_AHEAD = HOUR
HOURS_AHEAD = 48 * HOUR


def ceil_minute(at: datetime) -> datetime:
    """The first full minute that is not before ``at``."""
    floor = at.replace(second=0, microsecond=0)
    return floor if floor == at else floor + MINUTE


def first_minute(due_at: datetime, now: datetime, lead: timedelta) -> datetime:
    """The minute that a call due at ``due_at`` can be dialled in: not before it is due, and no sooner than ``lead``."""
    return ceil_minute(max(due_at, now + lead))


def hour_wake(minute: datetime, lead: timedelta) -> datetime:
    """The hour's wake that arms this minute."""
    return (minute - ceil_lead(lead)).replace(minute=0)


def day_wake(minute: datetime, lead: timedelta) -> datetime:
    """The day's wake that arms the hour's wake of this minute."""
    return (hour_wake(minute, lead) - ceil_lead(lead)).replace(hour=0, minute=0)


def ceil_lead(lead: timedelta) -> timedelta:
    """The lead in whole minutes."""
    return -(-lead // MINUTE) * MINUTE


def wake_for(minute: datetime, now: datetime, lead: timedelta) -> datetime:
    """The wake to arm now for a dial in that minute: the coarsest that still has time to arm what is below it."""
    hour, day = hour_wake(minute, lead), day_wake(minute, lead)
    if minute - now <= MINUTES_AHEAD or hour < now + lead:
        return minute
    if minute - now <= HOURS_AHEAD or day < now + lead:
        return hour
    return day


def minutes_below(wake: datetime, lead: timedelta) -> tuple[datetime, datetime] | None:
    """The first and last minute that this wake arms as an hour's wake; None where it is no full hour."""
    if wake.minute:
        return None
    first = wake + ceil_lead(lead)
    return first, first + HOUR - MINUTE


def hours_below(wake: datetime, lead: timedelta) -> tuple[datetime, datetime] | None:
    """The first and last hour's wake that this wake arms as a day's wake; None where it is no start of a day."""
    if wake.minute or wake.hour:
        return None
    lead = ceil_lead(lead)
    first = wake + -(-lead // HOUR) * HOUR
    return first, first + 23 * HOUR


def minutes_of_hours(first: datetime, last: datetime, lead: timedelta) -> tuple[datetime, datetime]:
    """The first and last minute that the hours' wakes from ``first`` to ``last`` arm."""
    return first + ceil_lead(lead), last + ceil_lead(lead) + HOUR - MINUTE


def stamp(wake: datetime) -> str:
    """A wake as in its rule's name: ``yyyymmddhhmm``, UTC."""
    return f"{wake.astimezone(UTC):%Y%m%d%H%M}"


def from_stamp(text: str) -> datetime:
    """The wake of a stamp. Raises ValueError."""
    return datetime.strptime(text, "%Y%m%d%H%M").replace(tzinfo=UTC)


def wake_text(wake: datetime) -> str:
    """A wake as the redial Lambda gets it: ``2026-01-26T10:30Z``."""
    return f"{wake.astimezone(UTC):%Y-%m-%dT%H:%MZ}"


def from_wake_text(text: str) -> datetime:
    """Reads what wake_text wrote. Raises ValueError."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC)


def cron(wake: datetime) -> str:
    """EventBridge's six-field cron for one minute of one day, UTC; one of the two day fields must be ``?``."""
    at = wake.astimezone(UTC)
    return f"cron({at.minute} {at.hour} {at.day} {at.month} ? {at.year})"
