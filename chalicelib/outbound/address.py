"""Which web addresses of a user's Redial may call: what they look like, and which IP addresses may stand behind them.

What a user names as a webhook is called from inside the deployment's network, so it must not lead back into it: to the
metadata service (169.254.169.254), to a neighbour in the VPC, to the Lambda itself.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from time import monotonic
from urllib.parse import urlsplit

from chalicelib.deadline import addresses_by
from chalicelib.errors import RedialError

Address = IPv4Address | IPv6Address
#: Seconds that the name of a host may take
RESOLVE_SEC = 5.0
#: (host, port) -> its addresses as text
Resolve = Callable[[str, int], Sequence[str]]

MAX_URL_CHARS = 2048
#: scheme -> the ports that it may use, its own first
PORTS = {"https": (443, 8443), "http": (80, 8080)}

_URL = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
#: a host whose last part is a number is an IPv4 address, in whatever spelling (WHATWG URL, 3.5)
_NUMBER = re.compile(r"(.*\.)?(0x[0-9a-f]*|[0-9]+)")
#: names that resolve inside a network only (RFC 6761, RFC 6762, RFC 8375, and what the clouds use)
LOCAL_NAMES = ("localhost", "local", "internal", "intranet", "lan", "home.arpa", "corp", "private")

#: network, what it is, whether it may be called where local addresses may; the first that holds an address counts.
#: From IANA's registries of special-purpose addresses; what lies outside 2000::/3 and is not here is refused as well.
NETWORKS = (
    ("127.0.0.0/8", "loopback", True),
    ("10.0.0.0/8", "private", True),
    ("172.16.0.0/12", "private", True),
    ("192.168.0.0/16", "private", True),
    ("0.0.0.0/8", "this very network", False),
    ("100.64.0.0/10", "shared by a carrier's customers", False),
    ("169.254.0.0/16", "link-local, the metadata service among it", False),
    ("192.0.0.0/24", "set aside for protocols", False),
    ("192.0.2.0/24", "for documentation", False),
    ("192.88.99.0/24", "a relay of 6to4", False),
    ("198.18.0.0/15", "for benchmarks", False),
    ("198.51.100.0/24", "for documentation", False),
    ("203.0.113.0/24", "for documentation", False),
    ("224.0.0.0/4", "multicast", False),
    ("240.0.0.0/4", "reserved", False),
    ("::1/128", "loopback", True),
    ("::/128", "unspecified", False),
    ("::ffff:0:0/96", "an IPv4 address in IPv6's clothes", False),
    ("::/96", "an IPv4 address in IPv6's clothes", False),
    ("64:ff9b::/96", "an IPv4 address behind NAT64", False),
    ("64:ff9b:1::/48", "an IPv4 address behind NAT64", False),
    ("100::/64", "a black hole", False),
    ("2001::/23", "set aside for protocols, Teredo among it", False),
    ("2001:db8::/32", "for documentation", False),
    ("2002::/16", "an IPv4 address behind 6to4", False),
    ("3fff::/20", "for documentation", False),
    ("5f00::/16", "for segment routing", False),
    ("fd00:ec2::/32", "the metadata service", False),
    ("fc00::/7", "private", True),
    ("fe80::/10", "link-local", False),
    ("fec0::/10", "site-local", False),
    ("ff00::/8", "multicast", False),
)
_GLOBAL_IPV6 = ip_network("2000::/3")


class Unsafe(RedialError):
    """An address that must not be called."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be called. ``local`` lets in http, every port, and loopback and private addresses: for tests at home."""

    local: bool = False


@dataclass(frozen=True, slots=True)
class Destination:
    """A URL taken apart. ``host`` is in lower case, without a trailing dot; ``target`` is path and query."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def origin(self) -> tuple[str, str, int]:
        """Whom the request goes to."""
        return self.scheme, self.host, self.port


def destination(url: str, rules: Rules) -> Destination:
    """Take a URL apart, if its form says nothing against calling it; nothing is resolved. Raises Unsafe."""
    if len(url) > MAX_URL_CHARS or not _URL.fullmatch(url):
        raise Unsafe(f"must be a URL of at most {MAX_URL_CHARS} plain characters, its host in punycode")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Unsafe(f"must be a URL: {error}") from None
    if parts.scheme != "https" and not (rules.local and parts.scheme == "http"):
        raise Unsafe(f"must begin with https:// (got {parts.scheme or 'nothing'})")
    if "@" in parts.netloc:
        raise Unsafe("must hold no user name or password")
    port = port if port is not None else PORTS[parts.scheme][0]
    if port not in PORTS[parts.scheme] and not (rules.local and port):
        raise Unsafe(f"must use port {' or '.join(map(str, PORTS[parts.scheme]))} (got {port})")
    host = _host(parts.hostname or "", bracketed="[" in parts.netloc, rules=rules)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Destination(parts.scheme, host, port, target)


def _host(host: str, *, bracketed: bool, rules: Rules) -> str:
    host = host.removesuffix(".")
    if bracketed or _NUMBER.fullmatch(host):
        try:
            # 127.1, 0x7f.0.0.1, 017700000001 and 2130706433 are all 127.0.0.1 to somebody, and to us nothing.
            address = ip_address(host)
        except ValueError:
            raise Unsafe(f"{host!r} is no IP address; write four decimal numbers, or IPv6 in brackets") from None
        check(address, rules)
        return str(address)
    if not _NAME.fullmatch(host):
        raise Unsafe(f"{host!r} is no host name")
    inside = "." not in host or any(host == name or host.endswith(f".{name}") for name in LOCAL_NAMES)
    if inside and not rules.local:
        raise Unsafe(f"{host!r} is a name inside a network; the public must know it")
    return host


def check(address: Address, rules: Rules) -> None:
    """Raise Unsafe for an IP address that must not be called."""
    for network, what, local in _networks():
        if address.version == network.version and address in network:
            if local and rules.local:
                return
            raise Unsafe(f"{address} must not be called: it is {what}")
    # Python's own tables know of what was set aside since, or what we forgot.
    unheard_of = address.version == 6 and address not in _GLOBAL_IPV6
    if unheard_of or not address.is_global or address.is_multicast or address.is_reserved:
        raise Unsafe(f"{address} must not be called: it is no public address")


@cache
def _networks() -> list[tuple[IPv4Network | IPv6Network, str, bool]]:
    """NETWORKS, read on first use: a callback's cold start has no part in it."""
    return [(ip_network(network), what, local) for network, what, local in NETWORKS]


def addresses(to: Destination, rules: Rules, resolve: Resolve) -> list[str]:
    """The IP addresses of a destination, every one of which may be called.

    One bad address among good ones refuses them all: who answers with both is up to something. Raises Unsafe, OSError.
    """
    found = list(dict.fromkeys(resolve(to.host, to.port)))
    if not found:
        raise Unsafe(f"{to.host!r} has no address")
    for text in found:
        try:
            check(ip_address(text), rules)
        except ValueError:
            raise Unsafe(f"{to.host!r} has {text!r} for an address") from None
    return found


def resolve_by_dns(host: str, port: int) -> list[str]:
    """Return a host's addresses as the system finds them, within RESOLVE_SEC. Raises OSError."""
    return addresses_by(monotonic() + RESOLVE_SEC, host, port)
