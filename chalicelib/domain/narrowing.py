"""The intersection of windows: open if each one is open, closed on all days off."""

from collections.abc import Iterable, Mapping

from chalicelib.domain.window import WEEK, Interval, Weekday, Window, common_hours, week_hours
from chalicelib.domain.zones import DAY_MINUTES

Week = Mapping[Weekday, tuple[Interval, ...]]
Stretches = tuple[tuple[int, int], ...]


def narrowed(window: Window, other: Window) -> Window:
    """Return the window that is open if both windows are open, less all days off.

    The days off of either window close the day in both, with the hours past midnight that began on it. Raises
    ValueError if the windows have different time zones: one window cannot express that.
    """
    if window.timezone != other.timezone:
        raise ValueError(
            f"windows with the time zones {window.timezone!r} and {other.timezone!r} cannot be combined; give both"
            " the same timezone"
        )
    return Window(
        window.timezone,
        _open_in_both(window.open, other.open),
        {day: (*window.pause.get(day, ()), *other.pause.get(day, ())) for day in {*window.pause, *other.pause}},
        tuple(dict.fromkeys((*window.holidays, *other.holidays))),
        tuple(sorted({*window.closed, *other.closed})),
        _eves_of_both(window.eves, other.eves),
    )


def _open_in_both(one: Week | None, other: Week | None) -> Week | None:
    if one is None or other is None:
        return one or other
    both: dict[Weekday, list[Interval]] = {day: [] for day in WEEK}
    for number, day in enumerate(WEEK):
        (own, late), (others_own, others_late) = week_hours(one, number), week_hours(other, number)
        both[day] += [Interval(start, end) for start, end in common_hours(own, others_own)]
        # Hours that began on the day before, in either window, belong to that day: a day off closes them.
        carried = (*common_hours(late, (*others_own, *others_late)), *common_hours(own, others_late))
        both[WEEK[number - 1]] += [Interval(start + DAY_MINUTES, end + DAY_MINUTES) for start, end in carried]
    return {day: tuple(intervals) for day, intervals in both.items()}


def _eves_of_both(one: tuple[Interval, ...] | None, other: tuple[Interval, ...] | None) -> tuple[Interval, ...] | None:
    if one is None or other is None:
        return other if one is None else one
    return tuple(Interval(start, end) for start, end in common_hours(_minutes(one), _minutes(other)))


def _minutes(intervals: Iterable[Interval]) -> Stretches:
    return tuple((one.start_minute, one.end_minute) for one in intervals)
