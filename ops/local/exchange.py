"""The exchange behind the mock carrier.

It takes orders for calls, plays the line of each call, and delivers the callbacks.
"""

import http.client
import itertools
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from ops.local.line import Call, Line, Moment, Order, ScriptError, read_script


def utc_now() -> datetime:
    """Return the current time, aware, in UTC."""
    return datetime.now(UTC)


def rfc3339(at: datetime) -> str:
    """Return a time in UTC as the logs have it: ``2026-01-26T10:30:00.000000Z``."""
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def fields(encoded: str) -> dict[str, Any]:
    """Return a form or a query as ``{name: value}``.

    A repeated name becomes ``{name: [values]}``. Blank values are kept.
    """
    folded: dict[str, list[str]] = {}
    for name, value in parse_qsl(encoded, keep_blank_values=True):
        folded.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in folded.items()}


def whole(query: Mapping[str, Any], name: str, default: int) -> int:
    """Return a whole number of a query, or ``default`` if the query has none."""
    text = str(query.get(name, ""))
    return int(text) if text.isdecimal() else default


def e164(number: str) -> str:
    """Return a number with its ``+``.

    A query string turns the ``+`` into a space, and some providers leave it out.
    """
    digits = number.strip().removeprefix("+")
    return f"+{digits}" if digits.isdecimal() else number


@dataclass(frozen=True, slots=True)
class Request:
    """A request to the mock carrier. ``path`` is decoded; header names are lower-case."""

    method: str
    path: str
    query: Mapping[str, Any]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer in JSON. It has no body if ``body`` is None."""

    status: int
    body: Any = None


@dataclass(frozen=True, slots=True)
class Callback:
    """A callback that is ready to send. ``form`` is its content, for the log."""

    url: str
    method: str
    headers: Mapping[str, str]
    body: bytes
    form: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Delivery:
    """The delivery policy of a provider.

    A failed connect or a status in ``retry_statuses`` gets ``extra_tries`` more tries.
    """

    connect_timeout_sec: float = 5.0
    read_timeout_sec: float = 15.0
    extra_tries: int = 1
    retry_statuses: frozenset[int] = frozenset()


class Personality(Protocol):
    """One provider's side of the mock carrier: its requests, answers and callbacks."""

    provider: str
    delivery: Delivery

    def order(self, request: Request) -> Order | None:
        """Read a create-call request. Returns None for any other request."""

    def refusal(self, request: Request, order: Order) -> Reply | None:
        """Return the error for wrong credentials or fields, or None if all are right."""

    def invalid(self, field: str, message: str) -> Reply:
        """Return the error for a field that breaks the vendor's document."""

    def accepted(self, call: Call) -> Reply:
        """Return the answer for a call that was placed."""

    def refused(self, fault: str, order: Order) -> Reply:
        """Return the answer for a scripted fault.

        The faults are ``invalid-number``, ``error``, ``throttled`` and ``auth``.
        """

    def manage(self, request: Request, exchange: "Exchange") -> Reply | None:
        """Answer the rest of the API: look up, list and hang up.

        Returns None if the path is not the provider's.
        """

    def callbacks(self, call: Call, moment: Moment) -> list[Callback]:
        """Return what the provider posts when the call reaches that moment."""


class Playback:
    """A placed call in play.

    One thread of its own waits for the call's moments and posts their callbacks in order.
    """

    def __init__(self, call: Call, personality: Personality, record: Callable[[dict[str, Any]], None]) -> None:
        self.provider = personality.provider
        self._call = call
        self._personality = personality
        self._record = record
        self._changed = threading.Condition()
        self._stopped = False

    @property
    def call(self) -> Call:
        """The call with its current moments."""
        with self._changed:
            return self._call

    def start(self) -> None:
        """Start to post callbacks. The moments of the call pass even without a start."""
        threading.Thread(target=self._play, daemon=True).start()

    def stop(self) -> None:
        """Stop posting callbacks."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def hang_up(self) -> Call:
        """End the call now, if it has not ended, and return it."""
        with self._changed:
            self._call = self._call.hung_up(utc_now())
            self._changed.notify_all()
            return self._call

    def _play(self) -> None:
        held: list[Callback] = []
        for position in itertools.count():
            moment = self._await(position)
            if moment is None:
                return
            held[:0] = self._personality.callbacks(self.call, moment)
            if moment.name == "ended" or not self._call.line.reorder:
                for callback in held:
                    for _ in range(2 if self._call.line.duplicate else 1):
                        self._deliver(callback)
                held.clear()

    def _await(self, position: int) -> Moment | None:
        with self._changed:
            while not self._stopped and position < len(self._call.moments):
                moment = self._call.moments[position]
                wait_sec = (moment.at - utc_now()).total_seconds()
                if wait_sec <= 0:
                    return moment
                self._changed.wait(wait_sec)
            return None

    def _deliver(self, callback: Callback) -> None:
        policy = self._personality.delivery
        order = self._call.order
        for _ in range(1 + policy.extra_tries):
            at = utc_now()
            status, error, again = send(callback, policy)
            self._record(
                {
                    "provider": self.provider,
                    "to": order.to,
                    "sid": order.call_id,
                    "url": callback.url,
                    "form": callback.form,
                    "status": status,
                    "error": error,
                    "at": rfc3339(at),
                }
            )
            if not again:
                return


def send(callback: Callback, policy: Delivery) -> tuple[int | None, str | None, bool]:
    """Send a callback once.

    Returns its status or None, its error or None, and whether the policy would try again.
    """
    connected = False
    try:
        parts = urlsplit(callback.url)
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=policy.connect_timeout_sec)
        connection.connect()
        connected = True
        try:
            connection.sock.settimeout(policy.read_timeout_sec)
            target = parts._replace(scheme="", netloc="", fragment="", path=parts.path or "/").geturl()
            connection.request(callback.method, target, callback.body or None, dict(callback.headers))
            response = connection.getresponse()
            response.read()
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        return None, f"{type(error).__name__}: {error}", not connected
    return response.status, None, response.status in policy.retry_statuses


class Exchange:
    """The state of the mock carrier behind one lock: scripts, calls and two logs."""

    def __init__(self, default: Line, hold_sec: float) -> None:
        self._default = default
        self._hold_sec = hold_sec
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._scripts: dict[str, Iterator[Line]] = {}
        self._playbacks: dict[str, Playback] = {}
        self._requests: list[dict[str, Any]] = []
        self._deliveries: list[dict[str, Any]] = []

    def script(self, number: str, body: bytes) -> None:
        """Set how a number behaves from its next attempt on.

        The last line of the script repeats. Raises ScriptError if the number or the script is wrong.
        """
        if not re.fullmatch(r"\+[1-9]\d{1,14}", number):
            raise ScriptError(f"the number is {number!r}; allowed: E.164, as in +16505550199")
        lines = read_script(body, self._default)
        with self._lock:
            self._scripts[number] = itertools.chain(lines, itertools.repeat(lines[-1]))

    def place(self, personality: Personality, order: Order, refusal: Reply | None) -> Reply:
        """Log a create-call request, place its call, and return the answer.

        With a ``refusal`` no call is placed. A held answer returns after ``hold_sec``, or when the exchange closes.
        """
        with self._lock:
            received_at = utc_now()
            if refusal:
                self._log(personality.provider, order, received_at, refusal.status)
                return refusal
            line = next(self._scripts.get(e164(order.to), itertools.repeat(self._default)))
            end, answer = line.behaviour.end, line.behaviour.answer
            call = Call.dial(order, line, end, received_at) if end else None
            taken = call if answer in ("placed", "held") else None
            reply = personality.accepted(taken) if taken else personality.refused(answer, order)
            held = answer == "held"
            self._log(personality.provider, order, received_at, None if held else reply.status, line, call)
            if call:
                playback = self._playbacks[order.call_id] = Playback(call, personality, self._record)
                if not line.behaviour.silent:
                    playback.start()
        if held:
            self._closed.wait(self._hold_sec)
        return reply

    def call(self, provider: str, call_id: str) -> Call | None:
        """Return a provider's call of that id, or None."""
        with self._lock:
            playback = self._playbacks.get(call_id)
        return playback.call if playback and playback.provider == provider else None

    def calls(self, provider: str) -> list[Call]:
        """Return a provider's calls, the newest first."""
        with self._lock:
            playbacks = list(self._playbacks.values())
        return [playback.call for playback in reversed(playbacks) if playback.provider == provider]

    def hang_up(self, call_id: str) -> Call:
        """End a call now, if it has not ended. Raises KeyError if there is no such call."""
        with self._lock:
            playback = self._playbacks[call_id]
        return playback.hang_up()

    def requests(self, to: str | None) -> list[dict[str, Any]]:
        """Return the create-call requests to a number, or all of them if ``to`` is None.

        They are in order of receipt. Their ``status`` is None if the answer was held back.
        """
        with self._lock:
            return [entry for entry in self._requests if to in (None, e164(entry["to"]))]

    def deliveries(self, to: str | None) -> list[dict[str, Any]]:
        """Return the tries to deliver callbacks to a number's calls, or all of them.

        They are in the order in which they ended.
        """
        with self._lock:
            return [entry for entry in self._deliveries if to in (None, e164(entry["to"]))]

    def clear(self) -> None:
        """Delete the scripts and the logs. Calls in flight continue."""
        with self._lock:
            self._scripts.clear()
            self._requests.clear()
            self._deliveries.clear()

    def close(self) -> None:
        """Stop the callbacks of every call and send the held answers."""
        self._closed.set()
        with self._lock:
            playbacks = list(self._playbacks.values())
        for playback in playbacks:
            playback.stop()

    def _log(
        self,
        provider: str,
        order: Order,
        received_at: datetime,
        status: int | None,
        line: Line | None = None,
        call: Call | None = None,
    ) -> None:
        self._requests.append(
            {
                "provider": provider,
                "to": order.to,
                "from": order.from_number,
                "received_at": rfc3339(received_at),
                "form": order.form,
                "sid": order.call_id if call else None,
                "outcome": line.outcome if line else None,
                "status": status,
            }
        )

    def _record(self, entry: dict[str, Any]) -> None:
        with self._lock:
            self._deliveries.append(entry)
