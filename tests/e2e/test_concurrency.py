"""Many workers on one table: 32 threads, and processes, with exact totals.

DynamoDB is ministack over HTTP, changed to reject requests that meet a running transaction, as AWS does.
"""

import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from math import floor
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from chalicelib.domain.call import AttemptPhase, CallRecord, CallState
from chalicelib.domain.caps import Cap
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.policy import Fixed, OutcomeRule, Policy
from chalicelib.errors import TooBusy
from chalicelib.runtime import services as parts
from chalicelib.storage.codec import from_item
from chalicelib.storage.gates import EVERYTHING
from chalicelib.storage.pace import Pace
from chalicelib.usecases.calls.place_call import NewCall, place_call
from chalicelib.usecases.gates.pause import pause
from chalicelib.usecases.numbers.opt_out import opt_out
from chalicelib.usecases.sweep import sweep
from ops.data.table import table_definition
from ops.local.ministack import Ministack
from tests.support.crowd import Crowd, Ledger, Site, enter, in_eight_threads, process_pool
from tests.support.crowd_work import (
    PLENTY,
    keep_to_pace,
    patiently,
    place,
    place_once,
    redial,
    redial_or_end,
    reserve,
    take,
)
from tests.support.world import ENV, PUBLIC_URL

pytestmark = pytest.mark.e2e

SERVER = "tests.support.contended_ministack"
FAST = {"TWILIO_CALLS_PER_SECOND": "1000", "WAKE_LEAD_SECONDS": "0"}
WORKSPACE = "acme"
NUMBER = "+16505550199"
#: All that is planned for the next minute is due by then.
DUE = timedelta(minutes=2)
#: The sweep would have run by then.
SWEPT = timedelta(minutes=4)
#: PaceStore.start() never returns a shorter wait than this.
MIN_WAIT_SEC = 0.05
Figure = Callable[[str], None]

_tables = count(1)


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Provide the environment in which a contended ministack is AWS."""
    # The environment of these threads must not stay for the next test of this process.
    with Ministack(tmp_path_factory.mktemp("aws"), SERVER) as running, patch.dict(os.environ):
        env = ENV | running.environment
        enter(env)
        yield env
        parts.client.cache_clear()


@pytest.fixture(scope="module")
def four_processes(aws: dict[str, str]) -> Iterator[Executor]:
    with process_pool(4, aws) as pool:
        yield pool


@pytest.fixture(params=["threads", "processes"])
def crowd(request: pytest.FixtureRequest) -> Crowd:
    """Provide 32 workers."""
    return Crowd(1, 32) if request.param == "threads" else request.getfixturevalue("processes")


@pytest.fixture
def processes(four_processes: Executor) -> Crowd:
    """Provide 32 workers that share nothing but the table.

    They are for tests in which one process shows nothing.
    """
    return Crowd(4, 8, four_processes)


@pytest.fixture
def site(aws: dict[str, str], tmp_path: Path) -> Site:
    """Provide a table of its own."""
    table = f"redial-crowd-{next(_tables)}"
    stream = {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    parts.client("dynamodb").create_table(**table_definition(table), StreamSpecification=stream)
    return Site(aws | FAST | {"TABLE_NAME": table}, tmp_path / "ledger")


def new_call(to_number: str = NUMBER, workspace: str = WORKSPACE, dial_now: bool = True, **policy: Any) -> NewCall:
    return NewCall(
        workspace=workspace,
        to_number=to_number,
        from_number="+14155550100",
        policy=Policy(**{"takes_default_cap": False, **policy}),
        provider="twilio",
        public_url=PUBLIC_URL,
        dial_now=dial_now,
    )


def numbers(how_many: int) -> list[str]:
    return [f"+1650555{n:04d}" for n in range(how_many)]


def all_due(site: Site, to: list[str], workspace: str = WORKSPACE, **policy: Any) -> list[str]:
    """Place calls to these numbers for the wheel's next minute, and return their ids."""
    ports = site.ports()
    new = new_call(workspace=workspace, dial_now=False, **policy)

    def placed(number: str) -> str:
        while True:
            with contextlib.suppress(TooBusy):  # its user gets the advice to retry, and retries
                return place_call(ports, new.to(number)).call.id

    return in_eight_threads(placed, to)


def records(site: Site, ids: list[str]) -> list[CallRecord]:
    ports = site.ports()
    found = in_eight_threads(ports.calls.load, ids)
    return [record for record in found if record is not None]


def reasons(site: Site, call_id: str) -> list[str]:
    return [decision["reason"] for decision in site.ports().calls.decisions(call_id)]


def added(counts: list[Counter[str]]) -> Counter[str]:
    return sum(counts, Counter())


def holders(site: Site) -> list[str]:
    """Return the holders of the taken slots."""
    return sorted(from_item(item)["holder"] for item in site.items("SLOTS#") if item["sk"]["S"].isdecimal())


def most_at_once(ledger: Ledger, ids: list[str]) -> int:
    """Return how many of these calls were in flight at the provider at most."""
    live = most = 0
    for line in ledger.lines():
        if line["kind"] in ("posted", "ended") and line["token"].partition(".")[0] in ids:
            live += 1 if line["kind"] == "posted" else -1
            most = max(most, live)
    return most


def told(crowd: Crowd, tally: Counter[str], what: str) -> str:
    conflicts, refused = tally["TransactionConflict"], tally["ConditionalCheckFailed"]
    return f"{crowd}: {what}; {tally['tries']} transactions, {conflicts} met another, {refused} came too late"


def test_every_call_that_is_due_is_dialled_once(crowd: Crowd, site: Site, figure: Figure) -> None:
    site = site.having(TWILIO_MAX_CONCURRENT_CALLS="300")
    ids = all_due(site, numbers(104))
    began = time.monotonic()
    counts, tally = crowd.do(redial, site, DUE, 2)
    seconds = time.monotonic() - began
    swept = sweep(site.ports(SWEPT), PLENTY)
    found = records(site, ids)
    attempts = [attempt for record in found for attempt in record.attempts]
    figure(told(crowd, tally, f"104 calls in {seconds:.1f} s: {dict(added(counts))}, swept {swept}"))
    assert [r.call.state for r in found] == [CallState.DIALING] * 104
    assert [(a.number, a.phase) for a in attempts] == [(1, AttemptPhase.PLACED)] * 104
    assert sorted(site.ledger.tokens()) == sorted(a.token for a in attempts)
    assert holders(site) == sorted(a.id for a in attempts)
    known = [site.ports().numbers.load(WORKSPACE, record.call.to_number) for record in found]
    assert [list(number.dialed_at) for number in known] == [[f"{record.call.id}-1"] for record in found]
    assert added(counts)["dialed"] + swept.get("overdue-dialed", 0) == 104


def test_of_32_that_claim_one_call_one_dials_it(crowd: Crowd, site: Site, figure: Figure) -> None:
    (call_id,) = all_due(site, [NUMBER])
    counts, tally = crowd.do(redial, site, DUE, 1)
    figure(told(crowd, tally, f"one call: {dict(added(counts))}"))
    (record,) = records(site, [call_id])
    assert site.ledger.tokens() == [attempt.token for attempt in record.attempts]
    assert (len(record.attempts), added(counts)["dialed"]) == (1, 1)


def test_a_request_repeated_by_32_at_once_places_one_call(crowd: Crowd, site: Site, figure: Figure) -> None:
    ids, tally = crowd.do(place_once, site, new_call(), "a-key")
    figure(told(crowd, tally, "one Idempotency-Key"))
    assert len(set(ids)) == 1
    assert [token.partition(".")[0] for token in site.ledger.tokens()] == ids[:1]


def test_no_more_calls_are_in_flight_than_the_limits_allow(crowd: Crowd, site: Site, figure: Figure) -> None:
    site = site.having(TWILIO_MAX_CONCURRENT_CALLS="7", WORKSPACE_MAX_CONCURRENT_CALLS="5")
    ours, theirs = all_due(site, numbers(24)), list[str]()
    ahead, rounds, tally = DUE, 0, Counter[str]()
    while len(site.ledger.tokens()) < 48:
        rounds += 1
        assert rounds < 25, f"only {len(site.ledger.tokens())} of 48 calls were dialled"
        # In the first rounds one workspace, then two, take all that they may have. Later the calls come and go.
        _, more = crowd.do(redial_or_end, site, ahead, rounds, 20, rounds < 3)
        tally += more
        ahead += timedelta(minutes=3)
        theirs = theirs or all_due(site, numbers(24), workspace="globex")
    most = [most_at_once(site.ledger, calls) for calls in (ours, theirs, ours + theirs)]
    figure(told(crowd, tally, f"48 calls over 7 and 5 slots in {rounds} rounds, at most {most} out"))
    assert (most[0], most[2]) == (5, 7)
    assert most[1] <= 5
    assert len(set(site.ledger.tokens())) == len(site.ledger.tokens()) == 48
    assert [record.call.summary_status for record in records(site, [*ours, *theirs])] == ["completed"] * 48
    assert holders(site) == []


def test_calls_to_one_number_do_not_slip_past_its_cap_together(crowd: Crowd, site: Site, figure: Figure) -> None:
    ids = all_due(site, [NUMBER] * 32, caps=(Cap(3, per_hours=24),))
    counts, tally = crowd.do(redial, site, DUE, 1)
    swept = sweep(site.ports(SWEPT), PLENTY)
    figure(told(crowd, tally, f"32 calls under a cap of 3: {dict(added(counts))}, swept {swept}"))
    found = records(site, ids)
    made = [attempt.claimed_at for record in found for attempt in record.attempts]
    ends = Counter((r.call.state, len(r.attempts), reasons(site, r.call.id)[-1]) for r in found)
    assert ends == {("dialing", 1, "started"): 3, ("scheduled", 0, "rescheduled"): 29}
    waiting = [record.call.due_at for record in found if record.call.due_at]
    assert all(min(made) + timedelta(hours=24) <= at for at in waiting)
    assert len(site.ledger.tokens()) == 3


def test_no_call_to_a_number_is_claimed_after_its_opt_out(crowd: Crowd, site: Site, figure: Figure) -> None:
    ids = all_due(site, [NUMBER] * 48)
    with ThreadPoolExecutor(1) as beside:
        crowding = beside.submit(crowd.do, redial, site, DUE, 1)
        wait_for_posts(site.ledger, 4)
        began = time.monotonic()
        ports = site.ports(DUE)
        known, ended = patiently(lambda: opt_out(ports, WORKSPACE, NUMBER, "asked us to stop"))
        seconds = time.monotonic() - began
        _, tally = crowding.result()
    sweep(site.ports(SWEPT), PLENTY)
    made = [attempt.id for record in records(site, ids) for attempt in record.attempts]
    figure(told(crowd, tally, f"opted out within {seconds:.2f} s; {len(made)} of 48 calls dialled, {ended} ended"))
    # Each claim adds itself to the number. So no claim was committed after the opt-out.
    assert site.ports().numbers.load(WORKSPACE, NUMBER) == known
    assert 4 <= len(known.dialed_at) < 48
    assert sorted(made) == sorted(known.dialed_at)
    assert sorted(token.rpartition(".")[0].replace(".", "-") for token in site.ledger.tokens()) == sorted(made)
    assert {record.call.summary_status for record in records(site, ids)} == {"blocked"}


@pytest.mark.parametrize("scope", [EVERYTHING, f"workspace:{WORKSPACE}"])
def test_a_pause_gets_through_any_number_of_claims_and_none_comes_after_it(
    crowd: Crowd, site: Site, figure: Figure, scope: str
) -> None:
    shares = [[f"+1650555{worker:02d}{n:02d}" for n in range(4)] for worker in range(crowd.size)]
    with ThreadPoolExecutor(1) as beside:
        crowding = beside.submit(crowd.do, place, site, new_call(), shares)
        wait_for_posts(site.ledger, 16)
        began = time.monotonic()
        pause(site.ports(), scope, "a fire drill", None)
        seconds = time.monotonic() - began
        placed, tally = crowding.result()
    changes = site.changes()
    shut = max(n for n, (_, partition, _) in enumerate(changes) if partition == f"GATE#{scope}")
    claims = [n for n, (what, _, key) in enumerate(changes) if what == "INSERT" and key.startswith("ATTEMPT#")]
    figure(told(crowd, tally, f"{scope} paused in {seconds:.2f} s, after {len(claims)} claims"))
    assert [n for n in claims if n > shut] == []
    found = records(site, [call_id for share in placed for call_id in share])
    ends = Counter((r.call.state, len(r.attempts), *reasons(site, r.call.id)) for r in found)
    assert ends == {("dialing", 1): len(claims), ("scheduled", 0, "paused"): 128 - len(claims)}
    assert sorted(site.ledger.tokens()) == sorted(a.token for r in found for a in r.attempts)
    assert 16 <= len(claims) < 128


def test_no_minute_is_planned_with_more_than_it_takes(processes: Crowd, site: Site, figure: Figure) -> None:
    wanted = datetime.now(UTC).replace(minute=50, second=0, microsecond=0) + timedelta(hours=1)
    shares = [2_000 // processes.size + (worker < 2_000 % processes.size) for worker in range(processes.size)]
    began = time.monotonic()
    taken, _ = processes.do(reserve, site, "twilio:AC", wanted, 60, shares)
    figure(f"{processes}: 2,000 places in minutes of 60 in {time.monotonic() - began:.1f} s")
    minutes = Counter(minute for share in taken for minute in share)
    assert minutes == {wanted + n * timedelta(minutes=1): 60 for n in range(33)} | {wanted + timedelta(minutes=33): 20}
    counters = [from_item(item) for item in site.items("WAKE#")]
    assert sum(n for each in counters for name, n in each.items() if name.startswith("p") and name != "pk") == 2_000


def test_no_second_starts_more_calls_than_the_account_takes(processes: Crowd, site: Site, figure: Figure) -> None:
    asked, _ = processes.do(keep_to_pace, site, "twilio:AC", Pace.of(20), 4)
    seconds: Counter[int] = Counter()
    for item in site.versions("PACE#twilio:AC"):
        counter = from_item(item)
        seconds[counter["stretch"]] = max(seconds[counter["stretch"]], counter["started"])
    figure(f"{processes}: calls started in each second at a pace of 20: {[seconds[each] for each in sorted(seconds)]}")
    asks = [ask for share in asked for ask in share]
    started = [ask for ask in asks if ask.wait_sec == 0]
    assert max(seconds.values()) == 20
    assert sum(seconds.values()) == len(started)
    # The counter counts each call in a second between its request and the answer.
    for second in seconds:
        counted = sum(n for each, n in seconds.items() if each <= second)
        answered = sum(floor(ask.answered_at.timestamp()) <= second for ask in started)
        assert answered <= counted <= sum(floor(ask.asked_at.timestamp()) <= second for ask in started)
    # Nobody waits for the end of a second that has room. How many seconds get full depends on the machine.
    waits = [ask.asked_at.timestamp() + ask.wait_sec for ask in asks if ask.wait_sec]
    assert waits
    assert {seconds[floor(until - MIN_WAIT_SEC)] for until in waits} == {20}


def test_a_callback_delivered_by_32_at_once_is_taken_once(crowd: Crowd, site: Site, figure: Figure) -> None:
    retry = {"max_retries": 3, "strategy": Fixed(30), "on": {Outcome.BUSY: OutcomeRule(retry=True)}}
    call_id = place_call(site.ports(), new_call(**retry)).call.id
    taken, tally = crowd.do(take, site, site.ledger.lines("posted")[0], "busy")
    figure(told(crowd, tally, "one callback"))
    assert Counter(taken) == {("decided", "retry"): 1, ("nothing-new", None): 31}
    (record,) = records(site, [call_id])
    assert (record.call.state, record.call.attempt, len(record.attempts)) == ("scheduled", 1, 1)
    assert reasons(site, call_id) == ["retry"]


def wait_for_posts(ledger: Ledger, how_many: int) -> None:
    """Wait for the requests. Fails after 20 s."""
    deadline = time.monotonic() + 20
    while len(ledger.tokens()) < how_many:
        assert time.monotonic() < deadline, f"only {len(ledger.tokens())} calls were asked for"
        time.sleep(0.002)
