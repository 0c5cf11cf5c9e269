"""The model carrier: it answers as the providers' APIs do and ends each call.

It keeps a record of what really happened to each call.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, cast
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from chalicelib.providers.http import Answer, AnswerLost, Http, NotSent
from ops.local import carrier_plivo, carrier_twilio
from ops.local.exchange import Callback, Exchange, Personality, Reply, Request, fields
from ops.local.line import Call, Line, Moment, Order
from ops.local.vendor_schemas import invalid
from ops.simulate import twists
from ops.simulate.chance import Chance
from ops.simulate.engine import Engine
from ops.simulate.fates import FATES, MORE_OF, NAMED_WAITS_SEC, Fate
from ops.simulate.faults import Crash, Faults
from ops.simulate.twists import Contradiction

#: The host of a provider's API -> the provider
HOSTS = {"api.twilio.com": "twilio", "api.plivo.com": "plivo"}
CONNECT_SEC, READ_SEC = 3.0, 10.0


class Replied(StrEnum):
    """The answer to a create-call, as the carrier knows it."""

    PLACED = "placed"
    REFUSED = "refused"  # because of the number: the attempt has ended
    DEFERRED = "deferred"  # because of a rate limit or of the account: nothing was placed
    UNCLEAR = "unclear"  # a 5xx, or a lost answer: the app cannot know what happened


#: The share of calls that make a leg of their own (to an agent, for example), and of callbacks without a direction
WITH_A_CHILD, WITHOUT_DIRECTION = 0.3, 0.2
#: How many hours late a provider's records show a call, if they are late, and how often the answer to the create-call
#: is lost as well
RECORDS_LATE_HOURS, ANSWER_LATE_TOO = (1.2, 5.0), 0.5
#: The refusal in a fate -> the carrier's record of the answer
REPLIES = {"invalid-number": Replied.REFUSED, "throttled": Replied.DEFERRED, "auth": Replied.DEFERRED}


@dataclass(slots=True)
class Leg:
    """One create-call as the carrier received it.

    ``index`` is the call's index in the traffic. ``made`` is the call that rang.
    """

    index: int
    call_id: str
    attempt: int
    token: str
    provider: str
    to: str
    at: datetime
    app_at: datetime
    tick: int
    replied: Replied = Replied.UNCLEAR
    #: when the app received the answer, or gave up waiting for it
    answered_at: datetime | None = None
    made: Call | None = None
    #: the callbacks that the carrier posted for this leg
    callbacks: list["AnsweredCallback"] = field(default_factory=list)
    looked_up: int = 0
    #: an end that contradicts the answer
    contradiction: Contradiction | None = None
    #: when the call was to end by itself, and whether the app asked to hang it up
    was_to_end: datetime | None = None
    hang_up_asked: bool = False
    #: the provider never reports the end: it says that the call is in progress, or gives an unknown status
    never_ends: bool = False
    in_limbo: bool = False
    #: the account is at fault, and only a look-up shows that
    faulted: bool = False
    #: until this time the provider's records do not show the call, and the provider sends no callbacks for it
    shown_at: datetime | None = None

    @property
    def sid(self) -> str | None:
        """The provider's id of the call; None if nothing rang."""
        return self.made.order.call_id if self.made else None

    @property
    def ended_at(self) -> datetime | None:
        """The time at which the call ended or will end; None if nothing rang."""
        return self.made.moments[-1].at if self.made else None

    @property
    def person_answered(self) -> bool:
        """A person answered the call."""
        return self.made is not None and self.made.end == "completed" and not self.made.line.behaviour.machine

    def proofs(self) -> list["AnsweredCallback"]:
        """Return the callbacks that proved to the app that the call was answered."""
        by_the_end = (
            self.made is not None
            and self.made.end == "completed"
            and (self.contradiction is None or self.contradiction.proven)
        )
        proving = {"answered", "amd"} | ({"ended"} if by_the_end else set())
        return [each for each in self.callbacks if each.status == 200 and each.moment in proving]

    def outcome(self, machine_detected: bool) -> str | None:
        """Return how the call really ended, in Redial's words.

        ``machine_detected`` is True if the app received the result of answering machine detection. If no callback
        reported the answer, an end that contradicts the answer is the truth that the app can know.
        """
        if (
            self.contradiction is not None
            and self.made is not None
            and self.made.end == "completed"
            and not self.proofs()
        ):
            return self.contradiction.end
        if self.made is None:
            return "invalid-number" if self.replied is Replied.REFUSED else None
        if self.made.end == "completed" and machine_detected and self.made.line.behaviour.machine:
            return "voicemail"
        return self.made.end


@dataclass(frozen=True, slots=True)
class AnsweredCallback:
    """A callback that the app has answered.

    ``kept`` is True if the table showed the end of the attempt after that answer.
    """

    moment: str
    tick: int
    status: int
    kept: bool = True


#: Posts a moment of a leg to the app: takes the leg, its moment, and the signed callback
Post = Callable[[Leg, Moment, Callback], None]


class ModelCarrier(Http):
    """A model of all providers' APIs. It calls ``post`` with each callback in time."""

    def __init__(
        self, engine: Engine, chance: Chance, faults: Faults, environment: Mapping[str, str], post: Post
    ) -> None:
        self._engine = engine
        self._chance = chance
        self._faults = faults
        self._post = post
        self._env = environment
        self._reached: Counter[int] = Counter()
        self._asked: Counter[str] = Counter()
        self._personalities: dict[str, Personality] = {
            "twilio": carrier_twilio.personality(environment),
            "plivo": carrier_plivo.personality(environment),
        }
        self.legs: list[Leg] = []
        self.by_sid: dict[str, Leg] = {}
        #: answers to look-ups of calls that the app did not place: customers' own calls, and legs of other calls
        self.strangers: dict[str, Reply] = {}
        #: the number of requests that were answered, and the errors of those that do not match the vendor's schema
        self.received = 0
        self.malformed: list[tuple[int, str]] = []

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        form: Sequence[tuple[str, str]] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Answer as the provider would, unless a fault happens."""
        parts = urlsplit(url)
        provider = HOSTS[parts.hostname or ""]
        raw = urlencode(form).encode() if form is not None else body or b""
        lower = {name.lower(): value for name, value in headers.items()}
        if form is not None:
            lower["content-type"] = "application/x-www-form-urlencoded"
        request = Request(method, unquote(parts.path), fields(parts.query), lower, raw)
        order = self._personalities[provider].order(request)
        if order is None:
            return self._managed(provider, request)
        return self._ordered(provider, request, order)

    def call(self, provider: str, call_id: str) -> Call | None:
        """Return the provider's call with that id, for its personality."""
        leg = self.by_sid.get(call_id)
        return _shown(leg) if leg and leg.provider == provider else None

    def calls(self, provider: str) -> list[Call]:
        """Return the provider's calls, the newest first, for its personality."""
        ours = (leg for leg in reversed(self.legs) if leg.provider == provider and not self._is_missing(leg))
        return [shown for leg in ours if (shown := _shown(leg)) is not None]

    def _is_missing(self, leg: Leg) -> bool:
        """Return True while the provider's records do not show this call."""
        return leg.shown_at is not None and self._engine.at < leg.shown_at

    def hang_up(self, call_id: str) -> Call:
        """End a call now, as its personality asks. Raises KeyError if nothing rang."""
        leg = self.by_sid[call_id]
        if leg.made is None:
            raise KeyError(call_id)
        was, leg.made = leg.made, leg.made.hung_up(self._engine.at)
        if leg.made != was:
            self._engine.say(leg.index, f"carrier: {leg.call_id}-{leg.attempt} is hung up")
            self._expect(leg, leg.made.moments[-1])
        return leg.made

    def _managed(self, provider: str, request: Request) -> Answer:
        sid = next((sid for sid in self.by_sid if sid in request.path), "")
        leg = self.by_sid.get(sid)
        index = leg.index if leg else -1
        self._asked[sid] += 1
        name = (index, leg.attempt if leg else 0, request.method, self._asked[sid])
        if leg is not None and request.method != "GET":
            leg.hang_up_asked = True
        self._before(provider, index, *name)
        if request.method == "GET" and self._faults.lasts("lookups-down", self._engine.at, provider):
            return Answer(503, {}, b"")
        personality = self._personalities[provider]
        wrong = self._wrong(index, personality, request)
        stranger = next((reply for sid, reply in self.strangers.items() if sid in request.path), None)
        missing = Reply(404, {}) if leg is not None and request.method == "GET" and self._is_missing(leg) else None
        reply = wrong or stranger or missing or personality.manage(request, cast(Exchange, self)) or Reply(404, {})
        reply = twists.with_faults(
            reply,
            frozenset(sid for sid, leg in self.by_sid.items() if leg.in_limbo),
            frozenset(sid for sid, leg in self.by_sid.items() if leg.faulted),
        )
        self._engine.say(index, f"carrier: {request.method} of {sid[:12]} is answered {reply.status}")
        if leg is not None and request.method == "GET" and reply.status == 200:
            leg.looked_up += 1
        self._after(index, *name)
        return _answer(reply)

    def _ordered(self, provider: str, request: Request, order: Order) -> Answer:
        token, index = _token(order.form), _index(order.form)
        call_id, attempt, _ = token.split(".")
        name = (index, int(attempt), token[-6:] if index < 0 else self._reached[index])
        self._before(provider, index, *name)
        leg = Leg(
            index, call_id, int(attempt), token, provider, _plus(order.to), self._engine.at, self._engine.now(), 0
        )
        if self._hits("http-answer-lost-unplaced", index, *name):
            self._engine.linger(READ_SEC)
            raise AnswerLost("simulated")
        self.legs.append(leg)
        self._reached[index] += 1
        reply = self._take(leg, request, order, name)
        leg.tick = self._engine.say(
            index, f"carrier: POST of {call_id}-{attempt} to {provider}: {_reply_text(leg, reply)}"
        )
        self._engine.linger(6.0 if self._hits("http-slow", index, *name) else 0.2)
        leg.answered_at = self._engine.at
        self._after(index, *name)
        lost = leg.shown_at is not None and self._chance.unit("late records", *name) < ANSWER_LATE_TOO
        if lost or self._hits("http-answer-lost-placed", index, *name):
            leg.replied = Replied.UNCLEAR
            self._engine.linger(READ_SEC)
            raise AnswerLost("simulated")
        wait_sec = self._chance.pick(NAMED_WAITS_SEC, "named wait", *name) if reply.status == 429 else ""
        return _answer(reply, {"retry-after": wait_sec} if wait_sec else {})

    def _take(self, leg: Leg, request: Request, order: Order, name: tuple[object, ...]) -> Reply:
        personality = self._personalities[leg.provider]
        malformed = personality.refusal(request, order) or self._wrong(leg.index, personality, request)
        if malformed is not None:
            leg.replied = Replied.REFUSED
            return malformed
        if self._hits("http-5xx-unplaced", leg.index, *name):
            return personality.refused("error", order)
        if self._faults.lasts("account-fault", leg.at, leg.provider):
            leg.replied = Replied.DEFERRED
            return personality.refused("auth", order)
        fate = self._chance.pick(FATES, "fate", leg.index, self._reached[leg.index])
        for situation, more in MORE_OF.items():
            if self._chance.unit(situation, *name) < self._chance.odds(situation, 0):
                fate = more
        if fate.answer != "placed":
            leg.replied = REPLIES[fate.answer]
            return personality.refused(fate.answer, order)
        fate = self._with_fault(leg, fate, name)
        leg.made = self._dial(leg, order, fate)
        leg.contradiction, leg.was_to_end = fate.contradiction, leg.ended_at
        self.by_sid[order.call_id] = leg
        for moment in leg.made.moments:
            self._expect(leg, moment)
        if self._hits("http-5xx-placed", leg.index, *name):
            return personality.refused("error", order)
        leg.replied = Replied.PLACED
        return personality.accepted(leg.made)

    def _with_fault(self, leg: Leg, fate: Fate, name: tuple[object, ...]) -> Fate:
        """Return the fate of a call, changed if its provider loses the end or has a fault.

        A call with a fault fails because the account is out of credits. Only a look-up shows that.
        """
        if leg.provider == "plivo" and self._hits("fault-by-lookup", leg.index, *name):
            leg.faulted = True
            return Fate(end="failed")
        if self._hits("never-ends", leg.index, *name):
            leg.never_ends = True
            leg.in_limbo = self._chance.unit("limbo", *name) < 0.5
        elif self._hits("records-late", leg.index, *name):
            leg.shown_at = leg.at + timedelta(hours=self._chance.between(*RECORDS_LATE_HOURS, "records", *name))
        return fate

    def _wrong(self, index: int, personality: Personality, request: Request) -> Reply | None:
        """Return and record the error for a request that breaks the vendor's schema."""
        self.received += 1
        reply = invalid(personality, request)
        if reply is not None:
            self.malformed.append((index, f"{personality.provider} answers {request.method}: {reply.body}"))
        return reply

    def _dial(self, leg: Leg, order: Order, fate: Fate) -> Call:
        lasts = self._chance.stream("line", leg.index, self._reached[leg.index])
        ring_sec = order.ring_limit_sec + 1 if fate.end == "no-answer" else lasts.uniform(2, 25)
        talk_sec = lasts.choice((3.0, 20.0, 90.0, 400.0, 400.0))
        line = Line("voicemail" if fate.machine else fate.end, ring_sec, talk_sec)
        return Call.dial(order, line, fate.end, leg.at)

    def _expect(self, leg: Leg, moment: Moment) -> None:
        def arrive() -> None:
            # A call that was hung up has other moments than those it was dialled with.
            if leg.made is not None and moment in leg.made.moments:
                for callback in self._personalities[leg.provider].callbacks(leg.made, moment):
                    self._send(leg, leg.made, moment, callback)

        self._engine.at_time(moment.at if leg.shown_at is None else max(moment.at, leg.shown_at), arrive)

    def _send(self, leg: Leg, made: Call, moment: Moment, callback: Callback) -> None:
        """Post a callback in the provider's words, and the end of a leg of the call."""
        has_ended = moment.name == "ended"
        talked = has_ended and made.end == "completed"
        name = (leg.index, leg.attempt, moment.name)
        if talked and self._chance.unit("child", *name) < WITH_A_CHILD:
            child = twists.of_a_child(self._env, leg.provider, callback, f"{'CA' + '9' * 24}{len(self.by_sid):08d}")
            self._post(leg, Moment("child", moment.at), child)
        if has_ended and (leg.never_ends or leg.faulted):
            return
        if talked and leg.contradiction is not None:
            callback = twists.contradicting(self._env, leg.provider, callback, leg.contradiction)
        if (
            moment.name in ("answered", "amd")
            and leg.contradiction is not None
            and not leg.contradiction.proven
            and leg.made is not None
        ):
            late_sec = self._chance.between(-300, 300, "answer told", *name)
            if late_sec > 0:
                # The callback about the answer comes after the end that contradicts it.
                told_at = leg.made.moments[-1].at + timedelta(seconds=late_sec)
                self._engine.at_time(told_at, lambda: self._post(leg, moment, callback))
                return
        if moment.name != "amd" and self._chance.unit("no direction", *name) < WITHOUT_DIRECTION:
            callback = twists.without_direction(self._env, leg.provider, callback)
        self._post(leg, moment, callback)

    def _before(self, provider: str, index: int, *name: object) -> None:
        if self._hits("died-before-http", index, *name):
            raise Crash(f"before asking the provider, {name}")
        down = any(self._faults.lasts(kind, self._engine.at, provider) for kind in ("provider-down", "incident"))
        if down or self._hits("http-not-sent", index, *name):
            self._engine.linger(CONNECT_SEC)
            raise NotSent("simulated")

    def _after(self, index: int, *name: object) -> None:
        if self._hits("died-after-http", index, *name):
            raise Crash(f"after asking the provider, {name}")

    def _hits(self, kind: str, index: int, *name: object) -> bool:
        if not self._faults.hits(kind, self._engine.at, *name):
            return False
        self._engine.say(index, f"fault {kind} at {'/'.join(map(str, name))}")
        return True


def _shown(leg: Leg) -> Call | None:
    """Return the call as its provider shows it. The provider may have lost the end."""
    if leg.made is None or not leg.never_ends:
        return leg.made
    return replace(leg.made, moments=tuple(moment for moment in leg.made.moments if moment.name != "ended"))


def _answer(reply: Reply, headers: Mapping[str, str] | None = None) -> Answer:
    body = b"" if reply.body is None else json.dumps(reply.body).encode()
    return Answer(reply.status, {"content-type": "application/json", **(headers or {})}, body)


def _token(form: Mapping[str, Any]) -> str:
    """Return the callback token in a create-call of Twilio or Plivo."""
    return str(form.get("StatusCallback") or form["hangup_url"]).rpartition("/")[2]


def _index(form: Mapping[str, Any]) -> int:
    """Return the call's index in the traffic: its variable ``n`` in the answer URL."""
    url = str(form.get("Url") or form.get("answer_url"))
    return int(dict(parse_qsl(urlsplit(url).query)).get("n", "-1"))


def _plus(number: str) -> str:
    return number if number.startswith("+") else f"+{number}"


def _reply_text(leg: Leg, reply: Reply) -> str:
    if leg.made is None:
        return f"{reply.status}, nothing rings"
    lasts = leg.made.moments[-1].at - leg.at
    machine = " (an answering machine)" if leg.made.line.behaviour.machine else ""
    return f"{reply.status}, ends {leg.made.end}{machine} after {lasts / timedelta(seconds=1):.0f} s"
