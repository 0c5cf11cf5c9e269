"""The faults that a simulation injects: a table of kinds with their rates, and who is hit, which the seed decides."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from ops.simulate.chance import Chance


class Level(StrEnum):
    """How much goes wrong."""

    NONE = "none"
    LIGHT = "light"
    HEAVY = "heavy"


class Crash(BaseException):
    """The process dies here. No ``except Exception`` of the code under test may catch it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault: its share of the occasions under heavy faults, and what happens."""

    share: float
    what: str


#: Light faults happen this many times more seldom than heavy ones.
LIGHTER = 6.0

KINDS = {
    "aws-refused": Kind(0.006, "an AWS call fails and changes nothing"),
    "aws-answer-lost": Kind(0.006, "an AWS call takes effect and its answer is lost"),
    "aws-repeated": Kind(0.004, "botocore repeats an AWS call that had taken effect"),
    "died-before-aws": Kind(0.002, "the process dies before an AWS call"),
    "died-after-aws": Kind(0.002, "the process dies after an AWS call"),
    "target-refused": Kind(0.02, "EventBridge takes a rule and not its target (FailedEntryCount)"),
    "events-throttled": Kind(0.05, "EventBridge throttles for minutes on end"),
    "slow": Kind(0.015, "a call takes seconds, and others go on meanwhile"),
    "http-not-sent": Kind(0.03, "no connection to the provider"),
    "http-answer-lost-unplaced": Kind(0.02, "a create-call is lost on its way, and so is its answer"),
    "http-answer-lost-placed": Kind(0.03, "a create-call is carried out and its answer is lost"),
    "http-5xx-unplaced": Kind(0.02, "the provider answers 5xx and places nothing"),
    "http-5xx-placed": Kind(0.02, "the provider answers 5xx and places the call"),
    "http-slow": Kind(0.1, "the provider takes seconds to answer, and its callbacks come first"),
    "died-before-http": Kind(0.015, "the process dies before a request to the provider"),
    "died-after-http": Kind(0.015, "the process dies after a request to the provider"),
    "account-fault": Kind(0.04, "the provider's account is locked for minutes on end"),
    "callback-dropped": Kind(0.05, "a callback never comes"),
    "callback-late": Kind(0.08, "a callback comes up to five minutes late, after others"),
    "callback-hours-late": Kind(0.01, "a callback comes hours late"),
    "callback-twice": Kind(0.08, "a callback comes twice"),
    "rule-twice": Kind(0.05, "a rule fires twice"),
    "rule-late": Kind(0.05, "a rule fires minutes late"),
    "rule-never": Kind(0.04, "a rule never fires"),
    "clock-step": Kind(0.2, "the clock is put forward or back by seconds"),
}

#: Kinds that last: drawn once an hour, and in force for this long
LASTING = ("events-throttled", "account-fault")
SHORTEST, LONGEST = timedelta(minutes=3), timedelta(minutes=20)


@dataclass(frozen=True, slots=True)
class Injected:
    """One fault that was injected; ``name`` says where, the same in every run of the seed."""

    kind: str
    name: str
    at: datetime

    @property
    def id(self) -> str:
        """What mutes this one fault."""
        return f"{self.kind}@{self.name}"


class Faults:
    """Decides on each occasion whether a fault happens, until ``until``. ``muted`` are kinds and single faults."""

    def __init__(self, chance: Chance, level: Level, until: datetime, muted: Iterable[str] = ()) -> None:
        self._chance = chance
        self._scale = {Level.NONE: 0.0, Level.LIGHT: 1 / LIGHTER, Level.HEAVY: 1.0}[level]
        self._muted = frozenset(muted)
        self._seen: set[str] = set()
        self.until = until
        self.injected: list[Injected] = []

    def hits(self, kind: str, at: datetime, *name: object) -> bool:
        """Whether this fault happens on this occasion. An occasion has a name of its own."""
        share = KINDS[kind].share * self._scale
        if at >= self.until or not share or self._chance.unit(kind, *name) >= share:
            return False
        fault = Injected(kind, "/".join(map(str, name)), at)
        if kind in self._muted or fault.id in self._muted:
            return False
        if fault.id not in self._seen:
            self._seen.add(fault.id)
            self.injected.append(fault)
        return True

    def lasts(self, kind: str, at: datetime, *name: object) -> bool:
        """Whether a lasting fault is in force now."""
        hour = at.replace(minute=0, second=0, microsecond=0)
        occasion = (*name, f"{hour:%m%dT%H}")
        begins = hour + timedelta(minutes=self._chance.between(0, 40, kind, "begins", *occasion))
        span = self._chance.unit(kind, "span", *occasion)
        if not begins <= at < begins + SHORTEST + (LONGEST - SHORTEST) * span:
            return False
        return self.hits(kind, at, *occasion)

    def counted(self) -> Counter[str]:
        """How many faults of each kind were injected."""
        return Counter(fault.kind for fault in self.injected)
