"""Faults at one chosen request: the process dies, or the request fails, before or after it takes effect."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.client import BaseClient
from botocore.exceptions import ConnectionClosedError

from chalicelib.providers.http import AnswerLost
from tests.support.world import FakeTwilio, World


class Crash(BaseException):
    """The process is gone: nothing in it catches this."""


@dataclass
class Fault:
    """What happens at the request of this number, counted from 0; ``seen`` are all that were made."""

    at: int | None
    after: bool
    dies: bool
    seen: list[str] = field(default_factory=list)

    def around(self, what: str, send: Any, lost: Exception) -> Any:
        number = len(self.seen)
        self.seen.append(what)
        if number != self.at:
            return send()
        if self.after:
            send()
        raise Crash(what) if self.dies else lost


@contextmanager
def fault_at(world: World, at: int | None, *, after: bool, dies: bool) -> Iterator[Fault]:
    """Have the request of that number to AWS or to the provider fail, or the process die around it."""
    fault = Fault(at, after, dies)
    call, request = BaseClient._make_api_call, FakeTwilio.request

    def to_aws(client: Any, operation: str, arguments: Any) -> Any:
        lost = ConnectionClosedError(endpoint_url="https://aws.example.com")  # type: ignore[no-untyped-call]
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
