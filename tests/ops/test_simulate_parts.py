"""The parts of the simulator: chance, virtual time, faults, hours and shrinking."""

from datetime import UTC, datetime, timedelta

import pytest

from ops.simulate.chance import Chance
from ops.simulate.engine import Engine
from ops.simulate.faults import Faults, Level
from ops.simulate.hours import counted_at_least, is_open
from ops.simulate.report import _spread, percentile
from ops.simulate.retry_rules import own_wait_minutes, rule
from ops.simulate.shrink import least

START = datetime(2026, 1, 26, 10, 0, tzinfo=UTC)  # a Monday
MINUTE = timedelta(minutes=1)
NIGHTS = {"timezone": "recipient", "open": {"monday": [["22:00", "06:00"]]}}
DAYS = {"timezone": "UTC", "open": {"monday": [["09:00", "21:00"]]}, "pause": {"monday": [["12:00", "13:30"]]}}


def test_a_draw_depends_on_the_seed_and_its_name_alone() -> None:
    first, second = Chance(1), Chance(1)
    first.unit("something", "else")
    assert first.unit("fate", 7) == second.unit("fate", 7)
    assert len({Chance(seed).unit("fate", 7) for seed in range(50)}) == 50


def test_events_happen_by_time_and_then_by_order_of_creation() -> None:
    engine, happened = Engine(START), []
    engine.after(2, lambda: happened.append("late"))
    engine.after(1, lambda: happened.append("soon"))
    engine.after(1, lambda: happened.append("soon too"))
    engine.advance(START + timedelta(seconds=5))
    assert (happened, engine.at) == (["soon", "soon too", "late"], START + timedelta(seconds=5))


def test_handlers_go_on_side_by_side_while_they_wait() -> None:
    engine, happened = Engine(START), []

    def handler(name: str, sec: float) -> None:
        with engine.running(name):
            for _ in range(2):
                engine.linger(sec)
                happened.append((engine.label, (engine.at - START).total_seconds()))

    engine.after(0, lambda: handler("slow", 3))
    engine.after(1, lambda: handler("quick", 2.5))
    engine.advance(START + timedelta(seconds=10))
    assert happened == [("slow", 3), ("quick", 3.5), ("slow", 6), ("quick", 6)]
    engine.close()


def test_an_error_in_a_handler_reaches_the_code_that_runs_events() -> None:
    engine = Engine(START)

    def broken() -> None:
        raise LookupError("broken")

    engine.after(1, broken)
    with pytest.raises(LookupError, match="broken"):
        engine.advance(START + timedelta(seconds=5))


def test_the_digest_is_that_of_the_whole_trace() -> None:
    engines = [Engine(START), Engine(START)]
    for engine in engines:
        engine.say(1, "one")
    assert engines[0].digest() == engines[1].digest()
    engines[1].say(None, "two")
    assert engines[0].digest() != engines[1].digest()


def occasions(faults: Faults, count: int = 3000) -> int:
    return sum(faults.hits("callback-dropped", START, number) for number in range(count))


def test_faults_come_as_often_as_their_level_says() -> None:
    until = START + timedelta(hours=1)
    counts = {level: occasions(Faults(Chance(1), level, until)) for level in Level}
    assert counts[Level.NONE] == 0
    assert 110 <= counts[Level.HEAVY] <= 190
    assert 10 <= counts[Level.LIGHT] <= 45


def test_faults_stop_and_can_be_muted_by_kind_or_one_by_one() -> None:
    until = START + timedelta(hours=1)
    everything = Faults(Chance(1), Level.HEAVY, until)
    occasions(everything)
    some = everything.injected[0].id
    assert occasions(Faults(Chance(1), Level.HEAVY, START)) == 0
    assert occasions(Faults(Chance(1), Level.HEAVY, until, ["callback-dropped"])) == 0
    assert occasions(Faults(Chance(1), Level.HEAVY, until, [some])) == len(everything.injected) - 1


def test_a_lasting_fault_is_in_force_for_the_spans_that_it_names() -> None:
    until = START + timedelta(hours=40)
    faults = Faults(Chance(3), Level.HEAVY, until)
    minutes = [START + number * MINUTE for number in range(40 * 60)]
    down = [at for at in minutes if faults.lasts("outage", at)]
    spans = faults.spans("outage")
    assert down == [at for at in minutes if any(begins <= at < ends for begins, ends in spans)]
    assert down


@pytest.mark.parametrize(
    ("window", "zone", "local", "is_right"),
    [
        (DAYS, "UTC", "2026-01-26T08:59", False),
        (DAYS, "UTC", "2026-01-26T09:00", True),
        (DAYS, "UTC", "2026-01-26T12:00", False),
        (DAYS, "UTC", "2026-01-26T13:30", True),
        (DAYS, "UTC", "2026-01-26T21:00", False),
        (DAYS, "Asia/Kolkata", "2026-01-26T09:00", True),
        (NIGHTS, "UTC", "2026-01-26T21:59", False),
        (NIGHTS, "UTC", "2026-01-27T05:59", True),
        (NIGHTS, "UTC", "2026-01-27T06:00", False),
        (NIGHTS, "UTC", "2026-01-26T05:59", False),
        (NIGHTS, "Asia/Kolkata", "2026-01-26T16:30", True),
        (NIGHTS, "Asia/Kolkata", "2026-01-26T22:00", True),
        (NIGHTS, "Asia/Kolkata", "2026-01-27T00:30", False),
        ({"timezone": "UTC"}, "UTC", "2026-01-31T03:00", True),
    ],
)
def test_a_window_is_open_if_an_opening_and_no_pause_covers_the_time(
    window: dict[str, object], zone: str, local: str, is_right: bool
) -> None:
    assert is_open(window, zone, datetime.fromisoformat(local).replace(tzinfo=UTC)) is is_right


def test_a_cap_counts_only_what_it_covers_without_doubt() -> None:
    made = [START - timedelta(hours=hours) for hours in (30, 24, 2, 1)]
    slack = timedelta(minutes=2)
    assert counted_at_least({"per_hours": 24}, "UTC", START, made, slack) == 2
    assert counted_at_least({"per": "day"}, "UTC", START, made, slack) == 2
    assert counted_at_least({"per": "day"}, "Pacific/Auckland", START, made, slack) == 2
    assert counted_at_least({"per": "day"}, "UTC", START.replace(hour=0), made, slack) == 0


def test_what_a_request_says_of_an_outcome_is_read_with_its_defaults() -> None:
    retry = {
        "strategy": {"type": "fixed", "wait_minutes": 5},
        "on": {"no-answer": False, "voicemail": {"wait_minutes": 9}},
    }
    assert [rule(retry, outcome) for outcome in ("busy", "no-answer", "failed", "completed")] == [{}, None, None, None]
    assert rule(retry | {"failover": {}}, "failed") == {"wait_minutes": 0, "max_retries": 1}
    assert [own_wait_minutes(retry, outcome) for outcome in ("busy", "voicemail", "no-answer")] == [5, 9, None]


@pytest.mark.parametrize("needed", [{3}, {0, 9}, {2, 3, 7}, set()])
def test_what_is_left_is_what_a_failure_needs(needed: set[int]) -> None:
    assert least(range(10), lambda parts: needed <= set(parts)) == sorted(needed)


@pytest.mark.parametrize(
    ("seconds", "percent", "value"),
    [
        ([7.0], 50, 7.0),
        ([7.0], 99, 7.0),
        ([1.0, 2.0], 50, 1.0),
        ([1.0, 2.0], 99, 2.0),
        ([0.0] * 98 + [60.0, 600.0], 99, 60.0),
        ([0.0] * 99 + [600.0], 99, 0.0),
        ([1.0, 2.0, 3.0], 0, 1.0),
        ([1.0, 2.0, 3.0], 100, 3.0),
    ],
)
def test_a_percentile_is_one_of_the_values(seconds: list[float], percent: int, value: float) -> None:
    assert percentile(seconds, percent) == value


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [([], "-"), ([4.0], "4 s, 4 s, 4 s"), ([0.0, 0.0, 90.0], "0 s, 90 s, 90 s")],
)
def test_the_spread_of_a_run_never_exceeds_its_greatest_delay(seconds: list[float], shown: str) -> None:
    assert _spread(seconds) == shown
