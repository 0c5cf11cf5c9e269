"""The users of a simulated Redial: they request calls, act on them, and retry."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ops.simulate.engine import Engine
from ops.simulate.evidence import ActRequest, AnsweredAct, Evidence
from ops.simulate.table_watch import TableWatch
from ops.simulate.traffic import Act, CallRequest

#: An act of a user -> its route; a new act needs one line here
ROUTES = {
    "cancel": ("POST", "/calls/{call}/cancel"),
    "opt-out": ("PUT", "/numbers/{number}/opt-out"),
    "opt-in": ("DELETE", "/numbers/{number}/opt-out"),
    "contacted": ("POST", "/numbers/{number}/contacted"),
    "erase": ("DELETE", "/numbers/{number}"),
    "pause": ("POST", "/pause-all"),
    "resume": ("POST", "/resume-all"),
}
#: A user who gets no answer, or a 5xx, retries this often, after this many seconds more each time.
MAX_TRIES, RETRY_SEC = 6, 4.0
#: Users retry these acts until they are done.
RETRIED_UNTIL_DONE = ("pause", "resume")
#: A user retries after this time if the app says that a provider is not set up because its credentials are removed.
NOT_SET_UP_SEC = 600.0
#: The acts that end or reschedule calls that wait for a dial to the number
TOUCHES_WAITING = ("opt-out", "contacted", "erase")

#: Sends a request to the app: label, method, path, headers and body in, status and JSON out
Ask = Callable[[str, str, str, dict[str, str], bytes], tuple[int, Any]]


class Users:
    """All users with the API key. The app's answers to them go into the evidence."""

    def __init__(
        self,
        engine: Engine,
        watch: TableWatch,
        evidence: Evidence,
        ask: Ask,
        key: str,
        lacks_credentials: Callable[[], bool],
        fires_at: Callable[[datetime], datetime],
    ) -> None:
        self._engine = engine
        self._watch = watch
        self._evidence = evidence
        self._ask = ask
        self._key = key
        self._lacks_credentials = lacks_credentials
        self._fires_at = fires_at

    def expect(self, call: CallRequest) -> None:
        """Schedule the request for a call."""
        self._engine.at_time(call.at, lambda: self._place(call))

    def plan(self, act: Act) -> None:
        """Schedule an act."""
        self._engine.at_time(act.at, lambda: self._act(act))

    def _send(self, label: str, method: str, path: str, body: Any, **headers: str) -> tuple[int, Any]:
        sent = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json", **headers}
        return self._ask(label, method, path, sent, json.dumps(body).encode() if body else b"")

    def _place(self, call: CallRequest, tries: int = 1) -> None:
        key = {"Idempotency-Key": f"key-{call.index}"}
        status, said = self._send(f"place {call.index} {tries}", "POST", "/calls", call.body, **key)
        self._engine.say(call.index, f"POST /calls is answered {status}")
        if status >= 500 and tries < MAX_TRIES:
            self._engine.after(RETRY_SEC * tries, lambda: self._place(call, tries + 1))
        elif status == 422 and self._lacks_credentials():
            self._engine.after(NOT_SET_UP_SEC, lambda: self._place(call, tries))
        elif 400 <= status < 500:
            self._evidence.refused.append((call.index, f"POST /calls: {status} {said}"))

    def repeat(self, call: CallRequest) -> None:
        """Repeat a request with the same key, long after its answer. It has no effect."""
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
        asked_tick = self._engine.say(act.index, f"{act.kind} of {call_id or act.number or 'all'} is requested")
        status, said = self._send(f"{act.kind} {act.index} {tries}", method, path, sent.body)
        tick = self._engine.say(act.index, f"{act.kind} is answered {status}")
        self._evidence.act_requests.append(ActRequest(act.kind, act.number, asked_tick, tick))
        if status == 200 or status == 204:
            left = self._left_waiting(act, asked_tick, said)
            until = datetime.fromisoformat(said["postpone_until"]) if said and said.get("postpone_until") else None
            self._evidence.answered_acts.append(
                AnsweredAct(sent, call_id, asked_tick, tick, self._engine.at, left, until)
            )
            if act.then is not None:
                self.plan(self._next(act.then, sent))
        elif (status >= 500 or status == 202) and (tries < MAX_TRIES or act.kind in RETRIED_UNTIL_DONE):
            self._engine.after(RETRY_SEC * min(tries, 8), lambda: self._act(act, tries + 1))
        elif status < 500:
            self._evidence.refused.append((act.index, f"{act.kind}: {status} {said}"))

    def _body(self, act: Act) -> dict[str, Any]:
        """Return the body of the act as it is sent now.

        A pause ends so many minutes after the request.
        """
        if act.lasts is None:
            return act.body
        full_minute = (self._engine.now() + act.lasts).replace(second=0, microsecond=0) + timedelta(minutes=1)
        return act.body | {"until": full_minute.isoformat()}

    def _next(self, then: Act, sent: Act) -> Act:
        """Return the act that follows.

        An act that extends a pause comes after the wake at the end of the pause.
        """
        if then.extends is None:
            return then
        return replace(then, at=self._fires_at(datetime.fromisoformat(sent.body["until"])) + then.extends)

    def _left_waiting(self, act: Act, asked_tick: int, said: Any) -> tuple[str, ...]:
        """Return the calls to the number that still wait as before the act.

        Only calls that waited from the request to the answer count.
        """
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
