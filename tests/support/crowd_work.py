"""What each worker of a crowd does: functions that a process of its own can be told by name."""

import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from chalicelib.errors import TooBusy
from chalicelib.storage.pace import Pace
from chalicelib.usecases.calls.place_call import NewCall, place_call
from chalicelib.usecases.calls.redial_due import TimeLeft, redial_due
from chalicelib.usecases.calls.take_callback import take_callback
from chalicelib.usecases.ports import Ports
from tests.support.crowd import Site

Done = TypeVar("Done")

#: A Lambda's whole time limit.
PLENTY = TimeLeft(lambda: 900.0)
#: How long a provider takes to answer.
DIAL_SEC = 0.3
#: How often one looks for calls to end.
LOOK_SEC = 0.1
#: Whoever is told to come again does so at most this often.
MAX_ASKED = 20
#: Nothing here takes longer.
MAX_SEC = 60


def patiently(ask: Callable[[], Done]) -> Done:
    """Ask until the answer is not that others are in the way (503), as providers and users do."""
    for _ in range(MAX_ASKED):
        try:
            return ask()
        except TooBusy:
            time.sleep(LOOK_SEC)
    return ask()


def redial(site: Site, ahead: timedelta, times: int, worker: int) -> Counter[str]:
    """The same wake fires for every worker, so many times."""
    ports = site.ports(ahead)
    wake = ports.clock.now().replace(second=0, microsecond=0)
    counts: Counter[str] = Counter()
    for _ in range(times):
        counts.update(redial_due(ports, wake, PLENTY))
    return counts


def redial_or_end(site: Site, ahead: timedelta, wake: int, redialers: int, hold: bool, worker: int) -> Counter[str]:
    """The first workers dial what is due; the others end every call that is out, until nobody dials any more.

    ``wake`` counts from 1. With ``hold`` every call lasts until all of them have dialled what they could.
    """
    ledger = site.ledger
    if worker < redialers:
        try:
            return redial(site, ahead, 1, worker)
        finally:
            ledger.write("redialed")  # counted over all wakes
    ports = site.ports(ahead)
    counts: Counter[str] = Counter()
    deadline = time.monotonic() + MAX_SEC
    while time.monotonic() < deadline:
        nobody_dials = len(ledger.lines("redialed")) >= redialers * wake
        if nobody_dials or not hold:
            counts.update(
                _end(ports, site, posted) for posted in ledger.lines("posted") if ledger.claim(posted["token"])
            )
        if nobody_dials:
            return counts
        time.sleep(LOOK_SEC)
    raise AssertionError(f"the redialers were not done within {MAX_SEC} s")


def _end(ports: Ports, site: Site, posted: dict[str, str]) -> str:
    # The provider has the line free before anybody is told of it.
    site.ledger.write("ended", token=posted["token"])
    request = site.callback(posted, "completed")
    (taken,) = patiently(lambda: take_callback(ports, "twilio", posted["token"], request))
    return taken.effect


def take(site: Site, posted: dict[str, str], status: str, worker: int) -> tuple[str, str | None]:
    """Deliver one callback: what it did, and why."""
    ports, request = site.ports(), site.callback(posted, status)
    (taken,) = patiently(lambda: take_callback(ports, "twilio", posted["token"], request))
    return taken.effect, taken.reason


def place(site: Site, new: NewCall, numbers: list[list[str]], worker: int) -> list[str]:
    """Place a call to each of the worker's numbers: their ids."""
    ports = site.ports()
    return [place_call(ports, new.to(number)).call.id for number in numbers[worker]]


def place_once(site: Site, new: NewCall, key: str, worker: int) -> str:
    """Place a call under an Idempotency-Key that the others use too: its id."""
    ports = site.ports()
    return patiently(lambda: place_call(ports, new, key, "one hash")).call.id


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
