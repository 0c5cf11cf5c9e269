"""A client of the mock carrier's APIs, and a sink for its callbacks."""

import json
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlencode

from chalicelib.providers import CallbackRequest, Http, Provider, load
from chalicelib.runtime.settings import Settings

SID = "AC" + "a" * 32
TOKEN = "12345"
TO = "+16505550199"
OTHER = "+16505550111"
FROM = "+14155550100"
CALLS = f"/2010-04-01/Accounts/{SID}/Calls.json"
EVERY_EVENT = [("StatusCallbackEvent", event) for event in ("initiated", "ringing", "answered", "completed")]


def basic(user: str, password: str) -> dict[str, str]:
    """Return the header of a login by user name and password."""
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


BASIC = basic(SID, TOKEN)


def wait_until(reached: Callable[[], bool]) -> None:
    """Wait until the condition holds. Fails after 3 s."""
    deadline = time.monotonic() + 3
    while not reached():
        assert time.monotonic() < deadline, "not reached within 3 s"
        time.sleep(0.002)


def call_path(sid: str) -> str:
    return CALLS.replace(".json", f"/{sid}.json")


def twilio_error(status: int, code: int, message: str) -> dict[str, Any]:
    more_info = f"https://www.twilio.com/docs/errors/{code}"
    return {"code": code, "message": message, "more_info": more_info, "status": status}


@dataclass(frozen=True)
class Received:
    """A callback that the sink received. ``form`` is its body if that is a form."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    form: dict[str, str]

    @property
    def signature(self) -> str:
        """The signature of the callback, made by Twilio."""
        return self.headers["X-Twilio-Signature"]

    def request(self, origin: str) -> CallbackRequest:
        """Return the callback as a provider's ``verify`` and ``parse`` take it.

        ``origin`` is the sink's URL.
        """
        return CallbackRequest(self.method, origin + self.path, self.headers, self.body, "127.0.0.1")


@dataclass
class Sink:
    """A server that receives callbacks and answers each with ``status``."""

    status: int = 200
    received: list[Received] = field(default_factory=list)
    url: str = ""

    def wait(self, count: int) -> list[Received]:
        """Wait for ``count`` callbacks, and return all that have come."""
        wait_until(lambda: len(self.received) >= count)
        return self.received

    def statuses(self, count: int) -> list[str]:
        return [each.form["CallStatus"] for each in self.wait(count)]

    def take(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        form = dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
        self.received.append(Received(handler.command, handler.path, dict(handler.headers.items()), body, form))
        handler.send_response(self.status)
        handler.end_headers()

    def __enter__(self) -> Self:
        class Handler(BaseHTTPRequestHandler):
            do_GET = do_POST = lambda handler: self.take(handler)  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 1024

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.005,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass(frozen=True)
class CarrierClient:
    """A client of the mock carrier at ``url``, whose callbacks go to ``sink``.

    ``environment`` is what the mock carrier gives the app.
    """

    url: str
    sink: Sink
    environment: Mapping[str, str]

    def provider(self, name: str, http: Http | None = None, **changed: str) -> Provider:
        """Return the app's own client of a provider, set up from ``environment``."""
        credentials = Settings.from_env(self.environment).credentials(name)
        return load(name, {**credentials, **changed}, now=lambda: datetime.now(UTC), http=http)

    def ask(
        self, method: str, path: str, body: str = "", headers: dict[str, str] | None = None, timeout_sec: float = 3
    ) -> tuple[int, Any]:
        """Return the answer's status and JSON.

        A body that begins with ``{`` is sent as JSON, and any other body as a form.
        """
        kind = "application/json" if body.startswith("{") else "application/x-www-form-urlencoded"
        typed = {"Content-Type": kind} if body else {}
        connection = HTTPConnection(self.url.removeprefix("http://"), timeout=timeout_sec)
        try:
            connection.request(method, path, body, typed | (headers or {}))
            response = connection.getresponse()
            answer = response.read()
            return response.status, json.loads(answer) if answer else None
        finally:
            connection.close()

    def script(self, *outcomes: Any, number: str = TO) -> None:
        answer = self.ask("PUT", f"/script/{number}", json.dumps({"outcomes": outcomes}))
        assert answer == (200, {"number": unquote(number), "outcomes": list(outcomes)})

    def create(self, *more: tuple[str, str], to: str = TO, **changed: str | None) -> tuple[int, Any]:
        """Request a call with the usual fields.

        ``changed`` fields replace them (None leaves one out), and ``more`` fields follow them.
        """
        usual = {"To": to, "From": FROM, "Url": "https://x.test/", "StatusCallback": f"{self.sink.url}/cb"}
        form = [(name, value) for name, value in (usual | changed).items() if value is not None]
        return self.ask("POST", CALLS, urlencode([*form, *more]), BASIC)

    def resource(self, sid: str) -> dict[str, Any]:
        status, found = self.ask("GET", call_path(sid), headers=BASIC)
        assert status == 200
        return dict(found)

    def listed(self, query: str = "") -> list[dict[str, Any]]:
        status, page = self.ask("GET", CALLS + query, headers=BASIC)
        assert status == 200
        return list(page["calls"])

    def requests(self, query: str = f"?to={TO}") -> list[dict[str, Any]]:
        return list(self.ask("GET", f"/calls{query}")[1]["calls"])

    def deliveries(self, count: int) -> list[dict[str, Any]]:
        """Wait for ``count`` deliveries in the log, and return all of them."""

        def found() -> list[dict[str, Any]]:
            return list(self.ask("GET", f"/callbacks?to={TO}")[1]["callbacks"])

        wait_until(lambda: len(found()) >= count)
        return found()
