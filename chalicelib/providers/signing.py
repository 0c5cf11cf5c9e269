"""What proves who speaks: secrets under rotation, comparison in constant time, the URL's spellings, a login."""

import base64
import hmac
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import permutations
from urllib.parse import quote, quote_plus, urlencode

from chalicelib.providers.forms import decode_form

#: scheme and host (group 1), port (2), and the rest (3) of an absolute URL; an IPv6 host stands in brackets
_URL = re.compile(r"([^:/?#]+://(?:[^/?#@]*@)?(?:\[[^\]/?#]*\]|[^:/?#]*))(?::([0-9]+))?([/?#].*)?", re.DOTALL)

#: How senders write a character of a query: ``%20`` or ``+`` for a space, and which others they leave as they are.
#: API Gateway hands a query over decoded, so the spelling that was signed has to be found.
_QUOTINGS: tuple[tuple[Callable[..., str], str], ...] = (
    (quote, ""),  # RFC 3986: Python, Go, Ruby's ERB
    (quote_plus, ""),  # a form: urlencode, Ruby's and PHP's
    (quote, "!'()*"),  # JavaScript's encodeURIComponent and querystring
    (quote_plus, "*"),  # a form by the WHATWG and Java, but for the tilde
    (quote, "!$'()*,/:;=?@"),  # all that RFC 3986 allows in a query as it is
    (quote_plus, "!$'()*,/:;=?@"),
)

#: A query of at most so many fields is tried in every order.
MAX_REORDERED = 2


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


def url_spellings(url: str) -> tuple[str, ...]:
    """Return the ways to write a callback's URL, the given one first: the slash at the end of its path, and its query.

    A query is tried as it is and encoded in each of the usual ways, in the order given and sorted, a short one in every
    order. All of them name the same address with the same fields. Raises ValueError where the query cannot be decoded.
    """
    _, _, query = url.partition("?")
    queries = dict.fromkeys((query, *_query_spellings(query))) if query else (query,)
    both = (each.partition("?") for each in path_spellings(url))
    return tuple(f"{address}{mark}{each}" for address, mark, _ in both for each in queries)


def path_spellings(url: str) -> tuple[str, str]:
    """Return a URL as it is, and with the slash at the end of its path taken away or added."""
    address, mark, query = url.partition("?")
    slashed = address.removesuffix("/") if address.endswith("/") else address + "/"
    return url, f"{slashed}{mark}{query}"


def _query_spellings(query: str) -> Iterator[str]:
    pairs = decode_form(query)
    # A callback address has no query of ours; one that a user put there is short, and a proxy may have its own order.
    orders: Iterable[Sequence[tuple[str, str]]] = (pairs, sorted(pairs))
    if len(pairs) <= MAX_REORDERED:
        orders = permutations(pairs)
    for order in orders:
        for quoting, safe in _QUOTINGS:
            spelled = urlencode(order, quote_via=partial(_quoted, quoting), safe=safe)
            yield spelled
            yield spelled.replace("~", "%7E")  # Java


def _quoted(quoting: Callable[..., str], text: str, safe: str, encoding: str | None, errors: str | None) -> str:
    return quoting(text, safe=safe, encoding=encoding, errors=errors)
