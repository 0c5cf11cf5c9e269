"""The services of the running process, built on its first request.

The process builds the services once. It does not compare environments to find out if it must build them again: the AWS
runtime writes ``_X_AMZN_TRACE_ID`` into the environment before every invocation, so the process would drop its secrets
and connections each time.
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
    """Return the services of this process, built from its environment on first use."""
    global _built
    if _built is None:
        _built = build(dict(os.environ), _clock, _own_arn, _http)
    return _built


def forget() -> None:
    """Forget the services (for tests).

    The next request builds them from the environment at that time.
    """
    global _built
    _built = None


def running_as(context: Any) -> None:
    """Remember the ARN of the running Lambda.

    If the ARN of the redial Lambda is not configured, Redial derives it from this ARN.
    """
    global _own_arn
    _own_arn = _own_arn or getattr(context, "invoked_function_arn", None)


def restart(clock: Clock | None = None, http: Http | None = None) -> None:
    """Forget all state, like a new process, and use this clock and this HTTP client.

    Without ``clock`` the process uses the system's clock. Without ``http`` it uses the usual HTTP client.
    """
    global _clock, _http, _own_arn, _built
    _clock, _http, _own_arn, _built = clock or SystemClock(), http, None, None
