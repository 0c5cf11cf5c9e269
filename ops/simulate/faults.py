"""The faults that a simulation injects, with their rates. The seed draws them."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from ops.simulate.chance import Chance


class Level(StrEnum):
    """The amount of faults in a run."""

    NONE = "none"
    LIGHT = "light"
    HEAVY = "heavy"


class Crash(BaseException):
    """The death of the process. No ``except Exception`` of the app catches it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault: its share of the occasions under heavy faults, its effect."""

    share: float
    what: str


#: Light faults are this many times less frequent than heavy ones.
LIGHTER = 6.0

KINDS = {
    "aws-refused": Kind(0.006, "an AWS call fails and changes nothing"),
    "callback-refused-by-aws": Kind(0.004, "an AWS call fails while a callback is recorded"),
    "aws-answer-lost": Kind(0.006, "an AWS call takes effect and its answer is lost"),
    "aws-repeated": Kind(0.004, "botocore repeats an AWS call that had taken effect"),
    "died-before-aws": Kind(0.002, "the process dies before an AWS call"),
    "died-after-aws": Kind(0.002, "the process dies after an AWS call"),
    "target-refused": Kind(0.02, "EventBridge accepts a rule and rejects its target (FailedEntryCount)"),
    "events-throttled": Kind(0.05, "EventBridge throttles for minutes"),
    "slow": Kind(0.015, "a call takes seconds, and other handlers continue meanwhile"),
    "commit-slow": Kind(0.01, "a transaction takes seconds to arrive, and other handlers continue meanwhile"),
    "http-not-sent": Kind(0.03, "no connection to the provider"),
    "http-answer-lost-unplaced": Kind(0.02, "a create-call is lost on its way, and so is its answer"),
    "http-answer-lost-placed": Kind(0.03, "a create-call is carried out and its answer is lost"),
    "http-5xx-unplaced": Kind(0.02, "the provider answers 5xx and places nothing"),
    "http-5xx-placed": Kind(0.02, "the provider answers 5xx and places the call"),
    "http-slow": Kind(0.1, "the provider takes seconds to answer, and its callbacks come first"),
    "died-before-http": Kind(0.015, "the process dies before a request to the provider"),
    "died-after-http": Kind(0.015, "the process dies after a request to the provider"),
    "account-fault": Kind(0.15, "the provider's account is locked for minutes"),
    "provider-down": Kind(0.06, "the provider cannot be reached for minutes"),
    "lookups-down": Kind(0.1, "the provider answers no look-up of its calls, for hours"),
    "incident": Kind(0.03, "the provider's API and look-ups are down for hours, and half of its callbacks are lost"),
    "credentials-removed": Kind(0.015, "a provider's credentials are removed for hours"),
    "never-ends": Kind(0.08, "a provider always says that a call is in progress, or gives an unknown status"),
    "fault-by-lookup": Kind(0.1, "a call fails because of the account, and only a look-up shows that"),
    "records-late": Kind(0.04, "a call rings that its provider reports and shows only hours later"),
    "callback-dropped": Kind(0.05, "a callback never comes"),
    "callback-late": Kind(0.08, "a callback comes up to five minutes late, after others"),
    "callback-hours-late": Kind(0.03, "a callback comes hours late"),
    "callback-twice": Kind(0.08, "a callback comes twice"),
    "rule-twice": Kind(0.15, "a rule fires twice"),
    "rule-late": Kind(0.05, "a rule fires minutes late"),
    "rule-never": Kind(0.04, "a rule never fires"),
    "outage": Kind(0.03, "no Lambda runs for minutes, or for an hour and a half"),
    "clock-step": Kind(0.2, "the clock is put forward or back by seconds"),
}

#: Lasting kinds: one draw an hour decides about each. The values are the shortest and longest duration in minutes.
LASTING = {
    "events-throttled": (3, 20),
    "account-fault": (3, 40),
    "provider-down": (3, 20),
    "lookups-down": (30, 240),
    "outage": (3, 90),
    "incident": (120, 240),
    "credentials-removed": (60, 300),
}


#: No run has faults for longer than this.
MAX_RUN = timedelta(hours=48)


@dataclass(frozen=True, slots=True)
class Injected:
    """One fault that was injected. ``name`` says where, and is the same in every run."""

    kind: str
    name: str
    at: datetime

    @property
    def id(self) -> str:
        """The id that mutes this one fault."""
        return f"{self.kind}@{self.name}"

    def is_of_another(self, index: int) -> bool:
        """Return True if the fault hit only requests of, or for, another call.

        Such faults have the call's index in their name.
        """
        words = self.name.partition("/")[0].split(" ")
        if words[0].startswith(("redial", "sweep")):
            return False
        of = words[1] if len(words) > 1 else words[0]
        return of.isdecimal() and int(of) != index


@dataclass(frozen=True, slots=True)
class Span:
    """The time in which a lasting fault is in force."""

    occasion: tuple[object, ...]
    begins: datetime
    ends: datetime


class Faults:
    """Decides on each occasion whether a fault happens, until ``until``.

    ``muted`` are kinds, and ids of single faults, that never happen.
    """

    def __init__(self, chance: Chance, level: Level, until: datetime, muted: Iterable[str] = ()) -> None:
        self._chance = chance
        self._scale = {Level.NONE: 0.0, Level.LIGHT: 1 / LIGHTER, Level.HEAVY: 1.0}[level]
        self._muted = frozenset(muted)
        self._seen: set[str] = set()
        self._spans: dict[tuple[object, ...], list[Span]] = {}
        self.until = until
        self.injected: list[Injected] = []

    def hits(self, kind: str, at: datetime, *name: object) -> bool:
        """Decide if this fault happens on this occasion. Each occasion has its own name."""
        if not self._would_hit(kind, at, *name):
            return False
        fault = Injected(kind, "/".join(map(str, name)), at)
        if fault.id not in self._seen:
            self._seen.add(fault.id)
            self.injected.append(fault)
        return True

    def _would_hit(self, kind: str, at: datetime, *name: object) -> bool:
        share = self._chance.share(kind, KINDS[kind].share * self._scale)
        if at >= self.until or not share or self._chance.unit(kind, *name) >= share:
            return False
        return kind not in self._muted and f"{kind}@{'/'.join(map(str, name))}" not in self._muted

    def lasts(self, kind: str, at: datetime, *name: object) -> bool:
        """Return True if a lasting fault is in force now."""
        if (kind, *name) not in self._spans:
            self._spans[kind, *name] = list(self._draw_spans(kind, *name))
        spans = self._spans[kind, *name]
        return any(span.begins <= at < span.ends and self.hits(kind, at, *span.occasion) for span in spans)

    def spans(self, kind: str, *name: object) -> list[tuple[datetime, datetime]]:
        """Return the times in which a lasting fault was in force."""
        return [(span.begins, span.ends) for span in self._spans.get((kind, *name), ())]

    def all_spans(self) -> list[tuple[datetime, datetime]]:
        """Return the times in which any lasting fault of the run was in force.

        Faults that no code asked about are not among them.
        """
        return [(span.begins, span.ends) for spans in self._spans.values() for span in spans]

    def _draw_spans(self, kind: str, *name: object) -> Iterator["Span"]:
        hour = self.until - MAX_RUN
        while hour < self.until:
            occasion = (*name, f"{hour:%m%dT%H}")
            begins = hour + timedelta(minutes=self._chance.between(0, 60, kind, "begins", *occasion))
            length = timedelta(minutes=self._chance.between(*LASTING[kind], kind, "span", *occasion))
            if self._would_hit(kind, begins, *occasion):
                yield Span(occasion, begins, min(begins + length, self.until))
            hour += timedelta(hours=1)

    def counted(self) -> Counter[str]:
        """Count the injected faults by kind."""
        return Counter(fault.kind for fault in self.injected)
