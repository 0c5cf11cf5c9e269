"""Lambda's Runtime API on 127.0.0.1, as far as AWS's runtime needs it."""

import json
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ARN = "arn:aws:lambda:us-east-1:123456789012:function:redial-dev"


class RuntimeApi:
    """Hands out events one at a time with their own trace ids, and keeps the answers."""

    def __init__(self) -> None:
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        self._answers: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._handed_out = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def invoke(self, event: dict[str, Any], timeout_sec: float = 60) -> dict[str, Any]:
        """Return the function's answer to an event. Raises AssertionError for an error."""
        self._events.put(event)
        kind, answer = self._answers.get(timeout=timeout_sec)
        assert kind == "response", (kind, answer)
        found: dict[str, Any] = answer
        return found

    def serve(self) -> None:
        self._server.serve_forever()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                event = api._events.get()
                api._handed_out += 1
                self._answer(200, json.dumps(event).encode(), api._handed_out)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                api._answers.put((self.path.rpartition("/")[2], json.loads(body or b"null")))
                self._answer(202, b"{}", api._handed_out)

            def _answer(self, status: int, body: bytes, number: int) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Lambda-Runtime-Aws-Request-Id", f"77375676-0000-4b79-853a-{number:012d}")
                self.send_header("Lambda-Runtime-Deadline-Ms", str(int(time.time() * 1000) + 29_000))
                self.send_header("Lambda-Runtime-Invoked-Function-Arn", ARN)
                trace = f"Root=1-5759e988-bd862e3fe1be46a9942{number:05d};Parent=53995c3f42cd8ad8;Sampled=1"
                self.send_header("Lambda-Runtime-Trace-Id", trace)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Write no log line."""

        return Handler


@contextmanager
def runtime_api() -> Iterator[RuntimeApi]:
    """Serve while the block runs."""
    api = RuntimeApi()
    threading.Thread(target=api.serve, daemon=True).start()
    try:
        yield api
    finally:
        api.close()
