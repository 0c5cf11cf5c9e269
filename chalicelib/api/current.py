"""The services of the running process: put together on the first request, and anew where the environment changes."""

import os
from collections.abc import Mapping
from typing import Any

from chalicelib.clock import Clock, SystemClock
from chalicelib.providers import Http
from chalicelib.services import Services, build

_clock: Clock = SystemClock()
_http: Http | None = None
_own_arn: str | None = None
_built: tuple[Mapping[str, str], Services] | None = None


def services() -> Services:
    """The services of this process, made from its environment on first use."""
    global _built
    env = dict(os.environ)
    if _built is None or _built[0] != env:
        _built = env, build(env, _clock, _own_arn, _http)
    return _built[1]


def running_as(context: Any) -> None:
    """Remember the running Lambda's ARN; the redial Lambda's is derived from it where it is not configured."""
    global _own_arn
    _own_arn = _own_arn or getattr(context, "invoked_function_arn", None)


def restart(clock: Clock | None = None, http: Http | None = None) -> None:
    """Forget what was made, as a new process would, and go by this clock and this way to the providers."""
    global _clock, _http, _own_arn, _built
    _clock, _http, _own_arn, _built = clock or SystemClock(), http, None, None
