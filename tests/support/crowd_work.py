"""The work of each worker in a crowd, as functions that a process finds by name."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
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

#: The whole time limit of a Lambda
PLENTY = TimeLeft(lambda: 900.0)
#: How long a provider takes to answer
DIAL_SEC = 0.3
#: How often a worker looks for calls to end
LOOK_SEC = 0.1
#: A caller retries at most this many times after TooBusy.
MAX_TRIES = 20
#: No work here takes longer.
MAX_SEC = 60


def patiently(ask: Callable[[], Done]) -> Done:
    """Retry while the app is too busy (503), as providers and users do."""
    for _ in range(MAX_TRIES):
        try:
            return ask()
        except TooBusy:
            time.sleep(LOOK_SEC)
    return ask()


def redial(site: Site, ahead: timedelta, times: int, worker: int) -> Counter[str]:
    """Fire the same wake in every worker, this many times."""
    ports = site.ports(ahead)
    wake = ports.clock.now().replace(second=0, microsecond=0)
    counts: Counter[str] = Counter()
    for _ in range(times):
        counts.update(redial_due(ports, wake, PLENTY))
    return counts


def redial_or_end(site: Site, ahead: timedelta, wake: int, redialers: int, hold: bool, worker: int) -> Counter[str]:
    """Dial due calls in the first workers, and end the calls in flight in the others.

    The others stop when no worker dials any more. ``wake`` counts from 1. With ``hold`` every call lasts until all
    redialers have finished.
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
    # The provider frees the line before it sends the callback.
    site.ledger.write("ended", token=posted["token"])
    request = site.callback(posted, "completed")
    (taken,) = patiently(lambda: take_callback(ports, "twilio", posted["token"], request))
    return taken.effect


def take(site: Site, posted: dict[str, str], status: str, worker: int) -> tuple[str, str | None]:
    """Deliver one callback, and return its effect and reason."""
    ports, request = site.ports(), site.callback(posted, status)
    (taken,) = patiently(lambda: take_callback(ports, "twilio", posted["token"], request))
    return taken.effect, taken.reason


def place(site: Site, new: NewCall, numbers: list[list[str]], worker: int) -> list[str]:
    """Place a call to each of the worker's numbers, and return the ids."""
    ports = site.ports()
    return [place_call(ports, new.to(number)).call.id for number in numbers[worker]]


def place_once(site: Site, new: NewCall, key: str, worker: int) -> str:
    """Place a call with an Idempotency-Key that all workers share, and return its id."""
    ports = site.ports()
    return patiently(lambda: place_call(ports, new, key, "one hash")).call.id


def reserve(
    site: Site, account: str, wanted: datetime, capacity: int, places: list[int], worker: int
) -> list[datetime]:
    """Reserve this many places in minutes."""
    wakes = site.ports().wakes
    return [wakes.reserve(account, wanted, capacity).minute for _ in range(places[worker])]


@dataclass(frozen=True)
class Ask:
    """A request to start a call.

    ``wait_sec`` is 0.0 if the call started, else the seconds to wait.
    """

    asked_at: datetime
    answered_at: datetime
    wait_sec: float


def keep_to_pace(site: Site, account: str, pace: Pace, seconds: int, worker: int) -> list[Ask]:
    """Start calls for this many seconds, as a pool of dialers does.

    Returns all requests, also those that were told to wait.
    """
    ports = site.ports()
    ends_at = ports.clock.now() + timedelta(seconds=seconds)
    asks = []
    while (now := ports.clock.now()) < ends_at:
        wait_sec = ports.pace.start(account, pace, now)
        asks.append(Ask(now, ports.clock.now(), wait_sec))
        ports.clock.sleep(wait_sec or DIAL_SEC)
    return asks
