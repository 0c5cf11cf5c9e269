"""The metrics of every invocation: callback durations, server errors, failures."""

import time
from collections.abc import Callable
from typing import Any

from chalice.app import Request

from chalicelib.runtime import metrics
from chalicelib.runtime.log import broken
from chalicelib.runtime.metrics import count, measure

CALLBACKS = "/callbacks/"


def watched(event: Any, get_response: Callable[[Any], Any]) -> Any:
    """Return the response to an event, and record its metrics.

    If the invocation fails, this logs the error with the invocation and raises it again for Lambda.
    """
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
