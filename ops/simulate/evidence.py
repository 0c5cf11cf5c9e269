"""The evidence of a run: requests and answers, the carrier's record, the table."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ops.simulate.carrier import Leg
from ops.simulate.engine import Said
from ops.simulate.faults import Injected, Level
from ops.simulate.traffic import Act, CallRequest

#: Faults that do not stop a request from keeping its promise
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
    """A plan of what to run.

    ``kept`` are the indices of the calls that stay, None for all calls. ``muted`` are the faults that are left out. In
    a ``rush`` every call comes in a burst, to few numbers, under few slots, and the workspace is paused during the
    burst. A ``focus`` (``focus.FOCI``) raises the odds of one situation.
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
    """An attempt that appeared in the table.

    ``tick`` orders the commit, ``at`` is the true time and ``app_at`` the time of the app's clock. ``began`` is when
    the handler that claimed the attempt started.
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
    """A change of the gate of an account or of a workspace.

    ``closed`` names who closed the gate; None if the gate is open.
    """

    scope: str
    tick: int
    closed: str | None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Paced:
    """One more call that was counted as started in a stretch of time.

    ``scope`` is a provider, or ``workspace``.
    """

    scope: str
    tick: int
    at: datetime
    stretch: int


@dataclass(frozen=True, slots=True)
class SlotLeft:
    """A slot that is still taken at the end of the run.

    ``lease_until`` is in epoch seconds of the app's clock, and ``holder`` is the attempt.
    """

    slot: str
    holder: str
    lease_until: int


@dataclass(frozen=True, slots=True)
class ActRequest:
    """One request for a user's act, with any answer.

    The act may have taken effect between the two ticks.
    """

    kind: str
    number: str
    asked_tick: int
    tick: int


@dataclass(frozen=True, slots=True)
class AnsweredAct:
    """A user's act that the app answered with 200.

    The user asked at ``asked_tick`` and the app answered at ``tick``. ``left`` are the calls that the act should have
    ended or rescheduled, and that still wait in the table as before.
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
    """A difference between the wheel's places and the waiting calls.

    It was found while no handler ran.

    Only places in later minutes count. ``over`` places were held by no call, and ``under`` calls had no place.
    ``leaks`` is the number of places that may have leaked by then, through failed requests or processes that died.
    """

    at: datetime
    over: int
    under: int
    leaks: int


@dataclass(frozen=True, slots=True)
class Misindexed:
    """A call that the due index had at a wrong time after a write at ``at``.

    ``due_at`` is the call's own due time or deadline. None is for a call that waits for nothing, and for a call that
    the index does not have.
    """

    call_id: str
    at: datetime
    due_at: datetime | None
    indexed_at: datetime | None


@dataclass(frozen=True, slots=True)
class AppRequest:
    """A request to the app: its label, and when it began and ended."""

    label: str
    began: datetime
    ended: datetime


@dataclass(frozen=True, slots=True)
class LimitSet:
    """The workspace's concurrency limit from a time on."""

    at: datetime
    most: int


@dataclass(frozen=True, slots=True)
class Waited:
    """A wait for a due dial, and its result.

    ``became`` is ``dialing``, ``scheduled`` (rescheduled) or the state in which the call ended.
    """

    call_id: str
    due_at: datetime
    at: datetime
    became: str


@dataclass(slots=True)
class Evidence:
    """All facts that the invariants check.

    Times are true times, except those that the table holds.
    """

    plan: Plan
    env: Mapping[str, str]
    call_requests: dict[int, CallRequest] = field(default_factory=dict)
    acts: list[Act] = field(default_factory=list)
    #: index -> the ids of the calls that the request made
    call_ids: dict[int, list[str]] = field(default_factory=dict)
    #: answers to POST /calls and to acts that no fault explains: (index, text)
    refused: list[tuple[int, str]] = field(default_factory=list)
    legs: Sequence[Leg] = ()
    #: the number of requests that the providers received, and those that do not match the vendor's schema: (index,
    #: text)
    received: int = 0
    malformed: list[tuple[int, str]] = field(default_factory=list)
    claims: list[Claimed] = field(default_factory=list)
    waited: list[Waited] = field(default_factory=list)
    answered_acts: list[AnsweredAct] = field(default_factory=list)
    act_requests: list[ActRequest] = field(default_factory=list)
    gates: list[GateSeen] = field(default_factory=list)
    paced: list[Paced] = field(default_factory=list)
    #: an attempt's token -> the tick at which the table showed that it had ended, or that it was taken back
    settled: dict[str, int] = field(default_factory=dict)
    #: the concurrency limit in the workspace's own settings
    own_limit: int | None = None
    #: the lower limits that an operator set later
    lowered: list[LimitSet] = field(default_factory=list)
    #: a call's id -> the tick at which it was made
    made_at: dict[str, int] = field(default_factory=dict)
    #: how often the places were compared with the calls, and the differences
    places_seen: int = 0
    misplaced: list[Misplaced] = field(default_factory=list)
    #: how many writes of calls were compared with the due index, and the differences
    indexed: int = 0
    misindexed: list[Misindexed] = field(default_factory=list)
    app_requests: list[AppRequest] = field(default_factory=list)
    #: callbacks of calls that the app did not place: (kind, status that the app answered)
    strangers: list[tuple[str, int]] = field(default_factory=list)
    #: the times in which a lasting fault was in force
    spans: Sequence[tuple[datetime, datetime]] = ()
    #: the table at the end of the run, as plain values
    calls: dict[str, dict[str, Any]] = field(default_factory=dict)
    attempts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    decisions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    numbers: dict[str, dict[str, Any]] = field(default_factory=dict)
    slots_left: list[SlotLeft] = field(default_factory=list)
    #: a number whose erasure was answered -> the keys of the items that still contain its digits
    digits_left: dict[str, list[str]] = field(default_factory=dict)
    #: the times in which no Lambda ran
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
    def last_requests(self) -> list[CallRequest]:
        """The calls that are requested long after all faults, one for each provider."""
        return [request for index, request in self.call_requests.items() if index >= self.plan.calls]

    def index_of(self, call_id: str) -> int:
        """Return the index of the request that made the call; -1 if no request did."""
        return next((index for index, ids in self.call_ids.items() if call_id in ids), -1)

    def is_disturbed(self, begins: datetime, ends: datetime, index: int) -> bool:
        """Return True if a fault between two times may explain a broken promise to a call.

        ``index`` is the call's index in the traffic.
        """
        near = (fault for fault in self.injected if begins <= fault.at <= ends)
        single = any(not fault.kind.startswith(HARMLESS) and not fault.is_of_another(index) for fault in near)
        return single or any(since <= ends and begins <= until for since, until in self.spans)

    def leg_of(self, token: str) -> Leg | None:
        """Return the create-call of an attempt; None if there was no create-call."""
        return next((leg for leg in self.legs if leg.token == token), None)

    def late_records(self, call_id: str) -> int:
        """Count the create-calls of a call that its provider did not show for hours."""
        return sum(1 for leg in self.legs_of(call_id) if leg.shown_at is not None)

    def legs_of(self, call_id: str) -> list[Leg]:
        """Return the create-calls for one call, in order."""
        return [leg for leg in self.legs if leg.call_id == call_id]
