"""The users of a simulated Redial: they ask for calls and act on them, and ask again until they are answered."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ops.simulate.engine import Engine
from ops.simulate.evidence import Answered, Evidence, Tried
from ops.simulate.table_watch import TableWatch
from ops.simulate.traffic import Act, Asked

#: An act of a user -> the route that it takes; one line for whatever operators can do
ROUTES = {
    "cancel": ("POST", "/calls/{call}/cancel"),
    "opt-out": ("PUT", "/numbers/{number}/opt-out"),
    "opt-in": ("DELETE", "/numbers/{number}/opt-out"),
    "contacted": ("POST", "/numbers/{number}/contacted"),
    "erase": ("DELETE", "/numbers/{number}"),
    "pause": ("POST", "/pause-all"),
    "resume": ("POST", "/resume-all"),
}
#: Who gets no answer, or a 5xx, asks again: so many times, after so many seconds.
ASKED_AGAIN, ASKED_AGAIN_SEC = 6, 4.0
#: These are asked for until they are done.
INSISTED_ON = ("pause", "resume")
#: Who is told that the provider is not set up, which it was, asks again after this.
NOT_SET_UP_SEC = 600.0
#: What ends or moves the calls that wait for a dial to the number
TOUCHES_WAITING = ("opt-out", "contacted", "erase")

#: Sends a request to the app: label, method, path, headers and body in, status and JSON out
Ask = Callable[[str, str, str, dict[str, str], bytes], tuple[int, Any]]


class Users:
    """Everybody with the API key. What they are answered goes into the evidence."""

    def __init__(
        self,
        engine: Engine,
        watch: TableWatch,
        evidence: Evidence,
        ask: Ask,
        key: str,
        lacking: Callable[[], bool],
        fires_at: Callable[[datetime], datetime],
    ) -> None:
        self._engine = engine
        self._watch = watch
        self._evidence = evidence
        self._ask = ask
        self._key = key
        self._lacking = lacking
        self._fires_at = fires_at

    def expect(self, call: Asked) -> None:
        """Ask for a call when its time comes."""
        self._engine.at_time(call.at, lambda: self._place(call))

    def plan(self, act: Act) -> None:
        """Act when its time comes."""
        self._engine.at_time(act.at, lambda: self._act(act))

    def _send(self, label: str, method: str, path: str, body: Any, **headers: str) -> tuple[int, Any]:
        sent = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json", **headers}
        return self._ask(label, method, path, sent, json.dumps(body).encode() if body else b"")

    def _place(self, call: Asked, tries: int = 1) -> None:
        key = {"Idempotency-Key": f"key-{call.index}"}
        status, said = self._send(f"place {call.index} {tries}", "POST", "/calls", call.body, **key)
        self._engine.say(call.index, f"POST /calls is answered {status}")
        if status >= 500 and tries < ASKED_AGAIN:
            self._engine.after(ASKED_AGAIN_SEC * tries, lambda: self._place(call, tries + 1))
        elif status == 422 and self._lacking():
            self._engine.after(NOT_SET_UP_SEC, lambda: self._place(call, tries))
        elif 400 <= status < 500:
            self._evidence.refused.append((call.index, f"POST /calls: {status} {said}"))

    def repeat(self, call: Asked) -> None:
        """Ask for a call once more with the same key, long after it was answered: nothing comes of that."""
        key = {"Idempotency-Key": f"key-{call.index}"}
        at = call.at + timedelta(minutes=5)
        self._engine.at_time(
            at, lambda: self._send(f"repeat {call.index}", "POST", "/calls", call.body, **key) and None
        )

    def _act(self, act: Act, tries: int = 1) -> None:
        known = self._watch.call_ids.get(act.index)
        if act.kind == "cancel" and not known:
            return
        call_id = known[0] if known else ""
        method, path = ROUTES[act.kind]
        path = path.format(call=call_id, number=act.number.replace("+", "%2B"))
        sent = replace(act, body=self._body(act))
        asked_tick = self._engine.say(act.index, f"{act.kind} of {call_id or act.number or 'all'} is asked for")
        status, said = self._send(f"{act.kind} {act.index} {tries}", method, path, sent.body)
        tick = self._engine.say(act.index, f"{act.kind} is answered {status}")
        self._evidence.tried.append(Tried(act.kind, act.number, asked_tick, tick))
        if status == 200 or status == 204:
            left = self._left(act, asked_tick, said)
            until = datetime.fromisoformat(said["postpone_until"]) if said and said.get("postpone_until") else None
            self._evidence.answered.append(Answered(sent, call_id, asked_tick, tick, self._engine.at, left, until))
            if act.then is not None:
                self.plan(self._next(act.then, sent))
        elif (status >= 500 or status == 202) and (tries < ASKED_AGAIN or act.kind in INSISTED_ON):
            self._engine.after(ASKED_AGAIN_SEC * min(tries, 8), lambda: self._act(act, tries + 1))
        elif status < 500:
            self._evidence.refused.append((act.index, f"{act.kind}: {status} {said}"))

    def _body(self, act: Act) -> dict[str, Any]:
        """The act's body as it is sent now: a pause ends so many minutes from when it is asked for."""
        if act.lasts is None:
            return act.body
        full_minute = (self._engine.now() + act.lasts).replace(second=0, microsecond=0) + timedelta(minutes=1)
        return act.body | {"until": full_minute.isoformat()}

    def _next(self, then: Act, sent: Act) -> Act:
        """What follows an act; what extends a pause comes when the wake at its end fires."""
        if then.extends is None:
            return then
        return replace(then, at=self._fires_at(datetime.fromisoformat(sent.body["until"])) + then.extends)

    def _left(self, act: Act, asked_tick: int, said: Any) -> tuple[str, ...]:
        """The calls to the number that waited all the time and still wait as before, though they should not."""
        if act.kind not in TOUCHES_WAITING:
            return ()
        until = datetime.max.replace(tzinfo=UTC)
        if said and said.get("postpone_until"):
            until = datetime.fromisoformat(said["postpone_until"])
        return tuple(
            call_id
            for call_id, waiting in self._watch.waiting.items()
            if waiting.number == act.number and waiting.since_tick < asked_tick and waiting.due_at < until
        )
