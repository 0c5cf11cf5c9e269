"""What each worker of a crowd does: functions that a process of its own can be told by name."""

import time
from collections import Counter
from datetime import datetime, timedelta

from chalicelib.storage.pace import Pace
from chalicelib.usecases.place_call import NewCall, place_call
from chalicelib.usecases.redial_due import TimeLeft, redial_due
from chalicelib.usecases.take_callback import take_callback
from tests.support.crowd import Site

#: A Lambda's whole time limit.
PLENTY = TimeLeft(lambda: 900.0)
#: How long a provider takes to answer.
DIAL_SEC = 0.3
#: About how long a call lasts.
CALL_SEC = 0.3
#: Nothing here takes longer.
MOST_SEC = 60


def redial(site: Site, ahead: timedelta, times: int, worker: int) -> Counter[str]:
    """The same wake fires for every worker, so many times."""
    ports = site.ports_of_one(ahead)
    wake = ports.clock.now().replace(second=0, microsecond=0)
    counts: Counter[str] = Counter()
    for _ in range(times):
        counts.update(redial_due(ports, wake, PLENTY))
    return counts


def redial_or_end(site: Site, ahead: timedelta, wake: int, redialers: int, worker: int) -> Counter[str]:
    """The first workers dial what is due; the others end every call that is out, until nobody dials any more.

    ``wake`` counts from 1.
    """
    if worker < redialers:
        try:
            return redial(site, ahead, 1, worker)
        finally:
            site.ledger.write("redialed")  # counted over all wakes
    ports, ledger = site.ports(ahead), site.ledger
    counts: Counter[str] = Counter()
    deadline = time.monotonic() + MOST_SEC
    ours: set[str] = set()
    while time.monotonic() < deadline:
        all_dialed = len(ledger.lines("redialed")) >= redialers * wake
        live = [line for line in ledger.lines("posted") if line["token"] not in ours]
        for posted in live:
            ours.add(posted["token"])
            if not ledger.claim(posted["token"]):
                continue
            # The line is free before anybody is told of it.
            ledger.write("ended", token=posted["token"])
            taken = take_callback(ports, "twilio", posted["token"], site.callback(posted, "completed"))
            counts[taken[0].effect] += 1
        if all_dialed and not live:
            return counts
        time.sleep(CALL_SEC)
    raise AssertionError(f"the redialers were not done within {MOST_SEC} s")


def take(site: Site, posted: dict[str, str], status: str, worker: int) -> tuple[str, str | None]:
    """Deliver one callback: what it did, and why."""
    (taken,) = take_callback(site.ports(), "twilio", posted["token"], site.callback(posted, status))
    return taken.effect, taken.reason


def place(site: Site, new: NewCall, numbers: list[list[str]], worker: int) -> list[str]:
    """Place a call to each of the worker's numbers: their ids."""
    ports = site.ports()
    return [place_call(ports, new.to(number)).call.id for number in numbers[worker]]


def place_once(site: Site, new: NewCall, key: str, worker: int) -> str:
    """Place a call under an Idempotency-Key that the others use too: its id."""
    return place_call(site.ports(), new, key, "one hash").call.id


def reserve(
    site: Site, account: str, wanted: datetime, capacity: int, places: list[int], worker: int
) -> list[datetime]:
    """Take so many places in minutes."""
    wakes = site.ports().wakes
    return [wakes.reserve(account, wanted, capacity).minute for _ in range(places[worker])]


def keep_to_pace(site: Site, account: str, pace: Pace, seconds: int, worker: int) -> list[datetime]:
    """Start calls for so many seconds, as often as a pool of dialers does: when each was started."""
    ports = site.ports()
    ends_at = ports.clock.now() + timedelta(seconds=seconds)
    started = []
    while (now := ports.clock.now()) < ends_at:
        wait_sec = ports.pace.start(account, pace, now)
        if wait_sec:
            ports.clock.sleep(wait_sec)
        else:
            started.append(now)
            ports.clock.sleep(DIAL_SEC)
    return started
