"""One HTTP request to a provider: no retries, no redirects, bounded in time and size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

import urllib3

#: API Gateway ends a request after 29 s; a dial must leave time to record its answer.
CONNECT_TIMEOUT_SEC = 3.0
READ_TIMEOUT_SEC = 10.0


class NotSent(Exception):
    """The request surely never reached the provider (no connection)."""


class AnswerLost(Exception):
    """The request may have reached the provider; its answer did not reach us."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A provider's answer, whole. ``headers`` has lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Http:
    """A pool of connections that sends each request exactly once."""

    def __init__(self, connect_sec: float = CONNECT_TIMEOUT_SEC, read_sec: float = READ_TIMEOUT_SEC) -> None:
        self._pool = urllib3.PoolManager(
            retries=False, timeout=urllib3.Timeout(connect=connect_sec, read=read_sec), maxsize=16
        )

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        form: Sequence[tuple[str, str]] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Send once. Raises NotSent where no connection was made, AnswerLost where the answer is unknown."""
        sent = dict(headers)
        if form is not None:
            body = urlencode(form).encode()
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            response = self._pool.request(method, url, body=body, headers=sent, redirect=False)
        except (
            urllib3.exceptions.NewConnectionError,
            urllib3.exceptions.NameResolutionError,
            urllib3.exceptions.ConnectTimeoutError,
            urllib3.exceptions.LocationValueError,
        ) as error:
            raise NotSent(str(error)) from error
        except urllib3.exceptions.HTTPError as error:
            raise AnswerLost(str(error)) from error
        return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, response.data)
