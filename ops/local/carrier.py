"""The mock carrier: an HTTP server on 127.0.0.1 that stands in for providers.

It answers their APIs, rings the phones of scripted numbers, and posts the callbacks.
"""

import argparse
import importlib
import json
import signal
import socketserver
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType, TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from ops.local.exchange import Exchange, Personality, Reply, Request, e164, fields
from ops.local.line import Line, ScriptError
from ops.local.vendor_schemas import invalid

#: The providers. Each has a module ``carrier_<provider>`` with two functions. ``new_environment() -> dict[str, str]``
#: returns fresh random credentials as the variables that the app reads. ``personality(environment) -> Personality``
#: returns the provider's side of the mock carrier.
PROVIDERS = ("bolna", "dialnexa", "exotel", "plivo", "signalwire", "telnyx", "twilio", "vonage")
#: The provider whose API is also found at paths without a provider's name.
BARE_PROVIDER = "twilio"


def route(exchange: Exchange, personalities: Mapping[str, Personality], request: Request) -> Reply:
    """Answer a request to the control API or to a provider's API.

    The first part of the path names the provider. Without a name the provider is Twilio.
    """
    head, _, tail = request.path.removeprefix("/").partition("/")
    to = e164(request.query["to"]) if isinstance(request.query.get("to"), str) else None
    match request.method, head, tail.rstrip("/"):
        case "GET", "health", "":
            return Reply(200, {"status": "ok", "providers": list(personalities)})
        case "PUT", "script", number:
            exchange.script(e164(number), request.body)
            return Reply(200, {"number": e164(number)} | json.loads(request.body))
        case "GET", "calls", "":
            return Reply(200, {"calls": exchange.requests(to)})
        case "DELETE", "calls", "":
            exchange.clear()
            return Reply(204)
        case "GET", "callbacks", "":
            return Reply(200, {"callbacks": exchange.deliveries(to)})
    personality = personalities.get(head)
    if personality:
        request = replace(request, path=f"/{tail}")
    else:
        personality = personalities[BARE_PROVIDER]
    order = personality.order(request)
    if order:
        return exchange.place(personality, order, personality.refusal(request, order) or invalid(personality, request))
    reply = invalid(personality, request) or personality.manage(request, exchange)
    if reply:
        return reply
    return Reply(404, {"message": f"nothing answers {request.method} {request.path} here"})


class _Server(ThreadingHTTPServer):
    #: hundreds of requests may arrive together; with the default backlog of 5, clients would wait a second
    request_queue_size = 1024

    def __init__(self, port: int, answer: Callable[[Request], Reply]) -> None:
        self.answer = answer
        super().__init__(("127.0.0.1", port), _Handler)

    def server_bind(self) -> None:
        # HTTPServer's own method asks the DNS for the name of the host, which can take seconds.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that stops waiting for a held answer is not a fault of the mock carrier.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def serve(self) -> None:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length") or 0))
        try:
            path = unquote(parts.path)
            reply = self.server.answer(Request(self.command, path, fields(parts.query), headers, body))
        except ScriptError as error:
            reply = Reply(422, {"message": str(error)})
        payload = b"" if reply.body is None else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        if payload:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_POST = do_PUT = do_DELETE = serve  # noqa: N815 (the names that the base class calls)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Write nothing: the exchange keeps the logs."""


class Carrier:
    """A running mock carrier: ``with Carrier(ring_sec=0.01) as carrier: carrier.url``.

    ``environment`` is what the app needs to use it: the credentials of every provider, and its ``<PROVIDER>_API_URL``.
    The credentials are random, except those that the caller sets. ``port`` 0 takes any free port. ``ring_sec`` and
    ``talk_sec`` apply to lines whose script has no such field. ``hold_sec`` is how long a ``timeout`` holds its answer
    back.
    """

    def __init__(
        self,
        *,
        environment: Mapping[str, str] = MappingProxyType({}),
        port: int = 0,
        ring_sec: float = 1.0,
        talk_sec: float = 1.0,
        hold_sec: float = 30.0,
    ) -> None:
        self.exchange = Exchange(Line("completed", ring_sec, talk_sec), hold_sec)
        self._server = _Server(port, lambda request: route(self.exchange, personalities, request))
        self.port: int = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        modules = {provider: importlib.import_module(f"ops.local.carrier_{provider}") for provider in PROVIDERS}
        self.environment: dict[str, str] = {}
        for module in modules.values():
            self.environment |= module.new_environment()
        self.environment |= environment
        self.environment |= {f"{provider.upper()}_API_URL": f"{self.url}/{provider}" for provider in PROVIDERS}
        personalities = {provider: module.personality(self.environment) for provider, module in modules.items()}

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.exchange.close()


def setting(text: str) -> tuple[str, str]:
    """Split ``NAME=value`` in two. Raises ValueError if either part is missing."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ValueError(f"{text!r} is not NAME=value")
    return name, value


def main(argv: Sequence[str] | None = None) -> int:
    r"""Serve until SIGINT or SIGTERM.

    Prints the URL, then the environment for the app as ``NAME=value``, one variable on a line. The line breaks of a
    private key are printed as ``\n``.
    """
    parser = argparse.ArgumentParser(prog="python -m ops.local.carrier", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes any free port")
    parser.add_argument(
        "--set",
        type=setting,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a credential (default: random)",
    )
    parser.add_argument("--ring-sec", type=float, default=1.0, help="seconds that a phone rings (1.0)")
    parser.add_argument("--talk-sec", type=float, default=1.0, help="seconds that an answered call lasts (1.0)")
    parser.add_argument(
        "--hold-sec", type=float, default=30.0, help="seconds that a timeout holds its answer back (30.0)"
    )
    options = vars(parser.parse_args(argv))
    options["environment"] = dict(options.pop("set"))
    stops = {signal.SIGINT, signal.SIGTERM}
    # Block the signals before the first thread starts: every thread inherits the block, and only sigwait takes them.
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    with Carrier(**options) as carrier:
        lines = [f"{name}={value}".replace("\n", "\\n") for name, value in carrier.environment.items()]
        print(carrier.url, *lines, sep="\n", flush=True)
        signal.sigwait(stops)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
