"""The services of the running process, put together on its first request.

They are never put together again: AWS's runtime writes ``_X_AMZN_TRACE_ID`` into the environment before every
invocation, so a process that compared environments would forget its secrets and connections each time.
"""

import os
from typing import Any

from chalicelib.clock import Clock, SystemClock
from chalicelib.providers import Http
from chalicelib.runtime.services import Services, build

_clock: Clock = SystemClock()
_http: Http | None = None
_own_arn: str | None = None
_built: Services | None = None


def services() -> Services:
    """Return the services of this process, made from its environment on first use."""
    global _built
    if _built is None:
        _built = build(dict(os.environ), _clock, _own_arn, _http)
    return _built


def forget() -> None:
    """Forget the services, so that the next request makes them from the environment as it is then (for tests)."""
    global _built
    _built = None


def running_as(context: Any) -> None:
    """Remember the running Lambda's ARN; the redial Lambda's is derived from it where it is not configured."""
    global _own_arn
    _own_arn = _own_arn or getattr(context, "invoked_function_arn", None)


def restart(clock: Clock | None = None, http: Http | None = None) -> None:
    """Forget what was made, as a new process would, and go by this clock and this way to the providers."""
    global _clock, _http, _own_arn, _built
    _clock, _http, _own_arn, _built = clock or SystemClock(), http, None, None
