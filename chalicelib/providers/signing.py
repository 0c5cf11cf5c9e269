"""What proves who speaks: secrets under rotation, comparison in constant time, the URL's spellings, a login."""

import base64
import hmac
import re
from collections.abc import Iterable

#: scheme and host (group 1), port (2), and the rest (3) of an absolute URL; an IPv6 host stands in brackets
_URL = re.compile(r"([^:/?#]+://(?:[^/?#@]*@)?(?:\[[^\]/?#]*\]|[^:/?#]*))(?::([0-9]+))?([/?#].*)?", re.DOTALL)


def secrets_of(value: str) -> tuple[str, ...]:
    """The secrets in a setting: one, or two separated by a comma while one replaces the other."""
    return tuple(secret for each in value.split(",") if (secret := each.strip()))


def matches_any(given: str, expected: Iterable[str]) -> bool:
    """True where ``given`` is one of ``expected``; takes equally long whichever it is, and if none."""
    presented = given.encode("utf-8", "surrogatepass")
    found = False
    for each in expected:
        found |= hmac.compare_digest(presented, each.encode())
    return found


def basic_login(user: str, password: str) -> str:
    """The Authorization header of a user and password (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def with_and_without_port(url: str) -> tuple[str, ...]:
    """A URL with its port and without, the default port where it names none."""
    match = _URL.fullmatch(url)
    if match is None:
        return (url,)
    host, port, rest = match[1], match[2], match[3] or ""
    default = "443" if url[:6].lower() == "https:" else "80"
    return (f"{host}{rest}", f"{host}:{port or default}{rest}")


def with_and_without_standard_port(url: str) -> tuple[str, ...]:
    """A URL as it is and, if its port is the scheme's own, with that port left out or named; any other port counts."""
    match = _URL.fullmatch(url)
    standard = {"https": "443", "http": "80"}.get(url.partition(":")[0].lower())
    if match is None or standard is None or match[2] not in (None, standard):
        return (url,)
    return with_and_without_port(url)
