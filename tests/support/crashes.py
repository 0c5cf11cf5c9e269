"""Faults at one chosen request: the process dies or the request fails."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.client import BaseClient
from botocore.exceptions import ConnectionClosedError

from chalicelib.providers.http import AnswerLost
from tests.support.world import FakeTwilio


class Crash(BaseException):
    """The death of the process. Nothing in the process catches it."""


@dataclass
class Fault:
    """A fault at the request of this number (from 0), or the first one of this name.

    ``seen`` are the names of all requests.
    """

    at: int | str | None
    after: bool
    dies: bool
    seen: list[str] = field(default_factory=list)

    def around(self, what: str, send: Any, lost: Exception) -> Any:
        chosen = self.at in (len(self.seen), what) and not (isinstance(self.at, str) and what in self.seen)
        self.seen.append(what)
        if not chosen:
            return send()
        if self.after:
            send()
        raise Crash(what) if self.dies else lost


@contextmanager
def fault_at(at: int | str | None, *, after: bool, dies: bool) -> Iterator[Fault]:
    """Let one request to AWS or to the provider fail, or let the process die at it."""
    fault = Fault(at, after, dies)
    call, request = BaseClient._make_api_call, FakeTwilio.request

    def to_aws(client: Any, operation: str, arguments: Any) -> Any:
        lost = ConnectionClosedError(endpoint_url="https://aws.example.com")
        return fault.around(operation, lambda: call(client, operation, arguments), lost)

    def to_provider(twilio: FakeTwilio, method: str, url: str, **rest: Any) -> Any:
        return fault.around(f"{method} provider", lambda: request(twilio, method, url, **rest), AnswerLost("reset"))

    BaseClient._make_api_call = to_aws
    FakeTwilio.request = to_provider  # type: ignore[method-assign]
    try:
        yield fault
    finally:
        BaseClient._make_api_call = call
        FakeTwilio.request = request  # type: ignore[method-assign]
