"""A local server that plays each connection byte by byte and counts requests."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: What a server does with a whole request. It returns False to close the connection.
Play = Callable[[socket.socket, bytes], bool]


def ok(body: bytes = b"{}", *headers: str) -> bytes:
    """Return an answer of 200 with its length."""
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def sends(*pieces: bytes, pause_sec: float = 0.0, keep: bool = True) -> Play:
    """Return a play that sends the pieces, with a pause between them."""

    def play(sock: socket.socket, request: bytes) -> bool:
        for number, piece in enumerate(pieces):
            if number:
                time.sleep(pause_sec)
            sock.sendall(piece)
        return keep

    return play


class Loopback:
    """The server.

    ``connections`` is the number of accepted connections, and ``requests`` are the whole requests.
    """

    def __init__(self, play: Play, tls: ssl.SSLContext | None = None) -> None:
        self.play = play
        self._tls = tls
        self.connections = 0
        self.requests: list[bytes] = []
        self._oldest_alive = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def forget_connections(self) -> None:
        """Drop the state of every connection silently, as a gateway does.

        The server ignores whatever comes on one of these connections.
        """
        self._oldest_alive = self.connections

    def serve(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._converse, args=(sock, self.connections), daemon=True).start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _converse(self, sock: socket.socket, number: int) -> None:
        try:
            if self._tls:
                sock = self._tls.wrap_socket(sock, server_side=True)
            while (request := _whole_request(sock)) and number > self._oldest_alive:
                self.requests.append(request)
                if not self.play(sock, request):
                    break
        except OSError:
            return
        finally:
            sock.close()


def _whole_request(sock: socket.socket) -> bytes:
    """Return the next request, head and body; empty if the client has closed."""
    heard = b""
    while b"\r\n\r\n" not in heard:
        piece = sock.recv(65536)
        if not piece:
            return b""
        heard += piece
    head, _, body = heard.partition(b"\r\n\r\n")
    lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    while len(body) < int(lines.get(b"content-length", b"0")):
        body += sock.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def loopback(play: Play, tls: ssl.SSLContext | None = None) -> Iterator[Loopback]:
    """Serve while the block runs."""
    server = Loopback(play, tls)
    threading.Thread(target=server.serve, daemon=True).start()
    try:
        yield server
    finally:
        server.close()
