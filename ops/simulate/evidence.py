"""What a run leaves behind to be judged: what was asked and answered, what the carrier saw, what the table says."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ops.simulate.carrier import Leg
from ops.simulate.engine import Said
from ops.simulate.faults import Injected, Level
from ops.simulate.traffic import Act, Asked

#: Faults that keep no request from what it promises
HARMLESS = (
    "callback-dropped",
    "callback-late",
    "callback-hours-late",
    "callback-twice",
    "rule-",
    "clock-step",
    "http-slow",
    "records-late",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. ``kept`` are the indices of the calls that stay, None for all; ``muted`` the faults left out.

    In a ``rush`` every call comes in a burst, to few numbers, under few slots, and is paused in the midst of it. A
    ``focus`` (``focus.FOCI``) raises the odds of one situation.
    """

    seed: int
    calls: int
    level: Level
    kept: frozenset[int] | None = None
    muted: frozenset[str] = frozenset()
    rush: bool = False
    focus: str | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """An attempt appeared in the table: committed between two ticks, at the true time and by the app's clock.

    The handler that did it ``began`` then.
    """

    call_id: str
    attempt: int
    token: str
    tick: int
    at: datetime
    app_at: datetime
    provider: str
    began: datetime


@dataclass(frozen=True, slots=True)
class GateSeen:
    """An account's gate or a workspace's has changed at a tick: ``closed`` says by whom, None where it is open."""

    scope: str
    tick: int
    closed: str | None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Paced:
    """One more call was counted as started in a stretch of time, of a provider's account or of the ``workspace``."""

    scope: str
    tick: int
    at: datetime
    stretch: int


@dataclass(frozen=True, slots=True)
class SlotLeft:
    """A slot that is taken in the end, until when (epoch seconds of the app's clock), and by which attempt."""

    slot: str
    holder: str
    lease_until: int


@dataclass(frozen=True, slots=True)
class Tried:
    """One request for an act, whatever its answer was: it may have taken effect between the two ticks."""

    kind: str
    number: str
    asked_tick: int
    tick: int


@dataclass(frozen=True, slots=True)
class Answered:
    """A user's act that was answered 200: asked for at one tick, answered at the other.

    ``left`` are calls that the act should have ended or moved, and that the table shows waiting as before.
    """

    act: Act
    call_id: str
    asked_tick: int
    tick: int
    at: datetime
    left: tuple[str, ...] = ()
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Misplaced:
    """At a moment when nothing ran, places of the wheel in later minutes did not match the calls that wait for them.

    ``over`` places were held by no call and ``under`` calls lacked theirs. ``leaks`` is how many may have leaked by
    then, through requests that failed or processes that died.
    """

    at: datetime
    over: int
    under: int
    leaks: int


@dataclass(frozen=True, slots=True)
class Asking:
    """A request to the app: what for, and when it was asked and answered."""

    label: str
    began: datetime
    ended: datetime


@dataclass(frozen=True, slots=True)
class LimitSet:
    """The workspace may have so many calls in flight from this time on."""

    at: datetime
    most: int


@dataclass(frozen=True, slots=True)
class Waited:
    """A call has waited for a dial that was due, and is dialled (``dialing``), moved (``scheduled``) or ended."""

    call_id: str
    due_at: datetime
    at: datetime
    became: str


@dataclass(slots=True)
class Evidence:
    """Everything that the invariants are held against; times are true ones but where they are the table's."""

    plan: Plan
    env: Mapping[str, str]
    asked: dict[int, Asked] = field(default_factory=dict)
    acts: list[Act] = field(default_factory=list)
    #: index -> the calls that were made of it
    call_ids: dict[int, list[str]] = field(default_factory=dict)
    #: answers to POST /calls and to acts that no fault explains: (index, words)
    refused: list[tuple[int, str]] = field(default_factory=list)
    legs: Sequence[Leg] = ()
    #: how many requests the providers received, and those not as the vendor publishes them: (index, words)
    received: int = 0
    malformed: list[tuple[int, str]] = field(default_factory=list)
    claims: list[Claimed] = field(default_factory=list)
    waited: list[Waited] = field(default_factory=list)
    answered: list[Answered] = field(default_factory=list)
    tried: list[Tried] = field(default_factory=list)
    gates: list[GateSeen] = field(default_factory=list)
    paced: list[Paced] = field(default_factory=list)
    #: an attempt's token -> the tick at which the table showed that it had ended, or that it was taken back
    settled: dict[str, int] = field(default_factory=dict)
    #: how many calls the workspace's own settings let be out at once
    own_limit: int | None = None
    #: ... and what an operator lowered that to
    lowered: list[LimitSet] = field(default_factory=list)
    #: a call -> the tick at which it was made
    made_at: dict[str, int] = field(default_factory=dict)
    #: how often the places were compared with the calls, and where they differed
    places_seen: int = 0
    misplaced: list[Misplaced] = field(default_factory=list)
    requests: list[Asking] = field(default_factory=list)
    #: callbacks of calls that somebody else made: (kind, status that the app answered)
    strangers: list[tuple[str, int]] = field(default_factory=list)
    #: when a lasting fault was in force
    spans: Sequence[tuple[datetime, datetime]] = ()
    #: the table in the end, as plain values
    calls: dict[str, dict[str, Any]] = field(default_factory=dict)
    attempts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    decisions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    numbers: dict[str, dict[str, Any]] = field(default_factory=dict)
    slots_left: list[SlotLeft] = field(default_factory=list)
    #: a number whose erasure was answered -> the keys of the items in which its digits stand
    digits_left: dict[str, list[str]] = field(default_factory=dict)
    #: when no Lambda ran
    outages: Sequence[tuple[datetime, datetime]] = ()
    rules_left: list[str] = field(default_factory=list)
    aws_refused: list[str] = field(default_factory=list)
    faults_until: datetime | None = None
    ended_at: datetime | None = None
    trace: Sequence[Said] = ()
    digest: str = ""
    injected: Sequence[Injected] = ()
    swept: Counter[str] = field(default_factory=Counter)
    redialed: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    aws_calls: Counter[str] = field(default_factory=Counter)

    @property
    def last_asked(self) -> list[Asked]:
        """The calls that are asked for when all faults are long over, one for each provider."""
        return [asked for index, asked in self.asked.items() if index >= self.plan.calls]

    def index_of(self, call_id: str) -> int:
        """Which call of the traffic this one was made of; -1 where nobody asked for it."""
        return next((index for index, ids in self.call_ids.items() if call_id in ids), -1)

    def is_disturbed(self, begins: datetime, ends: datetime, index: int) -> bool:
        """Whether any fault happened between two times that may have kept a call of the traffic from its promises."""
        near = (fault for fault in self.injected if begins <= fault.at <= ends)
        single = any(not fault.kind.startswith(HARMLESS) and not fault.is_of_another(index) for fault in near)
        return single or any(since <= ends and begins <= until for since, until in self.spans)

    def leg_of(self, token: str) -> Leg | None:
        """The create-call of an attempt; None where it was never made."""
        return next((leg for leg in self.legs if leg.token == token), None)

    def told_late(self, call_id: str) -> int:
        """For how many create-calls of a call its provider had nothing to show for hours."""
        return sum(1 for leg in self.legs_of(call_id) if leg.shown_at is not None)

    def legs_of(self, call_id: str) -> list[Leg]:
        """The create-calls for one call, in order."""
        return [leg for leg in self.legs if leg.call_id == call_id]
