"""The web addresses of a user that Redial may call: their form and their IPs.

Redial calls a user's webhook from inside the deployment's network. The address must therefore not lead back into this
network: not to the metadata service (169.254.169.254), not to a neighbour in the VPC, not to the Lambda itself.
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
#: the time limit for resolving a host's name
RESOLVE_SEC = 5.0
#: a function: (host, port) -> the addresses of the host as text
Resolve = Callable[[str, int], Sequence[str]]

MAX_URL_CHARS = 2048
#: scheme -> the allowed ports, the default port first
PORTS = {"https": (443, 8443), "http": (80, 8080)}

_URL = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
#: a host whose last part is a number; such a host is an IPv4 address in some spelling (WHATWG URL, 3.5)
_NUMBER = re.compile(r"(.*\.)?(0x[0-9a-f]*|[0-9]+)")
#: names that resolve only inside a network (RFC 6761, RFC 6762, RFC 8375, and names that clouds use)
LOCAL_NAMES = ("localhost", "local", "internal", "intranet", "lan", "home.arpa", "corp", "private")

#: (network, its purpose, True if Rules.local allows it); the first network that contains an address counts. The source
#: is IANA's registries of special-purpose addresses. Other IPv6 addresses outside 2000::/3 are refused, too.
NETWORKS = (
    ("127.0.0.0/8", "loopback", True),
    ("10.0.0.0/8", "private", True),
    ("172.16.0.0/12", "private", True),
    ("192.168.0.0/16", "private", True),
    ("0.0.0.0/8", "for this network only", False),
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
    ("::ffff:0:0/96", "an IPv4 address written as IPv6", False),
    ("::/96", "an IPv4 address written as IPv6", False),
    ("64:ff9b::/96", "an IPv4 address behind NAT64", False),
    ("64:ff9b:1::/48", "an IPv4 address behind NAT64", False),
    ("100::/64", "discard-only", False),
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
    """The rules for what Redial may call.

    ``local`` also allows http, every port, and loopback and private addresses. It is for tests on one's own computer.
    """

    local: bool = False


@dataclass(frozen=True, slots=True)
class Destination:
    """The parts of a URL that Redial may call.

    ``host`` is in lower case, without a trailing dot. ``target`` is the path and the query.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def origin(self) -> tuple[str, str, int]:
        """The receiver of the request: scheme, host and port."""
        return self.scheme, self.host, self.port


def destination(url: str, rules: Rules) -> Destination:
    """Return the parts of a URL, if the form of the URL is safe.

    This function resolves nothing. Raises Unsafe.
    """
    if len(url) > MAX_URL_CHARS or not _URL.fullmatch(url):
        raise Unsafe(f"must be a URL of at most {MAX_URL_CHARS} plain characters, its host in punycode")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Unsafe("must be a URL with a valid host and port (example: https://hooks.example.com/redial)") from None
    if parts.scheme != "https" and not (rules.local and parts.scheme == "http"):
        raise Unsafe(f"must begin with https:// (got {parts.scheme or 'nothing'})")
    if "@" in parts.netloc:
        raise Unsafe("must not contain a user name or a password")
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
            # Some resolvers read 127.1, 0x7f.0.0.1, 017700000001 and 2130706433 as 127.0.0.1. Redial refuses them.
            address = ip_address(host)
        except ValueError:
            raise Unsafe(f"{host!r} is not an IP address; write four decimal numbers, or IPv6 in brackets") from None
        check(address, rules)
        return str(address)
    if not _NAME.fullmatch(host):
        raise Unsafe(f"{host!r} is not a host name")
    inside = "." not in host or any(host == name or host.endswith(f".{name}") for name in LOCAL_NAMES)
    if inside and not rules.local:
        raise Unsafe(f"{host!r} is a name of a private network; use a public host name")
    return host


def check(address: Address, rules: Rules) -> None:
    """Raise Unsafe for an IP address that must not be called."""
    for network, what, local in _networks():
        if address.version == network.version and address in network:
            if local and rules.local:
                return
            raise Unsafe(f"{address} must not be called: it is {what}")
    # Python's own tables may have networks that are missing in NETWORKS.
    unassigned = address.version == 6 and address not in _GLOBAL_IPV6
    if unassigned or not address.is_global or address.is_multicast or address.is_reserved:
        raise Unsafe(f"{address} must not be called: it is not a public address")


@cache
def _networks() -> list[tuple[IPv4Network | IPv6Network, str, bool]]:
    """Return NETWORKS as network objects.

    They are parsed on first use, so the cold start of a callback does not parse them.
    """
    return [(ip_network(network), what, local) for network, what, local in NETWORKS]


def addresses(to: Destination, rules: Rules, resolve: Resolve) -> list[str]:
    """Return the IP addresses of a destination. Each of them may be called.

    If one address of several is bad, all are refused: a server that answers with both may be an attack. Raises Unsafe,
    and OSError if the name cannot be resolved.
    """
    found = list(dict.fromkeys(resolve(to.host, to.port)))
    if not found:
        raise Unsafe(f"{to.host!r} has no address")
    for text in found:
        try:
            check(ip_address(text), rules)
        except ValueError:
            raise Unsafe(f"{to.host!r} has the address {text!r}, which is not an IP address") from None
    return found


def resolve_by_dns(host: str, port: int) -> list[str]:
    """Return a host's addresses from the system's resolver, within RESOLVE_SEC.

    Raises OSError.
    """
    return addresses_by(monotonic() + RESOLVE_SEC, host, port)
