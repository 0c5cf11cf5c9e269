"""An HTTP request over real sockets: sent once, limited in time and in size."""

import gzip
import socket
import ssl
import threading
import time
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chalicelib import deadline
from chalicelib.providers import http as http_module
from chalicelib.providers.http import Answer, AnswerLost, Http, NotSent
from tests.outbound.test_fetch import NAME, certificate
from tests.support.loopback import Loopback, loopback, ok, sends

LEAST = 65536


class Wall:
    """The wall clock, which goes on while the process is frozen."""

    def __init__(self) -> None:
        self.at = 1_000_000.0

    def __call__(self) -> float:
        return self.at


def get(server: Loopback, http: Http | None = None) -> Answer:
    return (http or Http(read_sec=5)).request("GET", f"{server.url}/v1/calls?a=1", headers={"Accept": "x"})


def chunked(*pieces: bytes) -> list[bytes]:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n"
    return [head, *(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces), b"0\r\n\r\n"]


def test_a_request_arrives_whole_and_its_answer_too():
    with loopback(sends(ok(b'{"a": 1}', "X-Thing: 7"))) as server:
        form = [("To", "+1650"), ("Event", "a"), ("Event", "b")]
        answer = Http().request("POST", f"{server.url}/calls", headers={"Authorization": "Basic x"}, form=form)
    assert answer == Answer(200, {"content-length": "8", "x-thing": "7"}, b'{"a": 1}')
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /calls HTTP/1.1"
    assert body == b"To=%2B1650&Event=a&Event=b"
    assert set(lines[1:]) == {
        f"Host: 127.0.0.1:{server.port}",
        "Accept-Encoding: identity",
        "User-Agent: redial",
        "Authorization: Basic x",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(body)}",
    }


def test_a_post_without_a_body_says_that_it_has_none():
    with loopback(sends(ok())) as server:
        Http().request("POST", f"{server.url}/stop", headers={})
    assert b"Content-Length: 0" in server.requests[0]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_is_not_followed(status: int):
    with loopback(sends(ok())) as other:
        away = f"HTTP/1.1 {status} Elsewhere\r\nLocation: {other.url}/\r\nContent-Length: 0\r\n\r\n".encode()
        with loopback(sends(away)) as server:
            assert get(server).status == status
    assert other.connections == 0


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([ok(b"x" * (LEAST + 1))], id="plain"),
        pytest.param([b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 4096] * 17], id="without a length"),
        pytest.param([ok(gzip.compress(b"x" * (LEAST + 1)), "Content-Encoding: gzip")], id="gzip"),
        pytest.param([ok(zlib.compress(b"x" * (LEAST + 1)), "Content-Encoding: deflate")], id="deflate"),
        pytest.param(chunked(gzip.compress(b"x" * (LEAST + 1))), id="chunked gzip"),
    ],
)
def test_an_answer_longer_than_the_limit_is_lost(pieces: list[bytes]):
    with loopback(sends(*pieces, keep=False)) as server, pytest.raises(AnswerLost, match="longer than 65536 bytes"):
        get(server, Http(read_sec=5, max_answer_bytes=LEAST))


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_as_long_as_the_limit_is_read(packed: bool):
    body = bytes(range(256)) * (LEAST // 256)
    sent = ok(gzip.compress(body), "Content-Encoding: gzip") if packed else ok(body)
    with loopback(sends(sent)) as server:
        assert get(server, Http(read_sec=5, max_answer_bytes=LEAST)).body == body


def test_300_megabytes_of_gzip_cost_no_more_than_the_limit():
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1024 * 1024)) for _ in range(300)) + packer.flush()
    with loopback(sends(ok(bomb, "Content-Encoding: gzip"))) as server:
        tracemalloc.start()
        begun = time.thread_time()
        with pytest.raises(AnswerLost, match="longer than"):
            get(server)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 16 * 1024 * 1024
    assert time.thread_time() - begun < 0.2  # to unpack all of it takes 0.3 s or more


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nX: ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"",
    ],
    ids=["in the head", "in the body", "in a chunk", "without a length", "silence"],
)
def test_a_byte_now_and_then_ends_at_the_deadline(head: bytes):
    drips = [b"x"] * 40 if head else []
    with loopback(sends(head, *drips, pause_sec=0.05) if head else (lambda *_: not time.sleep(2))) as server:
        begun = time.monotonic()
        with pytest.raises(AnswerLost, match=r"no answer within 0\.4 s"):
            get(server, Http(read_sec=0.4))
    assert 0.3 < time.monotonic() - begun < 1.2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nshort",
        ok(gzip.compress(b"x" * 999)[:20], "Content-Encoding: gzip"),
        ok(b"no gzip", "Content-Encoding: gzip"),
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
        b"SMTP\r\n\r\n",
        b"",
    ],
    ids=["cut", "cut chunk", "cut gzip", "no gzip", "many headers", "long header", "no HTTP", "nothing"],
)
def test_an_answer_that_is_not_whole_is_lost(answer: bytes):
    with loopback(sends(answer, keep=False)) as server, pytest.raises(AnswerLost):
        get(server)
    assert len(server.requests) == 1


def test_what_never_connected_was_not_sent():
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(NotSent, match="ConnectionRefusedError"):
        Http().request("POST", f"http://127.0.0.1:{port}/", headers={})


@pytest.mark.parametrize("url", ["ftp://a.example/", "/calls", "https://", "http://[::1/", "http://a.example:x/"])
def test_a_request_to_an_address_that_is_not_a_url_is_not_sent(url: str):
    with pytest.raises(NotSent):
        Http().request("GET", url, headers={})


def test_an_unsendable_header_was_not_sent_and_stays_secret():
    with loopback(sends(ok())) as server, pytest.raises(NotSent) as raised:
        Http().request("GET", f"{server.url}/", headers={"Authorization": "Bearer hush\r\nX: y"})
    assert "hush" not in str(raised.value)
    assert server.requests == []


def test_a_name_that_is_not_resolved_in_time_was_not_sent(monkeypatch: pytest.MonkeyPatch):
    released = threading.Event()
    monkeypatch.setattr(deadline.socket, "getaddrinfo", lambda *_, **__: released.wait(5) and [])
    begun = time.monotonic()
    with pytest.raises(NotSent, match="not resolved in time"):
        Http(connect_sec=0.2).request("GET", "https://slow.example/", headers={})
    released.set()
    assert time.monotonic() - begun < 1


def test_a_handshake_that_never_ends_was_not_sent():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        with pytest.raises(NotSent):
            Http(connect_sec=0.3).request("POST", f"https://127.0.0.1:{silent.getsockname()[1]}/", headers={})
    assert time.monotonic() - begun < 1.5


def test_tls_is_checked_and_its_connection_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pem = certificate(tmp_path)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(pem)
    with loopback(sends(ok()), theirs) as server:
        monkeypatch.setattr(http_module, "addresses_by", lambda *_: ["127.0.0.1"])
        url = f"https://{NAME}:{server.port}/"
        with pytest.raises(NotSent, match="SSLCertVerificationError"):
            Http().request("POST", url, headers={})
        monkeypatch.setattr(http_module, "_tls", lambda: ssl.create_default_context(cafile=str(pem)))
        http = Http()
        assert [http.request("GET", url, headers={}).status for _ in range(3)] == [200, 200, 200]
    assert (len(server.requests), server.connections) == (3, 2)


def test_a_connection_in_use_serves_one_request_after_the_other():
    http = Http()
    with loopback(sends(ok())) as server:
        assert [get(server, http).status for _ in range(5)] == [200] * 5
    assert server.connections == 1


@pytest.mark.parametrize("rest_sec", [2.1, 600.0, -5.0])
def test_a_connection_that_rested_by_the_wall_clock_is_not_used_again(rest_sec: float):
    wall = Wall()
    http = Http(wall_clock=wall)
    with loopback(sends(ok())) as server:
        get(server, http)
        wall.at += rest_sec
        get(server, http)
    assert server.connections == 2


def test_a_connection_that_the_server_closed_is_not_used_again():
    http = Http()
    with loopback(sends(ok(), keep=False)) as server:
        for _ in range(3):
            assert get(server, http).status == 200
            time.sleep(0.02)
    assert (server.connections, len(server.requests)) == (3, 3)


def test_a_connection_with_unexpected_bytes_is_not_used_again():
    http = Http()
    with loopback(sends(ok(), ok(b"another's"), pause_sec=0.01)) as server:
        assert get(server, http).body == b"{}"
        time.sleep(0.05)
        assert get(server, http).body == b"{}"
    assert server.connections == 2


def test_a_post_on_a_connection_that_dies_is_never_repeated():
    http = Http()

    def once(sock: socket.socket, request: bytes) -> bool:
        if len(server.requests) == 1:
            sock.sendall(ok())
            return True
        return False

    with loopback(once) as server:
        http.request("POST", f"{server.url}/calls", headers={}, body=b"{}")
        with pytest.raises(AnswerLost):
            http.request("POST", f"{server.url}/calls", headers={}, body=b"{}")
    assert len(server.requests) == 2


def test_eight_dials_after_a_freeze_without_connections_arrive_once():
    """Freeze the process as Lambda does: ten minutes later each connection is dead."""
    wall = Wall()
    http = Http(wall_clock=wall)
    met = threading.Barrier(8)

    def held(sock: socket.socket, request: bytes) -> bool:
        met.wait(5)
        sock.sendall(ok(b'{"sid": "CA1"}'))
        return True

    def dial(number: int) -> int:
        return http.request("POST", f"{server.url}/calls/{number}", headers={}, body=b"{}").status

    with loopback(held) as server, ThreadPoolExecutor(8) as threads:
        assert list(threads.map(dial, range(8))) == [200] * 8
        server.forget_connections()
        wall.at += 600
        assert list(threads.map(dial, range(8, 16))) == [200] * 8
    lines = sorted(request.split(b" ")[1] for request in server.requests)
    assert lines == sorted(b"/calls/%d" % number for number in range(16))
    assert server.connections == 16
