"""A fake of Plivo's API over a dictionary. The test draws each answer."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from chalicelib.providers.http import Answer, AnswerLost, Http
from tests.support.crashes import Crash
from tests.support.world import TurnedClock

#: how a call ends -> HangupCauseCode; 1010 is the account's fault (it has run out of credits)
ENDS = {"busy": 3010, "no-answer": 3000, "completed": 4000, "fault": 1010}
#: the answer to a create-call: (does the phone ring, what comes back)
REQUEST_RESULTS = {
    "placed": (True, 201),
    "answer-lost": (True, AnswerLost("reset")),
    "dies-after": (True, Crash("after")),
    "dies-before": (False, Crash("before")),
    "unavailable": (False, 503),
    "too-fast": (False, 429),
    "out-of-credits": (False, 402),
}
LONG_AGO = datetime.min.replace(tzinfo=UTC)
RINGS_FOR = timedelta(seconds=60)
LASTS_FOR = timedelta(minutes=10)


@dataclass
class Ring:
    """A phone that rang for one attempt, and the history of that call."""

    uuid: str
    to_number: str
    from_number: str
    callback_url: str
    at: datetime
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    end: str | None = None

    @property
    def token(self) -> str:
        return self.callback_url.rsplit("/", 1)[1]

    @property
    def call_id(self) -> str:
        return self.token.split(".")[0]


@dataclass
class Carrier(Http):
    """The fake provider behind Redial's HTTP client.

    It calls ``on_ring`` with each call before the phone rings.
    """

    clock: TurnedClock
    on_ring: Callable[[Ring], None]
    rings: list[Ring] = field(default_factory=list)
    #: the answers to the next create-calls; all later ones are placed
    next_answers: list[str] = field(default_factory=list)
    #: done during the next create-call, after the phone begins to ring
    meanwhile: list[Callable[[Ring], None]] = field(default_factory=list)
    #: until this time only create-calls are answered
    down_until: datetime = LONG_AGO

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        form: Sequence[tuple[str, str]] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        parts = urlsplit(url)
        call = parts.path.rstrip("/").rsplit("/", 1)[1]
        if method == "POST":
            return self._placed(json.loads(body or b""))
        if self.clock.now() < self.down_until:
            return answer(503, {})
        self.let_time_pass()
        if method == "DELETE":
            return self._hung_up(call)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        return self._listed(query) if call == "Call" else self._looked_up(call, query.get("status"))

    def let_time_pass(self) -> None:
        """End the calls that nobody answered in time, and those that reached their limit."""
        for ring in self.rings:
            limit = ring.at + RINGS_FOR if ring.answered_at is None else ring.answered_at + LASTS_FOR
            if ring.end is None and limit <= self.clock.now():
                ring.end, ring.ended_at = "completed" if ring.answered_at else "no-answer", limit

    def live(self) -> list[Ring]:
        self.let_time_pass()
        return [ring for ring in self.rings if ring.end is None]

    def _placed(self, asked: Mapping[str, Any]) -> Answer:
        rings, back = REQUEST_RESULTS[self.next_answers.pop(0) if self.next_answers else "placed"]
        uuid = f"00000000-0000-4000-8000-{len(self.rings) + 1:012d}"
        if rings:
            numbers = ("+" + str(asked["to"]), "+" + str(asked["from"]))
            ring = Ring(uuid, *numbers, str(asked["hangup_url"]), self.clock.now())
            self.let_time_pass()
            self.on_ring(ring)
            self.rings.append(ring)
            while self.meanwhile:
                self.meanwhile.pop(0)(ring)
        if isinstance(back, BaseException):
            raise back
        return answer(back, {"request_uuid": uuid} if back == 201 else {"error": "not enough credits"})

    def _hung_up(self, uuid: str) -> Answer:
        for ring in self.live():
            if ring.uuid == uuid:
                ring.end, ring.ended_at = "completed" if ring.answered_at else "no-answer", self.clock.now()
                return answer(204, {})
        return answer(404, {})

    def _looked_up(self, uuid: str, place: str | None) -> Answer:
        found = next((ring for ring in self.rings if ring.uuid == uuid), None)
        if found is None or (place or "ended") != ("live" if found.end is None else "ended"):
            return answer(404, {})
        return answer(200, record(found))

    def _listed(self, query: Mapping[str, str]) -> Answer:
        if "status" in query:
            live = [ring.uuid for ring in self.live()] if query["status"] == "live" else []
            return answer(200, {"calls": live})
        ended = [ring for ring in self.rings if ring.end is not None and ring.to_number == query["to_number"]]
        return answer(200, {"meta": {"next": None}, "objects": [record(ring) for ring in ended]})


def record(ring: Ring) -> dict[str, Any]:
    """Return a live or ended call as Plivo's API shows it."""
    if ring.end is None:
        numbers = {"to": ring.to_number[1:], "from": ring.from_number[1:], "direction": "outbound"}
        status = "in-progress" if ring.answered_at else "ringing"
        return {"call_uuid": ring.uuid, "call_status": status, "session_start": naive(ring.at), **numbers}
    return {
        "call_uuid": ring.uuid,
        "to_number": ring.to_number[1:],
        "from_number": ring.from_number[1:],
        "call_direction": "outbound",
        "call_duration": talked_sec(ring),
        "answer_time": ring.answered_at.isoformat(" ") if ring.answered_at else None,
        "initiation_time": ring.at.isoformat(" "),
        "end_time": (ring.ended_at or ring.at).isoformat(" "),
        "hangup_cause_code": ENDS[ring.end],
    }


def callback(ring: Ring, kind: str) -> dict[str, str]:
    """Return a callback's fields: ``ringing``, ``answered``, or the call's ``end``."""
    fields = {
        "CallUUID": ring.uuid,
        "ALegUUID": ring.uuid,
        "RequestUUID": ring.uuid,
        "Direction": "outbound",
        "To": ring.to_number[1:],
        "From": ring.from_number[1:],
        "SessionStart": naive(ring.at),
    }
    if kind != "end":
        status = {"ringing": ("Ring", "ringing"), "answered": ("StartApp", "in-progress")}[kind]
        return {**fields, "Event": status[0], "CallStatus": status[1]}
    status_of_end = "failed" if ring.end == "fault" else str(ring.end)
    return {
        **fields,
        "Event": "Hangup",
        "CallStatus": status_of_end,
        "HangupCauseCode": str(ENDS[str(ring.end)]),
        "AnswerTime": naive(ring.answered_at) if ring.answered_at else "",
        "Duration": str(talked_sec(ring)),
    }


def talked_sec(ring: Ring) -> int:
    if ring.answered_at is None or ring.ended_at is None:
        return 0
    return int((ring.ended_at - ring.answered_at).total_seconds())


def naive(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S")


def answer(status: int, body: Any) -> Answer:
    return Answer(status, {"content-type": "application/json"}, json.dumps(body).encode())
