"""A fetch of a user's URL: pinned address, bounded redirects, time and size."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chalicelib.outbound.address import Resolve, Rules, Unsafe
from chalicelib.outbound.fetch import Limits, Reply, Request, Undelivered, fetch

LOCAL = Rules(local=True)
SOON = Limits(total_sec=5)
NAME = "hooks.example.com"


class Seen(BaseHTTPRequestHandler):
    """A handler that answers ``/`` with the request and ``/to?<url>`` with a redirect.

    It misbehaves at other paths.
    """

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        heard = (self.command, self.path, dict(self.headers), self.rfile.read(length))
        self.server.heard.append(heard)  # type: ignore[attr-defined]
        path, _, query = self.path.partition("?")
        if path == "/to":
            status, _, url = query.partition(",")
            self.send_response(int(status))
            self.send_header("Location", url)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif path == "/drip-head":
            self._drip(b"HTTP/1.1 200 OK\r\nX: ")
        elif path == "/drip-body":
            self._drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        else:
            body = b"x" * 200_000 if path == "/large" else b"heard"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def _drip(self, head: bytes) -> None:
        self.wfile.write(head)
        for _ in range(100):
            try:
                self.wfile.write(b"x")
            except OSError:
                return
            time.sleep(0.05)

    do_GET = _answer  # noqa: N815 (the library's name)
    do_POST = _answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Write no log line."""


class Server(ThreadingHTTPServer):
    """A local server that remembers its requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Seen)
        self.heard: list[tuple[str, str, dict[str, str], bytes]] = []

    def url(self, path: str = "/", name: str = NAME, scheme: str = "http") -> str:
        return f"{scheme}://{name}:{self.server_port}{path}"


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Server()) as running:
        yield running


def known(**names: str) -> tuple[Resolve, list[str]]:
    """Return a resolver and the list of the names that it was asked for.

    ``hooks=127.0.0.1`` sets the address of hooks.example.com.
    """
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return [names[host.partition(".")[0]]]

    return resolve, asked


def get(url: str, resolve: Resolve, rules: Rules = LOCAL, limits: Limits = SOON) -> Reply:
    return fetch(Request("GET", url, {}), rules, resolve=resolve, limits=limits)


def test_a_request_goes_to_the_checked_address_under_the_urls_name(server: Server) -> None:
    resolve, asked = known(hooks="127.0.0.1")
    request = Request("POST", server.url("/hook?a=1"), {"Content-Type": "application/json", "X-Id": "7"}, b'{"a": 1}')
    reply = fetch(request, LOCAL, resolve=resolve)
    assert (reply.status, reply.body, reply.url) == (200, b"heard", request.url)
    ((method, path, headers, body),) = server.heard
    assert (method, path, body) == ("POST", "/hook?a=1", b'{"a": 1}')
    assert (headers["Host"], headers["X-Id"]) == (f"{NAME}:{server.server_port}", "7")
    assert asked == [NAME]


def test_a_name_that_is_rebound_after_the_check_changes_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected: list[tuple[str, int]] = []
    connect = socket.create_connection

    def watched(address: tuple[str, int], timeout: float) -> socket.socket:
        connected.append(address)
        return connect(address, timeout)

    monkeypatch.setattr("chalicelib.outbound.fetch.socket.create_connection", watched)
    answers = [["127.0.0.1"], ["169.254.169.254"]]
    assert get(server.url(), lambda host, port: answers.pop(0)).status == 200
    # The name was resolved once, and the connection went to the checked address, not to the name.
    assert answers == [["169.254.169.254"]]
    assert connected == [("127.0.0.1", server.server_port)]


@pytest.mark.parametrize("found", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_a_public_name_that_leads_inside_is_never_connected_to(monkeypatch: pytest.MonkeyPatch, found: str) -> None:
    def no_connection(*_: object) -> None:
        raise AssertionError("a connection was made")

    monkeypatch.setattr("chalicelib.outbound.fetch.socket.create_connection", no_connection)
    with pytest.raises(Unsafe, match="must not be called"):
        get("https://hooks.example.com/", lambda host, port: ["1.1.1.1", found], Rules())


class TestRedirects:
    """Each hop is checked like the first one."""

    def test_one_to_a_good_address_is_followed(self, server: Server) -> None:
        resolve, asked = known(hooks="127.0.0.1", other="127.0.0.1")
        assert get(server.url("/to?302," + server.url("/there", "other.example.com")), resolve).body == b"heard"
        assert asked == [NAME, "other.example.com"]
        assert [path for _, path, _, _ in server.heard][-1] == "/there"

    @pytest.mark.parametrize(
        "url",
        [
            "http://169.254.169.254/latest",
            "https://0x7f.1/",
            "ftp://example.com/",
            "http://evil.example.com/",
            "http://[",
        ],
    )
    def test_one_to_a_bad_address_is_not(self, server: Server, url: str) -> None:
        resolve, _ = known(hooks="127.0.0.1", evil="169.254.169.254")
        with pytest.raises((Unsafe, Undelivered)):
            get(server.url("/to?302," + url), resolve)
        assert len(server.heard) == 1

    def test_they_end(self, server: Server) -> None:
        resolve, _ = known(hooks="127.0.0.1")
        url = server.url()
        for _ in range(4):
            url = server.url(f"/to?302,{url}")
        with pytest.raises(Undelivered, match="redirected more than 3 times"):
            get(url, resolve)
        assert len(server.heard) == 4

    @pytest.mark.parametrize(("status", "wanted"), [(307, ("POST", b"x")), (308, ("POST", b"x")), (303, ("GET", b""))])
    def test_what_is_sent_on_depends_on_the_status(
        self, server: Server, status: int, wanted: tuple[str, bytes]
    ) -> None:
        resolve, _ = known(hooks="127.0.0.1")
        request = Request("POST", server.url(f"/to?{status},/there"), {"Content-Type": "text/plain"}, b"x")
        fetch(request, LOCAL, resolve=resolve)
        method, _, _, body = server.heard[-1]
        assert (method, body) == wanted

    def test_another_host_does_not_get_the_first_hosts_credentials(self, server: Server) -> None:
        resolve, _ = known(hooks="127.0.0.1", other="127.0.0.1")
        secret = {"Authorization": "Bearer x", "Webhook-Id": "7"}
        url = server.url("/to?307," + server.url("/", "other.example.com"))
        fetch(Request("POST", url, secret, b"x"), LOCAL, resolve=resolve)
        (_, _, first, _), (_, _, second, _) = server.heard
        assert ("Authorization" in first, "Authorization" in second, second["Webhook-Id"]) == (True, False, "7")


class TestBounds:
    """Time and size."""

    @pytest.mark.parametrize("path", ["/drip-head", "/drip-body"])
    def test_a_server_that_drips_is_left_at_the_deadline(self, server: Server, path: str) -> None:
        resolve, _ = known(hooks="127.0.0.1")
        started = time.monotonic()
        with pytest.raises(Undelivered, match=r"no answer within 0\.4 s"):
            get(server.url(path), resolve, limits=Limits(total_sec=0.4))
        assert time.monotonic() - started < 3

    def test_a_large_answer_is_cut(self, server: Server) -> None:
        resolve, _ = known(hooks="127.0.0.1")
        assert len(get(server.url("/large"), resolve, limits=Limits(answer_bytes=1000)).body) == 1000

    def test_an_unreachable_host_is_undelivered(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        resolve, _ = known(hooks="127.0.0.1")
        with pytest.raises(Undelivered, match="no connection"):
            get(f"http://hooks.example.com:{port}/", resolve)

    def test_an_unknown_host_name_is_undelivered(self) -> None:
        def nothing(host: str, port: int) -> list[str]:
            raise socket.gaierror(-2, "Name or service not known")

        with pytest.raises(Undelivered, match="cannot be resolved"):
            get("https://hooks.example.com/", nothing, Rules())

    def test_an_answer_that_is_not_http_is_undelivered(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            threading.Thread(target=_say_nonsense, args=(listening,), daemon=True).start()
            resolve, _ = known(hooks="127.0.0.1")
            with pytest.raises(Undelivered, match="BadStatusLine"):
                get(f"http://hooks.example.com:{listening.getsockname()[1]}/", resolve)


def _say_nonsense(listening: socket.socket) -> None:
    connection, _ = listening.accept()
    with connection:
        connection.recv(1000)
        connection.sendall(b"220 mail.example.com ESMTP\r\n")


class TestTls:
    """The TLS server name is the name in the URL, and the certificate must have it."""

    @pytest.fixture
    def secure(self, tmp_path: Path) -> Iterator[tuple[Server, ssl.SSLContext, list[str | None]]]:
        pem = certificate(tmp_path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        names: list[str | None] = []
        context.sni_callback = lambda raw, name, ctx: names.append(name)
        server = Server()
        server.socket = context.wrap_socket(server.socket, server_side=True)
        with serving(server) as running:
            yield running, ssl.create_default_context(cafile=str(pem)), names

    def test_a_certificate_for_the_name_is_taken(self, secure: tuple[Server, ssl.SSLContext, list[str | None]]) -> None:
        server, tls, names = secure
        resolve, _ = known(hooks="127.0.0.1")
        reply = fetch(Request("GET", server.url(scheme="https"), {}), LOCAL, resolve=resolve, tls=tls)
        assert (reply.status, names) == (200, [NAME])
        assert server.heard[0][2]["Host"] == f"{NAME}:{server.server_port}"

    @pytest.mark.parametrize("trusting", [True, False])
    def test_one_for_another_name_or_from_nobody_is_not(
        self, secure: tuple[Server, ssl.SSLContext, list[str | None]], trusting: bool
    ) -> None:
        server, tls, _ = secure
        resolve, _ = known(other="127.0.0.1", hooks="127.0.0.1")
        name = "other.example.com" if trusting else NAME
        send: Callable[[], Reply] = lambda: fetch(  # noqa: E731
            Request("GET", server.url(name=name, scheme="https"), {}),
            LOCAL,
            resolve=resolve,
            tls=tls if trusting else None,
        )
        with pytest.raises(Undelivered, match="CERTIFICATE_VERIFY_FAILED"):
            send()
        assert server.heard == []


def certificate(folder: Path) -> Path:
    """Create a self-signed certificate for hooks.example.com, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "both.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return pem
