"""The arithmetic of the timing wheel: which wake serves which minute.

This module does no I/O.

A wake is a time at which a trigger invokes the redial Lambda. There are three kinds of wakes:

- A dial in the next hour has a minute wake, in the minute of the dial.
- A dial within 48 hours has an hour wake. When the hour wake fires, it arms the minute wakes below it.
- A later dial has the day wake of its UTC day. When the day wake fires, it arms the hour wakes below it.

All wakes share one set of names. So the wake of 10:00 is a minute wake and an hour wake at the same time.

A trigger takes effect some time after Redial has set it: ``lead``. So an hour wake arms the minutes from its own time
plus ``lead`` to the next hour plus ``lead``. The first minutes of an hour belong to the hour before. The same is true
for a day.
"""

from datetime import UTC, datetime, timedelta

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)

#: A dial within this time has a minute wake.
MINUTES_AHEAD = HOUR
#: A later dial within this time has an hour wake. A dial after this time has a day wake.
HOURS_AHEAD = 48 * HOUR


def ceil_minute(at: datetime) -> datetime:
    """Return ``at`` rounded up to a full minute."""
    floor = at.replace(second=0, microsecond=0)
    return floor if floor == at else floor + MINUTE


def first_minute(due_at: datetime, now: datetime, lead: timedelta) -> datetime:
    """Return the first minute not before ``due_at`` and at least ``lead`` after now."""
    return ceil_minute(max(due_at, now + lead))


def hour_wake(minute: datetime, lead: timedelta) -> datetime:
    """Return the hour wake that arms this minute."""
    return (minute - ceil_lead(lead)).replace(minute=0)


def day_wake(minute: datetime, lead: timedelta) -> datetime:
    """Return the day wake that arms the hour wake of this minute."""
    return (hour_wake(minute, lead) - ceil_lead(lead)).replace(hour=0, minute=0)


def ceil_lead(lead: timedelta) -> timedelta:
    """Return the lead rounded up to whole minutes."""
    return -(-lead // MINUTE) * MINUTE


def wake_for(minute: datetime, now: datetime, lead: timedelta) -> datetime:
    """Return the wake to arm now for a dial in that minute.

    It is the coarsest wake that still has time to arm the wakes below it.
    """
    hour, day = hour_wake(minute, lead), day_wake(minute, lead)
    if minute - now <= MINUTES_AHEAD or hour < now + lead:
        return minute
    if minute - now <= HOURS_AHEAD or day < now + lead:
        return hour
    return day


def minutes_below(wake: datetime, lead: timedelta) -> tuple[datetime, datetime] | None:
    """Return the first and last minute that this wake arms as an hour wake.

    Returns None if the wake is not at a full hour.
    """
    if wake.minute:
        return None
    first = wake + ceil_lead(lead)
    return first, first + HOUR - MINUTE


def hours_below(wake: datetime, lead: timedelta) -> tuple[datetime, datetime] | None:
    """Return the first and last hour wake that this wake arms as a day wake.

    Returns None if the wake is not the start of a UTC day.
    """
    if wake.minute or wake.hour:
        return None
    lead = ceil_lead(lead)
    first = wake + -(-lead // HOUR) * HOUR
    return first, first + 23 * HOUR


def minutes_of_hours(first: datetime, last: datetime, lead: timedelta) -> tuple[datetime, datetime]:
    """Return the first and last minute that these hour wakes arm.

    ``first`` and ``last`` are the first and the last hour wake.
    """
    return first + ceil_lead(lead), last + ceil_lead(lead) + HOUR - MINUTE


def stamp(wake: datetime) -> str:
    """Return the stamp of a wake: ``yyyymmddhhmm``, UTC.

    The name of the trigger ends with the stamp.
    """
    return f"{wake.astimezone(UTC):%Y%m%d%H%M}"


def from_stamp(text: str) -> datetime:
    """Return the wake of a stamp. Raises ValueError if the text is not a stamp."""
    return datetime.strptime(text, "%Y%m%d%H%M").replace(tzinfo=UTC)


def wake_text(wake: datetime) -> str:
    """Return the text of a wake for the redial Lambda: ``2026-01-26T10:30Z``."""
    return f"{wake.astimezone(UTC):%Y-%m-%dT%H:%MZ}"


def from_wake_text(text: str) -> datetime:
    """Return the wake of a wake_text(). Raises ValueError for another text."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC)


def cron(wake: datetime) -> str:
    """Return EventBridge's cron expression for one minute of one day, in UTC.

    The expression has six fields. EventBridge requires ``?`` in one of the two day fields.
    """
    at = wake.astimezone(UTC)
    return f"cron({at.minute} {at.hour} {at.day} {at.month} ? {at.year})"
