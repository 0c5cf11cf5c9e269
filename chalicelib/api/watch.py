"""What is measured of every invocation from outside: how long a callback took, what was answered, what broke."""

import time
from collections.abc import Callable
from typing import Any

from chalice.app import Request

from chalicelib.runtime import metrics
from chalicelib.runtime.log import broken
from chalicelib.runtime.metrics import count, measure

CALLBACKS = "/callbacks/"


def watched(event: Any, get_response: Callable[[Any], Any]) -> Any:
    """The response to an event. An error is logged with the invocation that it ended, and goes on to Lambda."""
    began = time.perf_counter()
    try:
        response = get_response(event)
    except Exception as error:
        broken("invocation-failed", error)
        raise
    if isinstance(event, Request):
        is_callback = event.path.startswith(CALLBACKS)
        if response.status_code >= 500:
            count(metrics.SERVER_ERRORS, EntryPoint="callbacks" if is_callback else "api")
        if is_callback:
            measure(metrics.CALLBACK_HANDLING, (time.perf_counter() - began) * 1000)
    return response
