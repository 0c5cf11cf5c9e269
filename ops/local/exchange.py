"""The exchange behind the local carrier: takes orders for calls, plays each one's line, and delivers its callbacks."""

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
    """The time, aware, in UTC."""
    return datetime.now(UTC)


def rfc3339(at: datetime) -> str:
    """A time in UTC as the logs spell it: ``2026-01-26T10:30:00.000000Z``."""
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def fields(encoded: str) -> dict[str, Any]:
    """A form or query as ``{name: value}``, a repeated name as ``{name: [values]}``; blank values are kept."""
    folded: dict[str, list[str]] = {}
    for name, value in parse_qsl(encoded, keep_blank_values=True):
        folded.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in folded.items()}


def whole(query: Mapping[str, Any], name: str, default: int) -> int:
    """A whole number in a query; ``default`` where there is none."""
    text = str(query.get(name, ""))
    return int(text) if text.isdecimal() else default


def e164(number: str) -> str:
    """The number with its ``+``, which a query string turns into a space and some providers leave out."""
    digits = number.strip().removeprefix("+")
    return f"+{digits}" if digits.isdecimal() else number


@dataclass(frozen=True, slots=True)
class Request:
    """A request to the carrier. ``path`` is decoded, ``headers`` have lower-case names."""

    method: str
    path: str
    query: Mapping[str, Any]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer in JSON; no body where ``body`` is None."""

    status: int
    body: Any = None


@dataclass(frozen=True, slots=True)
class Callback:
    """A callback ready to send; ``form`` is its content, for the log."""

    url: str
    method: str
    headers: Mapping[str, str]
    body: bytes
    form: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a provider delivers. A failed connect or an answer in ``retry_statuses`` gets ``extra_tries`` more."""

    connect_timeout_sec: float = 5.0
    read_timeout_sec: float = 15.0
    extra_tries: int = 1
    retry_statuses: frozenset[int] = frozenset()


class Personality(Protocol):
    """What a provider adds: it reads its own requests, and writes its own answers and callbacks."""

    provider: str
    delivery: Delivery

    def order(self, request: Request) -> Order | None:
        """Read a create-call request; None where the request is something else."""

    def refusal(self, request: Request, order: Order) -> Reply | None:
        """The answer to a request that is not in order (credentials, fields); None where it is."""

    def invalid(self, field: str, said: str) -> Reply:
        """The answer to a request with a field that is not as the vendor's document has it."""

    def accepted(self, call: Call) -> Reply:
        """The answer to a call that was placed."""

    def refused(self, fault: str, order: Order) -> Reply:
        """The answer for a scripted fault: ``invalid-number``, ``error``, ``throttled`` or ``auth``."""

    def manage(self, request: Request, exchange: "Exchange") -> Reply | None:
        """Answer the rest of the API (look up, list, hang up); None where the path is not the provider's."""

    def callbacks(self, call: Call, moment: Moment) -> list[Callback]:
        """What the provider posts when the call reaches that moment."""


class Playback:
    """A placed call, played: waits for its moments and posts their callbacks in order, from one thread of its own."""

    def __init__(self, call: Call, personality: Personality, record: Callable[[dict[str, Any]], None]) -> None:
        self.provider = personality.provider
        self._call = call
        self._personality = personality
        self._record = record
        self._changed = threading.Condition()
        self._stopped = False

    @property
    def call(self) -> Call:
        """The call as it is now laid out."""
        with self._changed:
            return self._call

    def start(self) -> None:
        """Let the callbacks flow. The call lives by the clock whether started or not."""
        threading.Thread(target=self._play, daemon=True).start()

    def stop(self) -> None:
        """Post nothing more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def hang_up(self) -> Call:
        """End the call now, if it has not ended."""
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
    """Send once: the status it was answered with or the error, and whether the policy would try again."""
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
    """All that the carrier knows, behind one lock: the scripts, the calls, and the two logs."""

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
        """Let the number behave so from its next attempt on. Raises ScriptError."""
        if not re.fullmatch(r"\+[1-9]\d{1,14}", number):
            raise ScriptError(f"the number is {number!r}; allowed: E.164, as in +16505550199")
        lines = read_script(body, self._default)
        with self._lock:
            self._scripts[number] = itertools.chain(lines, itertools.repeat(lines[-1]))

    def place(self, personality: Personality, order: Order, refusal: Reply | None) -> Reply:
        """Take a create-call request: log it, set its call going unless it is refused, and say what to answer."""
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
        """That provider's call of that id; None where there is none."""
        with self._lock:
            playback = self._playbacks.get(call_id)
        return playback.call if playback and playback.provider == provider else None

    def calls(self, provider: str) -> list[Call]:
        """The provider's calls, the newest first."""
        with self._lock:
            playbacks = list(self._playbacks.values())
        return [playback.call for playback in reversed(playbacks) if playback.provider == provider]

    def hang_up(self, call_id: str) -> Call:
        """End the call now, if it has not ended. Raises KeyError."""
        with self._lock:
            playback = self._playbacks[call_id]
        return playback.hang_up()

    def requests(self, to: str | None) -> list[dict[str, Any]]:
        """The create-call requests in order of receipt; ``status`` is None where the answer was held back."""
        with self._lock:
            return [entry for entry in self._requests if to in (None, e164(entry["to"]))]

    def deliveries(self, to: str | None) -> list[dict[str, Any]]:
        """Each try to deliver a callback, in the order in which they ended."""
        with self._lock:
            return [entry for entry in self._deliveries if to in (None, e164(entry["to"]))]

    def clear(self) -> None:
        """Forget scripts and logs. Calls that are under way go on."""
        with self._lock:
            self._scripts.clear()
            self._requests.clear()
            self._deliveries.clear()

    def close(self) -> None:
        """Stop every call's callbacks and let go of held answers."""
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
