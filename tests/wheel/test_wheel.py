"""The timing wheel: few rules for many calls, and every dial in its own minute."""

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.runtime.services import client
from chalicelib.storage import items
from chalicelib.storage.wakes import Reservation, WakeStore
from chalicelib.usecases.calls.redial_due import arm_below
from chalicelib.usecases.calls.schedule import book_minute
from chalicelib.wheel import plan
from tests.support.world import START, TABLE, World, new_client

MINUTE = timedelta(minutes=1)
times = st.datetimes(datetime(2026, 1, 1), datetime(2035, 12, 31), timezones=st.just(UTC))
leads = st.sampled_from([0, 1, 60, 120, 600, 3600]).map(lambda s: timedelta(seconds=s))


@given(now=times, ahead=st.timedeltas(timedelta(), timedelta(days=60)), lead=leads)
def test_every_minute_is_reached_by_wakes_that_each_have_time_to_be_armed(
    now: datetime, ahead: timedelta, lead: timedelta
) -> None:
    minute = plan.first_minute(now + ahead, now, lead)
    assert now + ahead <= minute < now + max(ahead, lead) + MINUTE
    steps = 0
    while (wake := plan.wake_for(minute, now, lead)) != minute:
        assert now + lead <= wake < minute
        below = plan.minutes_below(wake, lead)
        hours = plan.hours_below(wake, lead)
        in_minutes = below is not None and below[0] <= minute <= below[1]
        in_hours = hours is not None and hours[0] <= plan.hour_wake(minute, lead) <= hours[1]
        assert in_minutes or in_hours
        now, steps = wake, steps + 1
        if in_minutes:
            break
    assert minute >= now
    assert steps <= 2


@given(at=times)
def test_names_and_inputs_of_wakes_can_be_read_back(at: datetime) -> None:
    wake = plan.ceil_minute(at)
    assert plan.from_stamp(plan.stamp(wake)) == wake
    assert plan.from_wake_text(plan.wake_text(wake)) == wake


@pytest.mark.parametrize(
    ("ahead", "cron"),
    [
        (timedelta(minutes=30), "cron(30 10 26 1 ? 2026)"),
        (timedelta(hours=5, minutes=7), "cron(0 15 26 1 ? 2026)"),
        (timedelta(hours=5, minutes=1), "cron(0 14 26 1 ? 2026)"),  # 15:00 could not arm 15:01 in time
        (timedelta(days=10), "cron(0 0 5 2 ? 2026)"),
    ],
)
def test_the_wake_is_the_coarsest_that_has_time_for_the_finer_ones(world: World, ahead: timedelta, cron: str) -> None:
    world.place(start_at=(START + ahead).isoformat())
    assert [r["ScheduleExpression"] for r in world.rules()] == [cron]


@pytest.mark.parametrize("ahead", [timedelta(days=10, minutes=1), timedelta(days=59, hours=3), timedelta(hours=49)])
def test_a_call_days_ahead_is_dialled_in_its_own_minute(world: World, ahead: timedelta) -> None:
    world.place(start_at=(START + ahead).isoformat())
    world.pump(START + timedelta(days=61))
    assert [p.at for p in world.twilio.placed] == [START + ahead]
    assert world.rules() == []


def test_1000_calls_due_in_one_minute_leave_one_rule(world: World, figure: Callable[[str], None]) -> None:
    call = world.services.ports.calls.load(world.place()["id"])
    assert call is not None
    for _ in range(1_000):
        booked = book_minute(world.services.ports, replace(call.call, due_at=START + timedelta(minutes=30)))
        assert booked.due_at == START + timedelta(minutes=30)
    figure(f"1,000 calls due in one minute: {len(world.rules())} rule, {dict(world.aws.counted())}")
    assert len(world.rules()) == 1
    assert world.aws.counted()["PutRule"] == 1


class _CountedMinutes(WakeStore):
    """The wake items in memory: the test counts rules, and moto would take minutes."""

    def __init__(self) -> None:
        self.planned_in: dict[datetime, int] = defaultdict(int)
        self.armed: dict[datetime, set[str]] = defaultdict(set)

    def reserve(self, account: str, wanted: datetime, capacity: int) -> Reservation:
        self.planned_in[wanted] += 1
        return Reservation(wanted, frozenset(self.armed[wanted.replace(minute=0)]))

    def mark_armed(self, account: str, minute: datetime, wakes: set[str]) -> None:
        self.armed[minute.replace(minute=0)] |= wakes

    def planned(self, first: datetime, last: datetime):  # type: ignore[no-untyped-def]
        for minute in sorted(self.planned_in):
            if first <= minute <= last:
                yield "twilio:AC", minute, frozenset(self.armed[minute.replace(minute=0)])


@pytest.mark.slow
def test_100_000_calls_over_30_days_need_at_most_168_rules(world: World, figure: Callable[[str], None]) -> None:
    record = world.services.ports.calls.load(world.place()["id"])
    assert record is not None
    ports = replace(world.services.ports, wakes=_CountedMinutes())
    chance = random.Random(7)
    for _ in range(100_000):
        due_at = START + timedelta(seconds=chance.uniform(0, 30 * 86_400))
        book_minute(ports, replace(record.call, due_at=due_at))
    at_rest = len(world.rules())

    # A day and a night of the wheel: every wake fires, arms the wakes below it, and is removed.
    fired = 0
    while (wake := min(ports.triggers.armed())) <= START + timedelta(hours=26):
        world.clock.turn(to=wake)
        arm_below(ports, wake, lambda: True)
        ports.triggers.disarm(wake)
        fired += 1
    figure(f"100,000 calls over 30 days: {at_rest} rules, at most {world.aws.most_rules} while {fired} fired")
    assert at_rest <= 168
    assert world.aws.most_rules <= 168


def test_a_full_minute_spills_into_the_next_ones(world: World) -> None:
    wakes = world.services.ports.wakes
    minutes = [wakes.reserve("a", START, 2).minute for _ in range(5)]
    assert minutes == [START, START, START + MINUTE, START + MINUTE, START + 2 * MINUTE]


def test_a_place_that_was_given_back_is_given_out_again(world: World) -> None:
    wakes = world.services.ports.wakes
    wakes.reserve("a", START, 1)
    wakes.release("a", START)
    assert wakes.reserve("a", START, 1).minute == START


def test_a_place_is_given_back_once_if_botocore_repeats_the_write(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Send each request twice, as after a lost answer.

    A transaction is not sent twice, because DynamoDB recognizes its token.
    """
    wakes = world.services.ports.wakes
    for _ in range(3):
        wakes.reserve("a", START, 3)
    once = BaseClient._make_api_call

    def twice(client: BaseClient, operation: str, params: dict[str, object]) -> object:
        if operation != "TransactWriteItems":
            once(client, operation, params)
        return once(client, operation, params)

    with monkeypatch.context() as patched:
        patched.setattr(BaseClient, "_make_api_call", twice)
        wakes.release("a", START)
    assert [wakes.reserve("a", START, 3).minute for _ in range(2)] == [START, START + MINUTE]


def test_a_place_is_taken_after_a_transaction_that_was_in_the_way(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_the_way = [1, 2]
    once = BaseClient._make_api_call

    def held(client: BaseClient, operation: str, params: dict[str, object]) -> object:
        if operation == "UpdateItem" and in_the_way:
            in_the_way.pop()
            raise ClientError({"Error": {"Code": "TransactionConflictException", "Message": ""}}, operation)
        return once(client, operation, params)

    monkeypatch.setattr(BaseClient, "_make_api_call", held)
    wakes = world.services.ports.wakes
    assert wakes.reserve("a", START, 1).minute == START
    assert not in_the_way


def test_accounts_do_not_share_their_minutes(world: World) -> None:
    wakes = world.services.ports.wakes
    assert [wakes.reserve(account, START, 1).minute for account in ("a", "b")] == [START, START]


def test_10_000_calls_for_one_minute_find_places_in_few_requests(world: World, figure: Callable[[str], None]) -> None:
    """Measure the search of the last call.

    10,000 calls at 30 a minute fill 333 minutes.
    """
    wakes = world.services.ports.wakes
    full = {f"p{n:02d}": {"N": "30"} for n in range(60)}
    for hour in range(200):
        at = START + timedelta(hours=hour)
        key = {"pk": {"S": f"WAKE#{at:%Y%m%d}"}, "sk": {"S": f"{at:%H}#a"}}
        world.dynamodb.put_item(TableName="redial-dev", Item=key | full)
    world.aws.calls.clear()
    assert wakes.reserve("a", START, 30).minute == START + timedelta(hours=200)
    counted = world.aws.counted()
    figure(f"a place behind 12,000 full minutes: {dict(counted)}")
    assert counted == {"UpdateItem": 2, "GetItem": counted["GetItem"]}
    assert counted["GetItem"] <= 16


def size_bytes(item: dict[str, Any]) -> int:
    """Return an item's size as DynamoDB bills it.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    total = 0
    for name, attribute in item.items():
        ((kind, value),) = attribute.items()
        sizes = {
            "S": lambda text: len(text),
            "N": lambda text: len(text) // 2 + 2,
            "SS": lambda texts: 3 + sum(len(text) + 1 for text in texts),
        }
        total += len(name) + sizes[kind](value)
    return total


def test_the_item_of_a_busy_hour_costs_one_write_unit(world: World, figure: Callable[[str], None]) -> None:
    wakes = world.services.ports.wakes
    # The longest possible name of an account: that of a Vonage application.
    account = "vonage:c6a1b9e0-5d3f-4a7e-9f0e-1b2c3d4e5f60"
    hour = START.replace(hour=12)
    for number in range(60):
        wakes.reserve(account, hour + number * MINUTE, 99_999)
        wakes.mark_armed(account, hour + number * MINUTE, {plan.stamp(hour + number * MINUTE)})
    wakes.mark_armed(account, hour, {plan.stamp(hour - timedelta(hours=1)), plan.stamp(START.replace(hour=0))})
    item = next(item for item in world.items() if item["pk"]["S"].startswith("WAKE#"))
    item |= {name: {"N": "99999"} for name in item if name.startswith("p") and name != "pk"}
    figure(f"the wake item of a full hour: {size_bytes(item)} bytes")
    assert size_bytes(item) <= 1024
    armed = wakes.reserve(account, hour, 99_999).armed
    assert armed == {plan.stamp(hour + number * MINUTE) for number in range(60)} | {"202601261100", "202601260000"}


def test_wakes_with_the_earlier_releases_whole_stamp_count_as_armed(world: World) -> None:
    wakes = world.services.ports.wakes
    wakes.reserve("a", START, 5)
    key = items.key(f"WAKE#{START:%Y%m%d}", f"{START:%H}#a")
    world.dynamodb.update_item(
        TableName=TABLE,
        Key=key,
        UpdateExpression="ADD armed :old",
        ExpressionAttributeValues={":old": {"SS": ["202601261030"]}},
    )
    wakes.mark_armed("a", START, {"202601261030", "202601261045"})
    assert wakes.reserve("a", START, 5).armed == {"202601261030", "202601261045"}


def test_the_plan_of_a_range_crosses_days(world: World) -> None:
    wakes = world.services.ports.wakes
    minutes = [datetime(2026, 1, 26, 23, 59, tzinfo=UTC), datetime(2026, 1, 27, 0, 1, tzinfo=UTC)]
    for minute in minutes:
        wakes.reserve("a", minute, 5)
    wakes.reserve("a", minutes[0] - MINUTE, 5)
    assert [m for _, m, _ in wakes.planned(*minutes)] == minutes


def test_the_scheduler_backend_arms_reads_and_disarms_like_the_rules(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAKE_BACKEND", "scheduler")
    monkeypatch.setenv("SCHEDULER_ROLE_ARN", "arn:aws:iam::123456789012:role/redial-dev-scheduler")
    with new_client() as world.client:  # the client has read its environment only once
        _scheduler_story(world)


def _scheduler_story(world: World) -> None:
    world.place()
    world.end("busy")
    names = [s["Name"] for s in client("scheduler").list_schedules()["Schedules"]]
    assert names == ["redial-dev-wake-202601261030"]
    schedule = client("scheduler").get_schedule(Name=names[0])
    assert schedule["ScheduleExpression"] == "at(2026-01-26T10:30:00)"
    assert schedule["Target"]["Input"] == '{"wake": "2026-01-26T10:30Z"}'
    triggers = world.services.ports.triggers
    due = START + timedelta(minutes=30)
    triggers.arm(due)
    assert list(triggers.armed()) == [due]
    world.clock.turn(to=due)
    world.redial(due)
    assert len(world.twilio.placed) == 2
    assert list(triggers.armed()) == []
    triggers.disarm(due)
