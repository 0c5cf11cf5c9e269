"""The model carrier: speaks the providers' HTTP, decides what becomes of each call, keeps the truth of it."""

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
from ops.simulate.twists import Word

#: The host of a provider's API -> the provider
HOSTS = {"api.twilio.com": "twilio", "api.plivo.com": "plivo"}
CONNECT_SEC, READ_SEC = 3.0, 10.0


class Replied(StrEnum):
    """How a create-call was answered, as the carrier knows."""

    PLACED = "placed"
    REFUSED = "refused"  # for the number's sake: the attempt has ended
    DEFERRED = "deferred"  # for pace, or for the account's sake: nothing was placed
    UNCLEAR = "unclear"  # a 5xx, or an answer that was lost: nobody at our end can know


#: How many calls have a leg of their own, as to an agent, and how many callbacks do not say their direction
WITH_A_CHILD, WITHOUT_DIRECTION = 0.3, 0.2
#: How late a provider's records are that are late, and how often it does not answer the create-call either
RECORDS_LATE_HOURS, ANSWER_LATE_TOO = (1.2, 5.0), 0.5
#: a fate's refusal -> how the carrier calls it
REPLIES = {"invalid-number": Replied.REFUSED, "throttled": Replied.DEFERRED, "auth": Replied.DEFERRED}


@dataclass(slots=True)
class Leg:
    """One create-call as the carrier received it. ``index`` is the call's in the traffic, ``made`` what rang."""

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
    #: when whoever asked for the call had the answer, or none
    answered_at: datetime | None = None
    made: Call | None = None
    #: what was posted back of it: (moment, tick, status that the app answered)
    told: list["Told"] = field(default_factory=list)
    looked_up: int = 0
    #: what the end says in contradiction of the answer
    word: Word | None = None
    #: when it was to end by itself, and whether somebody asked for it to be hung up
    was_to_end: datetime | None = None
    hang_up_asked: bool = False
    #: the end is never told: the provider says that the call goes on, or a word that nobody knows
    never_ends: bool = False
    in_limbo: bool = False
    #: the account was at fault, which only a look-up tells
    faulted: bool = False
    #: until then the provider's records do not show the call, and it tells nobody of it
    shown_at: datetime | None = None

    @property
    def sid(self) -> str | None:
        return self.made.order.call_id if self.made else None

    @property
    def ended_at(self) -> datetime | None:
        """When the call ended, or will; None where nothing rang."""
        return self.made.moments[-1].at if self.made else None

    @property
    def was_heard(self) -> bool:
        """True where a person answered."""
        return self.made is not None and self.made.end == "completed" and not self.made.line.behaviour.machine

    def proofs(self) -> list["Told"]:
        """The callbacks by which the app was told that somebody, or something, answered."""
        by_the_end = self.made is not None and self.made.end == "completed" and (self.word is None or self.word.proven)
        proving = {"answered", "amd"} | ({"ended"} if by_the_end else set())
        return [told for told in self.told if told.status == 200 and told.moment in proving]

    def outcome(self, machine_heard: bool) -> str | None:
        """How it really ended, in Redial's words; ``machine_heard`` where the app was told what detection heard.

        An end that contradicts an answer is believed where nothing told of the answer.
        """
        if self.word is not None and self.made is not None and self.made.end == "completed" and not self.proofs():
            return self.word.end
        if self.made is None:
            return "invalid-number" if self.replied is Replied.REFUSED else None
        if self.made.end == "completed" and machine_heard and self.made.line.behaviour.machine:
            return "voicemail"
        return self.made.end


@dataclass(frozen=True, slots=True)
class Told:
    """A callback that the app has answered; ``kept`` where the table then showed that the attempt had ended."""

    moment: str
    tick: int
    status: int
    kept: bool = True


#: Where a moment of a leg is posted: the leg, its moment and the callback, ready and signed
Post = Callable[[Leg, Moment, Callback], None]


class ModelCarrier(Http):
    """Every provider's API at once. ``post`` is given each callback when its moment comes."""

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
        #: what a look-up says of calls that nobody asked for here: the customers' own, and legs of other calls
        self.strangers: dict[str, Reply] = {}
        #: how many requests were answered, and what was wrong with those that are not as the vendor publishes them
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
        """Answer as the provider would, unless a fault comes in between."""
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
        """That provider's call of that id, for its personality."""
        leg = self.by_sid.get(call_id)
        return _shown(leg) if leg and leg.provider == provider else None

    def calls(self, provider: str) -> list[Call]:
        """The provider's calls, the newest first, for its personality."""
        ours = (leg for leg in reversed(self.legs) if leg.provider == provider and not self._is_missing(leg))
        return [shown for leg in ours if (shown := _shown(leg)) is not None]

    def _is_missing(self, leg: Leg) -> bool:
        """Whether the provider's records do not show this call yet."""
        return leg.shown_at is not None and self._engine.at < leg.shown_at

    def hang_up(self, call_id: str) -> Call:
        """End a call now, as its personality is asked to."""
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
        stranger = next((told for sid, told in self.strangers.items() if sid in request.path), None)
        missing = Reply(404, {}) if leg is not None and request.method == "GET" and self._is_missing(leg) else None
        reply = wrong or stranger or missing or personality.manage(request, cast(Exchange, self)) or Reply(404, {})
        reply = twists.retold(
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
        leg.tick = self._engine.say(index, f"carrier: POST of {call_id}-{attempt} to {provider}: {_words(leg, reply)}")
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
        leg.word, leg.was_to_end = fate.word, leg.ended_at
        self.by_sid[order.call_id] = leg
        for moment in leg.made.moments:
            self._expect(leg, moment)
        if self._hits("http-5xx-placed", leg.index, *name):
            return personality.refused("error", order)
        leg.replied = Replied.PLACED
        return personality.accepted(leg.made)

    def _with_fault(self, leg: Leg, fate: Fate, name: tuple[object, ...]) -> Fate:
        """The fate of a call where its provider loses its end, or fails for want of credits and says so when asked."""
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
        """The error for a request that is not as the vendor publishes it, which is written down."""
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
            # A call that was hung up has other moments than it was to have.
            if leg.made is not None and moment in leg.made.moments:
                for callback in self._personalities[leg.provider].callbacks(leg.made, moment):
                    self._send(leg, leg.made, moment, callback)

        self._engine.at_time(moment.at if leg.shown_at is None else max(moment.at, leg.shown_at), arrive)

    def _send(self, leg: Leg, made: Call, moment: Moment, callback: Callback) -> None:
        """Post a callback as this call's provider words it, and the end of a leg that the call itself made."""
        has_ended = moment.name == "ended"
        talked = has_ended and made.end == "completed"
        name = (leg.index, leg.attempt, moment.name)
        if talked and self._chance.unit("child", *name) < WITH_A_CHILD:
            child = twists.of_a_child(self._env, leg.provider, callback, f"{'CA' + '9' * 24}{len(self.by_sid):08d}")
            self._post(leg, Moment("child", moment.at), child)
        if has_ended and (leg.never_ends or leg.faulted):
            return
        if talked and leg.word is not None:
            callback = twists.contradicting(self._env, leg.provider, callback, leg.word)
        if moment.name in ("answered", "amd") and leg.word is not None and not leg.word.proven and leg.made is not None:
            late_sec = self._chance.between(-300, 300, "answer told", *name)
            if late_sec > 0:
                # The answer is told of only after the end that contradicts it.
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
    """The call as its provider shows it, who may have lost its end."""
    if leg.made is None or not leg.never_ends:
        return leg.made
    return replace(leg.made, moments=tuple(moment for moment in leg.made.moments if moment.name != "ended"))


def _answer(reply: Reply, headers: Mapping[str, str] | None = None) -> Answer:
    body = b"" if reply.body is None else json.dumps(reply.body).encode()
    return Answer(reply.status, {"content-type": "application/json", **(headers or {})}, body)


def _token(form: Mapping[str, Any]) -> str:
    """The callback token in Twilio's or Plivo's create-call."""
    return str(form.get("StatusCallback") or form["hangup_url"]).rpartition("/")[2]


def _index(form: Mapping[str, Any]) -> int:
    """Which call of the traffic this is: its own variable ``n``, found in the answer URL."""
    url = str(form.get("Url") or form.get("answer_url"))
    return int(dict(parse_qsl(urlsplit(url).query)).get("n", "-1"))


def _plus(number: str) -> str:
    return number if number.startswith("+") else f"+{number}"


def _words(leg: Leg, reply: Reply) -> str:
    if leg.made is None:
        return f"{reply.status}, nothing rings"
    lasts = leg.made.moments[-1].at - leg.at
    machine = " (a machine)" if leg.made.line.behaviour.machine else ""
    return f"{reply.status}, ends {leg.made.end}{machine} after {lasts / timedelta(seconds=1):.0f} s"
