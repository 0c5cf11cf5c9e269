"""Calls a web address that a user gave, and nobody else: it connects to the very address that was checked."""

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
#: after these a request goes on as it was; after the others as a GET without a body (RFC 9110, 15.4)
AS_IT_WAS = (307, 308)
#: headers that are meant for one host only
FOR_ONE_HOST = ("authorization", "cookie", "proxy-authorization")


class Undelivered(RedialError):
    """No answer came: no connection, too slow, too many redirects, or no HTTP."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much: seconds to connect and in all, redirects followed, bytes of the answer that are read."""

    connect_sec: float = 3.0
    total_sec: float = 10.0
    redirects: int = 3
    answer_bytes: int = 64 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """What to send."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back from ``url``, the last one if there were redirects. ``body`` is cut at the limit."""

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
    """Send a request, and follow its redirects, each checked like the first. Raises Unsafe, Undelivered.

    A name is resolved once for each hop, and the connection goes to the address that was found and checked: a second
    answer of the DNS has no say. Name and certificate are still those of the URL.
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
        raise Unsafe(f"redirected to {location[:200]!r}, which is no URL") from error
    headers = dict(request.headers)
    if destination(url, rules).origin != was.origin:
        headers = {name: text for name, text in headers.items() if name.lower() not in FOR_ONE_HOST}
    if status in AS_IT_WAS or request.method in ("GET", "HEAD"):
        return Request(request.method, url, headers, request.body)
    return Request(
        "GET", url, {name: text for name, text in headers.items() if not name.lower().startswith("content-")}
    )


def _first_that_connects(
    request: Request, to: Destination, checked: list[str], limits: Limits, deadline: float, tls: ssl.SSLContext | None
) -> Reply:
    """Try one address after the other; a request that may have arrived is not sent again."""
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
    # http.client names the port in Host where it is not its own default.
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
            said = f"no answer within {limits.total_sec:g} s" if until.over else f"{type(error).__name__}: {error}"
            raise Undelivered(f"{to.host}: {said}") from error
        finally:
            connection.close()
            raw.close()
    if until.over:
        raise Undelivered(f"{to.host}: no answer within {limits.total_sec:g} s")
    headers = {name.lower(): text for name, text in answer.getheaders()}
    return Reply(answer.status, request.url, headers, body)
