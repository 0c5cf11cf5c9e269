"""Random traffic: calls under random policies to a few numbers, and users' acts."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from ops.simulate.chance import Chance

FROM_NUMBER = "+14155550100"
FAILOVER_NUMBER = "+14155550101"
PROVIDERS = ("twilio", "plivo")

#: The beginning of a number, how many digits follow, and the number's only time zone
RANGES = (
    ("+165055501", 2, "America/Los_Angeles"),
    ("+121255501", 2, "America/New_York"),
    ("+9198765432", 2, "Asia/Kolkata"),
    ("+4420794601", 2, "Europe/London"),
    ("+336123456", 2, "Europe/Paris"),
    ("+8190123456", 2, "Asia/Tokyo"),
    ("+2782123456", 1, "Africa/Johannesburg"),
)
WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

#: The share of calls with a twin: another call to the same number at the same time
TWINS = 0.2

#: The share of calls that are requested from the second provider
BY_PLIVO = 0.15
#: The share of calls that are requested again with the same Idempotency-Key, though the app has answered
ASKED_TWICE = 0.15

#: The share of calls that come in one of the bursts of a run, and the length of a burst in seconds
IN_A_BURST, BURST_SEC = 0.45, 0.2
#: The app answers the requests of a burst within this time.
ANSWERED_SEC = 0.6
#: The share of a burst's calls that go to one number
SAME_NUMBER = 0.3
#: The strategy of the calls of a burst
BURST_STRATEGY = {"type": "fixed", "wait_minutes": 5}
#: A run has one burst, and one more for each CALLS_A_BURST calls. It has at most PAUSES pauses.
CALLS_A_BURST, PAUSES = 50, 3
#: How often a pause is extended, and how many seconds after the wake at its end has fired
EXTENDED, RESUMED_SEC = 2, (0.3, 1.2)

#: The share of windows that close within minutes, and of calls that begin in the last minute of their window
CLOSING_SOON, LAST_MINUTE = 0.3, 0.05

#: (opening, end) of the windows of policies; some cross midnight
HOURS = (("09:00", "21:00"), ("08:00", "20:00"), ("18:00", "02:00"), ("22:00", "06:00"), ("00:00", "24:00"))


@dataclass(frozen=True, slots=True)
class Number:
    """A phone number and the time zone of its owner."""

    e164: str
    zone: str


@dataclass(frozen=True, slots=True)
class CallRequest:
    """One ``POST /calls``: when it is sent, and its body."""

    index: int
    at: datetime
    to: Number
    body: dict[str, Any]

    @property
    def retry(self) -> dict[str, Any]:
        """The retry part of the body."""
        retry: dict[str, Any] = self.body["retry"]
        return retry


@dataclass(frozen=True, slots=True)
class Act:
    """An act of a user after the request for a call.

    ``cancel`` acts on a call; ``opt-out``, ``opt-in``, ``contacted`` and ``erase`` act on a number; ``pause`` and
    ``resume`` act on the workspace. ``lasts`` is the length of a pause that ends by itself. The user does ``then``
    after the answer to this act. An act that ``extends`` a pause comes that long after the end of the pause.
    """

    at: datetime
    kind: str
    index: int
    number: str
    body: dict[str, Any]
    lasts: timedelta | None = None
    then: "Act | None" = None
    extends: timedelta | None = None


def numbers(count: int) -> list[Number]:
    """Return ``count`` numbers, spread over the world."""
    found = []
    for ordinal in range(count):
        begins, digits, zone = RANGES[ordinal % len(RANGES)]
        filled = ordinal // len(RANGES) % 10**digits
        found.append(Number(f"{begins}{filled:0{digits}d}", zone))
    return found


def calls(chance: Chance, count: int, start: datetime, span: timedelta, *, rush: bool = False) -> list[CallRequest]:
    """Return the calls of a run in the order of their indices.

    Each call depends only on the seed and its index.
    """
    pool = numbers(max(2, count // (6 if rush else 3)))
    share = 1.0 if rush else chance.odds("in-a-burst", IN_A_BURST)
    begins = bursts(chance, count, start, span)
    found = []
    for index in range(count):
        rng = chance.stream("call", index)
        at, to = start + span * rng.random(), rng.choice(pool)
        if index and rng.random() < TWINS:
            # Requested while the call before is being placed, for the same number
            twin = chance.stream("call", index - 1)
            at, to = start + span * twin.random() + timedelta(seconds=rng.uniform(0.05, 0.1)), twin.choice(pool)
        call = _call(chance, rng, index, at, to)
        found.append(_in_burst(chance, call, pool, begins, share))
    return found


def bursts(chance: Chance, count: int, start: datetime, span: timedelta) -> list[datetime]:
    """Return the times at which the bursts of a run of so many calls begin."""
    return [start + span * chance.unit("burst", number) for number in range(1 + count // CALLS_A_BURST)]


def _in_burst(
    chance: Chance, call: CallRequest, pool: Sequence[Number], begins: Sequence[datetime], share: float
) -> CallRequest:
    """Return the call, or one like it that belongs to a burst and is due at once."""
    rng = chance.stream("in-burst", call.index)
    if rng.random() >= share:
        return call
    number = rng.randrange(len(begins))
    at = begins[number] + timedelta(seconds=rng.uniform(0, chance.odds("burst-sec", BURST_SEC)))
    to = (
        chance.stream("burst-to", number).choice(pool)
        if rng.random() < chance.odds("same-number", SAME_NUMBER)
        else call.to
    )
    retry = {name: value for name, value in call.retry.items() if name != "window"} | {"strategy": BURST_STRATEGY}
    retry["max_retries"] = max(1, retry["max_retries"])
    now = {name: value for name, value in call.body.items() if name not in ("start_at", "timezone")}
    return replace(call, at=at, to=to, body=now | {"to_number": to.e164, "retry": retry})


def last_calls(first_index: int, at: datetime) -> list[CallRequest]:
    """Return one call of each provider to a number of its own, after all faults."""
    retry = {"max_retries": 0, "strategy": {"type": "fixed", "wait_minutes": 1}, "expires_after_hours": 3}
    found = []
    for place, provider in enumerate(PROVIDERS):
        to = Number(f"+1303555019{place}", "America/Denver")
        body = {"from_number": FROM_NUMBER, "to_number": to.e164, "provider": provider, "retry": retry}
        body["variables"] = {"n": str(first_index + place)}
        found.append(CallRequest(first_index + place, at + timedelta(minutes=10 * place), to, body))
    return found


def pauses(chance: Chance, count: int, start: datetime, span: timedelta, *, rush: bool = False) -> Act | None:
    """Return the first pause of the workspace, linked to the acts after it.

    It is None if nobody pauses the workspace.
    """
    rng = chance.stream("pauses")
    times = []
    for _ in range(int(chance.odds("pauses", 1 if rush else rng.randint(0, PAUSES)))):
        in_burst = rng.choice(bursts(chance, count, start, span)) + timedelta(seconds=rng.uniform(0.2, ANSWERED_SEC))
        times.append(in_burst if rush else rng.choice((in_burst, in_burst, start + span * rng.random())))
    following = None
    for at in sorted(times, reverse=True):
        lasts = timedelta(minutes=rng.uniform(2, 40))
        if rng.random() < (0.8 if rush else 0.6):
            for _ in range(int(chance.odds("extensions", EXTENDED))):
                # A user extends the pause just when the calls that wait for its end are about to start again.
                just_then, longer = timedelta(seconds=rng.uniform(*RESUMED_SEC)), timedelta(minutes=rng.uniform(2, 8))
                following = Act(at, "pause", -1, "", {}, lasts=longer, then=following, extends=just_then)
            following = Act(at, "pause", -1, "", {"reason": "simulated"}, lasts=lasts, then=following)
        else:
            resume = Act(at + lasts, "resume", -1, "", {}, then=following)
            following = Act(at, "pause", -1, "", {}, then=resume)
    return following


def acts(chance: Chance, calls: Iterable[CallRequest]) -> list[Act]:
    """Return the users' acts on these calls and on their numbers."""
    return [act for call in calls for act in _acts(chance, chance.stream("acts", call.index), call)]


def _call(chance: Chance, rng: random.Random, index: int, at: datetime, to: Number) -> CallRequest:
    body: dict[str, Any] = {
        "from_number": FROM_NUMBER,
        "to_number": to.e164,
        "variables": {"n": str(index)},
        "retry": _retry(chance, rng, at),
    }
    if rng.random() < 0.3:
        body["timezone"] = to.zone
    if rng.random() < 0.4:
        later = at + timedelta(minutes=rng.randint(1, 300))
        if rng.random() < 0.6:
            # As people plan: many calls at one full hour.
            later = at.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(hours=at.hour // 6 * 6 + 6)
        body["start_at"] = later.isoformat()
    if chance.unit("last-minute", index) < chance.odds("last-minute", LAST_MINUTE):
        full_minute = at.replace(second=0, microsecond=0)
        closes = full_minute + timedelta(minutes=int(chance.between(3, 40, "closes", index)))
        body["start_at"] = (closes - timedelta(minutes=1)).isoformat()
        body["retry"]["window"] = _closing(full_minute - timedelta(minutes=30), closes)
    if rng.random() < chance.odds("by-plivo", BY_PLIVO):
        body["provider"] = "plivo"
        body["retry"].pop("failover", None)
    return CallRequest(index, at, to, body)


def _retry(chance: Chance, rng: random.Random, at: datetime) -> dict[str, Any]:
    retry: dict[str, Any] = {
        "max_retries": rng.choice((0, 1, 2, 2, 3, 3, 4, 6)),
        "strategy": _strategy(rng, at),
        "on": _rules(rng),
        "expires_after_hours": 24 if rng.random() < chance.odds("long-policy", 0) else rng.choice((3, 8, 24, 24, 48)),
    }
    if rng.random() < chance.odds("window", 0.55):
        retry["window"] = _window(chance, rng, at)
    if rng.random() < 0.35:
        retry["caps"] = [_cap(rng)]
    if rng.random() < chance.odds("failover", 0.35):
        retry["failover"] = {"provider": "plivo", "from_number": FAILOVER_NUMBER}
    return retry


def _strategy(rng: random.Random, at: datetime) -> dict[str, Any]:
    match rng.choice(("fixed", "fixed", "intervals", "exponential", "scheduled", "time_of_day")):
        case "intervals":
            return {"type": "intervals", "minutes": [rng.choice((1, 3, 10, 30, 60)) for _ in range(rng.randint(1, 3))]}
        case "exponential":
            return {"type": "exponential", "first_minutes": rng.choice((1, 5, 15)), "factor": 2, "max_minutes": 120}
        case "scheduled":
            minutes = sorted(rng.sample(range(5, 1200), rng.randint(1, 4)))
            return {"type": "scheduled", "at": [(at + timedelta(minutes=m)).isoformat() for m in minutes]}
        case "time_of_day":
            times = sorted(f"{rng.randrange(24):02d}:{rng.choice((0, 15, 30)):02d}" for _ in range(3))
            return {"type": "time_of_day", "times": times, "min_gap_minutes": rng.choice((0, 30, 60))}
        case _:
            return {"type": "fixed", "wait_minutes": rng.choice((0, 1, 2, 5, 15, 30, 30, 60, 90))}


def _rules(rng: random.Random) -> dict[str, Any]:
    rules: dict[str, Any] = {}
    if rng.random() < 0.6:
        rules["failed"] = rng.choice((True, {"max_retries": 1}, {"wait_minutes": 2}))
    if rng.random() < 0.4:
        rules["voicemail"] = rng.choice((True, {"wait_minutes": 10}, {"max_retries": 1}))
    if rng.random() < 0.2:
        rules["no-answer"] = rng.choice((False, {"wait_minutes": 20}, {"max_retries": 2}))
    if rng.random() < 0.2:
        rules["rejected"] = True
    return rules


def _window(chance: Chance, rng: random.Random, at: datetime) -> dict[str, Any]:
    opens, ends = rng.choice(HOURS)
    if rng.random() < chance.odds("closes-soon", CLOSING_SOON):
        # The window closes just after the request, when a retry is due.
        return _closing(at - timedelta(minutes=30), at + timedelta(minutes=rng.randint(2, 6)))
    days = WEEK if rng.random() < 0.7 else rng.sample(WEEK, 4)
    window: dict[str, Any] = {
        "timezone": rng.choice(("recipient", "recipient", "UTC", "Europe/Berlin", "America/New_York")),
        "open": {day: [[opens, ends]] for day in days},
    }
    if rng.random() < 0.3:
        window["pause"] = {day: [["12:00", "13:30"]] for day in WEEK}
    return window


def _closing(begins: datetime, closes: datetime) -> dict[str, Any]:
    return {"timezone": "UTC", "open": {day: [[f"{begins:%H:%M}", f"{closes:%H:%M}"]] for day in WEEK}}


def _cap(rng: random.Random) -> dict[str, Any]:
    if rng.random() < 0.3:
        return {"max_attempts": rng.randint(1, 3), "per": "day"}
    return {"max_attempts": rng.randint(1, 3), "per_hours": rng.choice((1, 4, 24))}


def _acts(chance: Chance, rng: random.Random, call: CallRequest) -> list[Act]:
    found = []

    def then(kind: str, sec: float, body: dict[str, Any]) -> datetime:
        # Half of the acts come at a full minute, when the rules fire.
        at = call.at + timedelta(seconds=sec)
        if rng.random() < 0.5:
            at = at.replace(second=0, microsecond=0) + timedelta(seconds=60 + rng.uniform(0, 4))
        found.append(Act(at, kind, call.index, call.to.e164, body))
        return at

    if rng.random() < chance.odds("cancel", 0.12):
        then("cancel", rng.choice((1, 20, 300, 3600, 20000)) * rng.uniform(0.5, 2), {})
    elif rng.random() < chance.odds("cancel-at-dial", 0.08):
        # While the app asks the provider to place the call
        at = call.at + timedelta(seconds=rng.uniform(0.2, 1.2))
        found.append(Act(at, "cancel", call.index, call.to.e164, {}))
    if rng.random() < chance.odds("opt-out", 0.07):
        then("opt-out", rng.choice((1, 20, 300, 3600)) * rng.uniform(0.5, 2), {"reason": "asked to"})
        if rng.random() < 0.6:
            then("opt-in", rng.uniform(7200, 20000), {})
    if rng.random() < chance.odds("erase", 0.04):
        then("erase", rng.choice((1, 20, 300, 3600)) * rng.uniform(0.5, 2), {})
        if rng.random() < chance.odds("back-in", 0.6):
            then("opt-in", rng.uniform(7200, 20000), {})
    if rng.random() < chance.odds("contacted", 0.08):
        body = rng.choice(({}, {"postpone_minutes": rng.randint(5, 300)}))
        then("contacted", rng.choice((20, 300, 3600)) * rng.uniform(0.5, 2), body)
    elif rng.random() < chance.odds("contacted", 0.08):
        # While the attempt is in flight, or its last callback is on the way
        body = rng.choice(({}, {"postpone_minutes": rng.randint(30, 300)}))
        at = call.at + timedelta(seconds=rng.uniform(2, 60))
        found.append(Act(at, "contacted", call.index, call.to.e164, body))
    return found
