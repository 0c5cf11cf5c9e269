"""The proof of a sender: secrets, comparison in constant time, URL spellings.

The secrets may be under rotation. basic_login() makes our own login.
"""

import base64
import hmac
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import permutations
from urllib.parse import quote, urlencode

from chalicelib.providers.forms import decode_form

#: The parts of an absolute URL: scheme and host (group 1), port (2), the rest (3). Brackets enclose an IPv6 host.
_URL = re.compile(r"([^:/?#]+://(?:[^/?#@]*@)?(?:\[[^\]/?#]*\]|[^:/?#]*))(?::([0-9]+))?([/?#].*)?", re.DOTALL)

#: The ways in which senders encode a query: ``%20`` or ``+`` for a space, and the characters that they do not encode.
#: API Gateway passes a query on decoded, so Redial must find the spelling that was signed.
_QUOTINGS = (
    ("%20", ""),  # RFC 3986: Python, Go, Ruby's ERB
    ("+", ""),  # a form: urlencode, Ruby's and PHP's
    ("%20", "!'()*"),  # JavaScript's encodeURIComponent and querystring
    ("+", "*"),  # a form by the WHATWG and Java, but for the tilde
    ("%20", "!$'()*,/:;=?@"),  # all that RFC 3986 allows in a query as it is
    ("+", "!$'()*,/:;=?@"),
)

#: The largest number of fields of a query that is tried in every order
MAX_REORDERED = 2


def secrets_of(value: str) -> tuple[str, ...]:
    """Return the secrets in a setting: one, or two during a rotation.

    Commas separate the secrets.
    """
    return tuple(secret for each in value.split(",") if (secret := each.strip()))


def matches_any(given: str, expected: Iterable[str]) -> bool:
    """Return True if ``given`` is one of ``expected``.

    The comparison takes the same time for each of them, and if none matches.
    """
    presented = given.encode("utf-8", "surrogatepass")
    found = False
    for each in expected:
        found |= hmac.compare_digest(presented, each.encode())
    return found


def basic_login(user: str, password: str) -> str:
    """Return the Authorization header of a user and password (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def with_and_without_port(url: str) -> tuple[str, ...]:
    """Return a URL without its port and with it.

    A URL that names no port gets the default port.
    """
    match = _URL.fullmatch(url)
    if match is None:
        return (url,)
    host, port, rest = match[1], match[2], match[3] or ""
    default = "443" if url[:6].lower() == "https:" else "80"
    return (f"{host}{rest}", f"{host}:{port or default}{rest}")


def with_and_without_standard_port(url: str) -> tuple[str, ...]:
    """Return a URL with and without its port, if the port is the scheme's own.

    A URL with any other port is returned as it is, because that port counts.
    """
    match = _URL.fullmatch(url)
    standard = {"https": "443", "http": "80"}.get(url.partition(":")[0].lower())
    if match is None or standard is None or match[2] not in (None, standard):
        return (url,)
    return with_and_without_port(url)


def url_spellings(url: str) -> tuple[str, ...]:
    """Return the ways to write a callback's URL, the given one first.

    The slash at the end of the path is there or not. The query is as it is, and encoded in each of the usual ways, in
    the given order and sorted; a query of at most MAX_REORDERED fields is in every order. All of them name the same
    address with the same fields. Raises ValueError if the query cannot be decoded.
    """
    _, _, query = url.partition("?")
    queries = dict.fromkeys((query, *_query_spellings(query))) if query else (query,)
    both = (each.partition("?") for each in path_spellings(url))
    return tuple(f"{address}{mark}{each}" for address, mark, _ in both for each in queries)


def path_spellings(url: str) -> tuple[str, str]:
    """Return a URL as it is, and with the slash at the end of its path toggled."""
    address, mark, query = url.partition("?")
    slashed = address.removesuffix("/") if address.endswith("/") else address + "/"
    return url, f"{slashed}{mark}{query}"


def _query_spellings(query: str) -> Iterator[str]:
    pairs = decode_form(query)
    # Our callback URLs have no query. A query that a user added is short, and a proxy may reorder it.
    orders: Iterable[Sequence[tuple[str, str]]] = (pairs, sorted(pairs))
    if len(pairs) <= MAX_REORDERED:
        orders = permutations(pairs)
    for order in orders:
        encoded = urlencode(order, quote_via=quote, safe="")
        for space, plain in _QUOTINGS:
            spelled = encoded.replace("%20", space)
            for char in plain:
                spelled = spelled.replace(quote(char, safe=""), char)
            yield spelled
            yield spelled.replace("~", "%7E")  # Java
