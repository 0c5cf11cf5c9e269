"""The engine compared with a reference: random policies, and planted mistakes."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any

import pytest

from chalicelib.domain import caps, decide, expiry, narrowing, rules, strategies, window
from chalicelib.domain.caps import Cap
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.policy import Exponential, Fixed, Intervals, OutcomeRule, Policy, Scheduled, Strategy, TimeOfDay
from chalicelib.domain.preview import preview
from chalicelib.domain.public_holidays import is_holiday
from chalicelib.domain.rules import Rules
from chalicelib.domain.window import RECIPIENT, WEEK, Interval, Window
from tests.reference.simulator import DAYS, Plan, Reference

POLICIES = 3_000
#: the policies are split into parts, so that two cores need half the time
PARTS = 4
#: clock changes in Europe, America, Lord Howe and Nuuk; Easter, Christmas; and a plain week
BASES = [datetime(2026, *day, tzinfo=UTC) for day in ((3, 22), (4, 1), (10, 19), (12, 20))]
ZONES = [
    "America/New_York",
    "America/Los_Angeles",
    "Europe/Paris",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/Nuuk",
]
CALENDARS: tuple[tuple[str, ...], ...] = ((), (), ("FR",), ("US",), ("AU", "FR"))
OUTCOMES = ("busy", "no-answer", "failed")
#: the length of the time in which calls start, so that the last retry lies within the reference's days
STARTS = 3 * 1440
Case = tuple[Plan, tuple[str, ...], tuple[str, ...], datetime, int, list[str]]


def hours(rng: random.Random, share: float) -> dict[int, tuple[tuple[int, int], ...]]:
    week = {}
    for day in range(7):
        if rng.random() < share:
            start = rng.randrange(0, 1440, 15)
            week[day] = ((start, start + rng.randrange(60, 1200, 15)),)
    return week


def case(rng: random.Random) -> Case:
    base = rng.choice(BASES)
    holidays = rng.choice(CALENDARS)
    days = [date.fromordinal(base.toordinal() + n) for n in range(-2, DAYS + 3)]
    opening = hours(rng, 0.8)
    plan = Plan(
        strategy=rng.choice(("fixed", "intervals", "exponential", "time_of_day", "scheduled")),
        waits=tuple(rng.choice((0, 1, 7, 30, 60, 240, 1500)) for _ in range(rng.randint(1, 3))),
        factor=rng.choice((1, 2, 3)),
        max_minutes=rng.choice((240, 1440)),
        times=tuple(sorted({rng.choice((0, 150, 540, 600, 840, 1020, 1410)) for _ in range(rng.randint(1, 3))})),
        gap=rng.choice((0, 1, 60, 300)),
        dates=tuple(sorted({rng.randrange(5 * 1440) for _ in range(4)})),
        vary=rng.random() < 0.3,
        max_retries=rng.randint(1, 5),
        rules={
            word: (rng.choice((None, None, 0, 20)), rng.choice((None, None, 1)))
            for word in OUTCOMES
            if rng.random() < 0.9
        },
        window=bool(opening) and rng.random() < 0.8,
        own_zone=rng.choice((None, None, None, "Europe/Paris")),
        open=opening,
        pause=hours(rng, 0.2) if rng.random() < 0.3 else {},
        also_open=tuple(hours(rng, 0.9) for _ in range(rng.choice((0, 0, 0, 1, 2)))),
        holidays=frozenset(day.toordinal() for day in days if any(is_holiday(code, day) for code in holidays)),
        closed=frozenset(day.toordinal() for day in days if rng.random() < 0.05),
        eves=rng.choice((None, None, (600, 1140))),
        quiet=rng.choice(({}, {}, {}, {"busy": 90}, {"busy": 1500, "failed": 7})),
        caps=tuple(
            rng.choice(((1, 3), (2, 24), (3, 48), (1, None), (2, None))) for _ in range(rng.choice((0, 0, 1, 2)))
        ),
        expires=rng.choice((2, 24, 72, 100)) * 60,
    )
    zones = tuple(rng.sample(ZONES, rng.choice((1, 1, 2))))
    outcomes = [rng.choice(OUTCOMES) for _ in range(5)]
    return plan, holidays, zones, base, 1440 + rng.randrange(STARTS), outcomes


def strategy_of(plan: Plan, base: datetime) -> Strategy:
    match plan.strategy:
        case "fixed":
            return Fixed(plan.waits[0], plan.vary)
        case "intervals":
            return Intervals(plan.waits, plan.vary)
        case "exponential":
            return Exponential(plan.waits[0], plan.factor, plan.max_minutes, plan.vary)
        case "scheduled":
            return Scheduled(tuple(base + timedelta(minutes=at) for at in plan.dates))
    return TimeOfDay(plan.times, plan.gap)


def week(of: dict[int, tuple[tuple[int, int], ...]]) -> dict[Any, tuple[Interval, ...]]:
    return {WEEK[day]: tuple(Interval(*each) for each in intervals) for day, intervals in of.items()}


def rules_of(plan: Plan, holidays: tuple[str, ...]) -> Rules:
    """Return the plan's rules, with windows that narrow each other.

    A user's own window, the presets and the days off do that too.
    """
    rules = Rules(
        caps=tuple(Cap(most, span) if span else Cap(most, per="day") for most, span in plan.caps),
        quiet_after={Outcome(word): minutes / 60 for word, minutes in plan.quiet.items()},
    )
    if not plan.window:
        return rules
    zone, eves = plan.own_zone or RECIPIENT, (Interval(*plan.eves),) if plan.eves else None
    closed = tuple(date.fromordinal(day) for day in sorted(plan.closed))
    for each in (
        Window(zone, week(plan.open), week(plan.pause), eves=eves),
        Window(zone, holidays=holidays, closed=closed),
        *(Window(zone, week(also)) for also in plan.also_open),
    ):
        rules = rules.narrowed_by(Rules(each))
    return rules


def policy_of(plan: Plan, holidays: tuple[str, ...], base: datetime) -> Policy:
    policy = Policy(
        max_retries=plan.max_retries,
        strategy=strategy_of(plan, base),
        on={Outcome(word): OutcomeRule(True, wait, most) for word, (wait, most) in plan.rules.items()},
        expires_after_hours=plan.expires / 60,
    )
    return policy.with_rules(rules_of(plan, holidays))


narrowed_right = narrowing.narrowed


def narrowed(plan: Plan) -> Plan:
    """Return the plan with its first wait only, if the strategy has one wait."""
    return replace(plan, waits=plan.waits[:1]) if plan.strategy == "fixed" else plan


def compared(cases: Iterator[Case]) -> Iterator[tuple[Case, Sequence[int], Sequence[int]]]:
    """Yield each case with the minutes of the reference and of the product.

    Cases that need more than the reference's days are left out.
    """
    for plan, holidays, zones, base, start, outcomes in cases:
        plan = narrowed(plan)
        try:
            wanted = Reference(plan, zones, base).attempts(start, outcomes)
        except IndexError:
            continue  # beyond the reference's days, or a window that is never open in all of the zones
        made = policy_of(plan, holidays, base)
        shown = preview(made, zones, base + timedelta(minutes=start), [Outcome(word) for word in outcomes])
        got = [(attempt.at - base) // timedelta(minutes=1) for attempt in shown.attempts]
        yield (plan, holidays, zones, base, start, outcomes), wanted, got


def cases(seed: int) -> Iterator[Case]:
    rng = random.Random(seed)
    while True:
        yield case(rng)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(PARTS))
def test_no_policy_differs_from_the_reference(seed: int) -> None:
    attempts = 0
    for each, wanted, got in islice(compared(cases(seed)), POLICIES // PARTS):
        assert got == wanted, each
        attempts += len(wanted)
    assert attempts > POLICIES // PARTS * 2


def _first_zone_only(mp: pytest.MonkeyPatch) -> None:
    right = window.next_opening
    mp.setattr(decide, "next_opening", lambda w, at, zones, **k: right(w, at, zones[:1], **k))


def _pauses_ignored(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(window, "_less", lambda openings, pauses: tuple(sorted((a, b) for a, b, _ in openings)))


def _holidays_ignored(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(window, "_hours", lambda w, day: w._week[day.weekday()].hours)


def _closed_days_ignored(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(window, "_day_off", window._holiday_of)


def _eves_ignored(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(window, "_is_eve", lambda w, day: False)


def _last_window_wins(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(rules, "narrowed", lambda one, other: replace(narrowed_right(one, other), open=other.open or one.open))


def _carried_hours_are_own(mp: pytest.MonkeyPatch) -> None:
    right = narrowing.week_hours
    mp.setattr(narrowing, "week_hours", lambda week, day: ((*right(week, day)[0], *right(week, day)[1]), ()))


def _quiet_ignored(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(decide, "_quiet_until", lambda policy, situation: None)


def _caps_count_too_long(mp: pytest.MonkeyPatch) -> None:
    right = caps.check
    longer = timedelta(minutes=1)
    mp.setattr(decide, "check", lambda cap, at, made, zones: right(cap, at, [m + longer for m in made], zones))


def _days_of_the_first_zone(mp: pytest.MonkeyPatch) -> None:
    right = caps.check
    mp.setattr(decide, "check", lambda cap, at, made, zones: right(cap, at, made, zones[:1]))


def _expiry_not_moved(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(expiry, "next_opening", lambda *a, **k: None)


def _times_of_every_zone(mp: pytest.MonkeyPatch) -> None:
    right = strategies.next_shared_time
    mp.setattr(strategies, "next_shared_time", lambda at, t, zones: min(right(at, t, (z,)) for z in zones))


def _waits_repeat_at_once(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(strategies, "_next_minute", lambda last: last.started_at)


def _vary_ignored(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(strategies, "varies", lambda strategy: False)


def _clocks_do_not_change(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(window, "offset_change", lambda place, after, until: None)


MISTAKES = [
    _closed_days_ignored,
    _eves_ignored,
    _last_window_wins,
    _carried_hours_are_own,
    _quiet_ignored,
    _first_zone_only,
    _pauses_ignored,
    _holidays_ignored,
    _caps_count_too_long,
    _days_of_the_first_zone,
    _expiry_not_moved,
    _times_of_every_zone,
    _waits_repeat_at_once,
    _vary_ignored,
    _clocks_do_not_change,
]


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__.strip("_"))
def test_the_reference_finds_a_planted_mistake(mistake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mistake(monkeypatch)
    for count, (_, wanted, got) in enumerate(compared(cases(1)), 1):
        if got != wanted:
            return
        assert count < POLICIES, "no policy shows the mistake"
