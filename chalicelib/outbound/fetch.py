"""Requests to web addresses that users gave.

Each connection goes to exactly the IP address that was checked.
"""

import http.client
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from urllib.parse import urljoin

from chalicelib.deadline import Deadline
from chalicelib.errors import RedialError
from chalicelib.outbound.address import Destination, Resolve, Rules, Unsafe, addresses, destination, resolve_by_dns

REDIRECTS = (301, 302, 303, 307, 308)
#: redirects that keep the method and the body; after the others, Redial sends a GET without a body (RFC 9110, 15.4)
KEEPS_METHOD_AND_BODY = (307, 308)
#: headers that a redirect to another origin must not get
CREDENTIAL_HEADERS = ("authorization", "cookie", "proxy-authorization")


class Undelivered(RedialError):
    """An error: no answer came.

    There was no connection, the answer was too slow or not HTTP, or there were too many redirects.
    """


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one request.

    ``connect_sec`` and ``total_sec`` are in seconds, ``redirects`` is the number of redirects that are followed, and
    ``answer_bytes`` is how much of the answer is read.
    """

    connect_sec: float = 3.0
    total_sec: float = 10.0
    redirects: int = 3
    answer_bytes: int = 64 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """The request to send."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer from ``url``, the last URL if there were redirects.

    ``body`` is cut at the limit.
    """

    status: int
    url: str
    headers: Mapping[str, str]
    body: bytes


def fetch(
    request: Request,
    rules: Rules,
    *,
    limits: Limits = Limits(),
    resolve: Resolve = resolve_by_dns,
    tls: ssl.SSLContext | None = None,
) -> Reply:
    """Send a request and follow its redirects. Check each redirect like the first URL.

    The name is resolved once for each hop, and the connection goes to the address that was found and checked. A second
    DNS answer therefore changes nothing. The Host header and the certificate are still those of the URL. Raises Unsafe
    and Undelivered.
    """
    deadline = monotonic() + limits.total_sec
    for _ in range(limits.redirects + 1):
        to = destination(request.url, rules)
        try:
            checked = addresses(to, rules, resolve)
        except OSError as error:
            raise Undelivered(f"{to.host} cannot be resolved: {error}") from error
        reply = _first_that_connects(request, to, checked, limits, deadline, tls)
        location = reply.headers.get("location")
        if reply.status not in REDIRECTS or not location:
            return reply
        request = _redirected(request, to, reply.status, location, rules)
    raise Undelivered(f"redirected more than {limits.redirects} times, last to {request.url[:200]}")


def _redirected(request: Request, was: Destination, status: int, location: str, rules: Rules) -> Request:
    try:
        url = urljoin(request.url, location)
    except ValueError as error:
        raise Unsafe(f"redirected to {location[:200]!r}, which is not a URL") from error
    headers = dict(request.headers)
    if destination(url, rules).origin != was.origin:
        headers = {name: text for name, text in headers.items() if name.lower() not in CREDENTIAL_HEADERS}
    if status in KEEPS_METHOD_AND_BODY or request.method in ("GET", "HEAD"):
        return Request(request.method, url, headers, request.body)
    return Request(
        "GET", url, {name: text for name, text in headers.items() if not name.lower().startswith("content-")}
    )


def _first_that_connects(
    request: Request, to: Destination, checked: list[str], limits: Limits, deadline: float, tls: ssl.SSLContext | None
) -> Reply:
    """Send the request to the first address that accepts a connection.

    A request that may have arrived is not sent again.
    """
    failed: OSError | None = None
    for address in checked:
        connect_sec = min(limits.connect_sec, deadline - monotonic())
        if connect_sec <= 0:
            break
        try:
            raw = socket.create_connection((address, to.port), connect_sec)
        except OSError as error:
            failed = error
            continue
        with raw:
            return _exchange(request, to, raw, limits, deadline, tls)
    raise Undelivered(f"no connection to {to.host}: {failed or 'no time was left'}")


def _exchange(
    request: Request, to: Destination, raw: socket.socket, limits: Limits, deadline: float, tls: ssl.SSLContext | None
) -> Reply:
    connection = http.client.HTTPConnection(to.host, to.port)
    # http.client adds the port to the Host header if the port is not this default.
    connection.default_port = 443 if to.scheme == "https" else 80
    raw.settimeout(limits.total_sec)
    with Deadline(deadline, raw) as until:
        try:
            if to.scheme == "https":
                context = tls or ssl.create_default_context()
                raw = context.wrap_socket(raw, server_hostname=to.host, do_handshake_on_connect=False)
                until.watch(raw)
                raw.do_handshake()
            connection.sock = raw
            connection.request(request.method, to.target, request.body, dict(request.headers))
            answer = connection.getresponse()
            body = answer.read(limits.answer_bytes)
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = f"no answer within {limits.total_sec:g} s" if until.over else f"{type(error).__name__}: {error}"
            raise Undelivered(f"{to.host}: {why}") from error
        finally:
            connection.close()
            raw.close()
    if until.over:
        raise Undelivered(f"{to.host}: no answer within {limits.total_sec:g} s")
    headers = {name.lower(): text for name, text in answer.getheaders()}
    return Reply(answer.status, request.url, headers, body)
