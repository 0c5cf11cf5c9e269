"""One HTTP request to a provider: sent once, no redirects, limited time and size."""

import http.client
import select
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from time import monotonic, time
from urllib.parse import SplitResult, urlencode, urlsplit

from chalicelib.deadline import Deadline, addresses_by

#: The limits of one request. API Gateway ends a request after 29 s, and a dial must leave time to record its answer.
CONNECT_TIMEOUT_SEC = 3.0
READ_TIMEOUT_SEC = 10.0
#: The largest answer in bytes, decompressed. The largest known answers are pages of a list, of some 300 kB.
MAX_ANSWER_BYTES = 4 * 1024 * 1024
#: The longest time in seconds of wall clock that a connection may be idle and be used again. A frozen Lambda does not
#: notice that the other side has closed the connection, and some servers close it after 5 s.
MAX_IDLE_SEC = 2.0
#: The number of idle connections that are kept for one host
MAX_IDLE_CONNECTIONS = 16

_CHUNK_BYTES = 64 * 1024
#: The number by which zlib reads "gzip or zlib, as the header says"
_GZIP_OR_ZLIB = 47

Origin = tuple[str, str, int]


class NotSent(Exception):
    """The request did not reach the provider: no connection was made."""


class AnswerLost(Exception):
    """The request may have reached the provider, and no whole answer came back."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A provider's answer, whole and decompressed. ``headers`` has lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Http:
    """A client that sends each request exactly once and briefly keeps connections.

    ``connect_sec`` limits name lookup, connection and TLS together. ``read_sec`` limits the time from the first byte
    sent to the last byte of the answer. ``wall_clock`` must go on while the process is frozen, as ``time.time`` does.
    """

    def __init__(
        self,
        connect_sec: float = CONNECT_TIMEOUT_SEC,
        read_sec: float = READ_TIMEOUT_SEC,
        *,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        wall_clock: Callable[[], float] = time,
    ) -> None:
        self._connect_sec = connect_sec
        self._read_sec = read_sec
        self._max_answer_bytes = max_answer_bytes
        self._idle = _IdleConnections(wall_clock)

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        form: Sequence[tuple[str, str]] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Send the request once and return the answer.

        Raises NotSent if no connection was made, AnswerLost if the answer is unknown.
        """
        sent = {"User-Agent": "redial", **headers}
        if form is not None:
            body = urlencode(form).encode()
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        parts, origin = _split(url)
        connection = self._idle.take(origin) or _connected(origin, self._connect_sec)
        answer, reusable = self._exchange(connection, method, _target(parts), body, sent)
        if reusable:
            self._idle.give_back(origin, connection)
        return answer

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        body: bytes | None,
        headers: dict[str, str],
    ) -> tuple[Answer, bool]:
        """Send the request and return its answer, and True if the connection is reusable."""
        with Deadline(monotonic() + self._read_sec, connection.sock) as deadline:
            reusable = False
            try:
                _write_head(connection, method, target, headers, body)
                connection.endheaders(body)
                response = connection.getresponse()
                kept = {name.lower(): value for name, value in response.getheaders()}
                read = _whole(response, kept.get("content-encoding", ""), self._max_answer_bytes)
                reusable = response.isclosed() and not response.will_close and not deadline.over
            except (OSError, http.client.HTTPException, zlib.error) as error:
                reason = f"no answer within {self._read_sec:g} s" if deadline.over else _described(error)
                raise AnswerLost(reason) from error
            finally:
                if not reusable:
                    connection.close()
        if deadline.over:
            raise AnswerLost(f"no answer within {self._read_sec:g} s")
        return Answer(response.status, kept, read), reusable


class _IdleConnections:
    """The idle connections, each with the time of its last use. Safe for threads."""

    def __init__(self, wall_clock: Callable[[], float]) -> None:
        self._wall_clock = wall_clock
        self._lock = threading.Lock()
        self._kept: dict[Origin, list[tuple[http.client.HTTPConnection, float]]] = {}

    def take(self, origin: Origin) -> http.client.HTTPConnection | None:
        """Return the connection that was used last, or None.

        Closes connections that were idle too long or that the other side has closed.
        """
        with self._lock:
            waiting = self._kept.setdefault(origin, [])
            while waiting:
                connection, used_at = waiting.pop()
                # A clock that was set back does not show how long the connection was idle.
                if 0 <= self._wall_clock() - used_at <= MAX_IDLE_SEC and not _has_something_to_read(connection):
                    return connection
                connection.close()
        return None

    def give_back(self, origin: Origin, connection: http.client.HTTPConnection) -> None:
        """Keep a connection whose last answer was read whole, if there is room."""
        with self._lock:
            waiting = self._kept.setdefault(origin, [])
            if len(waiting) < MAX_IDLE_CONNECTIONS:
                waiting.append((connection, self._wall_clock()))
                return
        connection.close()


def _has_something_to_read(connection: http.client.HTTPConnection) -> bool:
    """Return True if the other side closed the connection or sent unexpected data."""
    if isinstance(connection.sock, ssl.SSLSocket) and connection.sock.pending():
        return True
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))


def _split(url: str) -> tuple[SplitResult, Origin]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise NotSent("the provider's address is not a URL") from error
    if parts.scheme not in ("http", "https") or not host:
        raise NotSent(f"{parts.scheme[:20]!r} is not a scheme of the provider's address; expected https://host")
    return parts, (parts.scheme, host, port or (443 if parts.scheme == "https" else 80))


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _connected(origin: Origin, connect_sec: float) -> http.client.HTTPConnection:
    """Return a new connection, ready to send. Raises NotSent."""
    scheme, host, port = origin
    until = monotonic() + connect_sec
    connection = http.client.HTTPConnection(host, port)
    # http.client writes the port into Host if the port is not its own default.
    connection.default_port = 443 if scheme == "https" else 80
    # http.client must never reconnect by itself and send the request a second time.
    connection.auto_open = 0
    try:
        raw = _first_that_connects(host, port, until)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sock = _secured(raw, host, until) if scheme == "https" else raw
    except OSError as error:
        raise NotSent(_described(error)) from error
    # The socket has no timeout of its own, because each exchange has its deadline.
    connection.sock.settimeout(None)
    return connection


def _first_that_connects(host: str, port: int, until: float) -> socket.socket:
    """Try one address after the other, each with its share of the remaining time."""
    addresses = addresses_by(until, host, port)
    failed = OSError(f"{host} has no address")
    for tried, address in enumerate(addresses):
        share_sec = (until - monotonic()) / (len(addresses) - tried)
        try:
            return socket.create_connection((address, port), max(share_sec, 0.001))
        except OSError as error:
            failed = error
    raise failed


def _secured(raw: socket.socket, host: str, until: float) -> socket.socket:
    """Return the socket with TLS, after a check of its certificate. Raises OSError."""
    secure = _tls().wrap_socket(raw, server_hostname=host, do_handshake_on_connect=False)
    try:
        with Deadline(until, secure) as deadline:
            secure.do_handshake()
        if deadline.over:
            raise TimeoutError("TLS was not set up in time")
    except OSError:
        secure.close()
        raise
    return secure


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Return the one TLS context of the process.

    To load the certificates takes some 20 ms.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _write_head(
    connection: http.client.HTTPConnection, method: str, target: str, headers: Mapping[str, str], body: bytes | None
) -> None:
    """Prepare the request without sending it. Raises NotSent."""
    try:
        connection.putrequest(method, target)
        for name, value in headers.items():
            connection.putheader(name, value)
        if body is not None or method in ("POST", "PUT", "PATCH"):
            connection.putheader("Content-Length", str(len(body or b"")))
    except (ValueError, http.client.HTTPException) as error:
        # The library's messages hold the header or the URL, and so a credential.
        raise NotSent("a header or the address holds a character that HTTP does not allow") from error


def _whole(response: http.client.HTTPResponse, encoding: str, most: int) -> bytes:
    """Read an answer to its end.

    Raises HTTPException if there are more than ``most`` decompressed bytes.
    """
    packed = encoding.strip().lower() in ("gzip", "x-gzip", "deflate")
    body = bytearray()
    for piece in _unpacked(response) if packed else iter(lambda: response.read(_CHUNK_BYTES), b""):
        body += piece
        if len(body) > most:
            raise http.client.HTTPException(f"the answer is longer than {most} bytes")
    if response.length:
        raise http.client.HTTPException(f"the answer ended {response.length} bytes early")
    return bytes(body)


def _unpacked(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yield the decompressed answer in small pieces, even if one byte stands for many."""
    unpack = zlib.decompressobj(_GZIP_OR_ZLIB)
    begun = False
    while not unpack.eof and (piece := response.read(_CHUNK_BYTES)):
        begun = True
        while piece and not unpack.eof:
            yield unpack.decompress(piece, _CHUNK_BYTES)
            piece = unpack.unconsumed_tail
    if begun and not unpack.eof:
        raise http.client.HTTPException("the compressed answer ended early")
    response.read(_CHUNK_BYTES)


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
