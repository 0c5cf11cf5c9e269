"""The log: JSON lines on stdout, one event in each line.

A line says what happened, to which call, and what Redial decided. Redial masks the phone numbers in every field of a
line, unless ``LOG_NUMBERS`` is ``plain``.
"""

import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from datetime import UTC, datetime
from typing import Any, TypeVar

from chalicelib.runtime.masking import masked

#: The logger of all events. Chalice's own logger, with the name of the app, is not used: Chalice sets it to ERROR and
#: drops the lines below that level.
_logger = logging.getLogger("redial.events")

#: The fields of every line of this invocation: function, request_id, cold_start.
_invocation: ContextVar[dict[str, Any]] = ContextVar("invocation", default={})  # noqa: B039 - never changed in place
_cold = True

Item = TypeVar("Item")
Result = TypeVar("Result")


def log(event: str, **fields: Any) -> None:
    """Write one line. ``fields`` may hold ids and words, never secrets or tokens."""
    _write(logging.INFO, event, fields)


def warn(event: str, **fields: Any) -> None:
    """Write one line about an event that an operator should see."""
    _write(logging.WARNING, event, fields)


def broken(event: str, error: BaseException, **fields: Any) -> None:
    """Write one line about an error in Redial itself, with its traceback."""
    trace = "".join(traceback.format_exception(error))
    _write(logging.ERROR, event, {"error": repr(error), "trace": trace, **fields})


@contextmanager
def invocation(context: Any) -> Iterator[None]:
    """Add the fields of this invocation to every line of the block.

    These are ``function``, ``request_id`` and ``cold_start``. ``context`` is the context object that Lambda gives to a
    handler.
    """
    global _cold
    fields = {
        "function": getattr(context, "function_name", None),
        "request_id": getattr(context, "aws_request_id", None),
        "cold_start": _cold,
    }
    _cold = False
    before = _invocation.set(fields)
    try:
        yield
    finally:
        _invocation.reset(before)


def add_fields(**fields: Any) -> None:
    """Add these fields to every later line of this invocation."""
    _invocation.set(_invocation.get() | fields)


def has_field(field: str) -> bool:
    """Return whether every line of this invocation has the field."""
    return field in _invocation.get()


def with_context(work: Callable[[Item], Result]) -> Callable[[Item], Result]:
    """Wrap ``work`` for the threads of a pool.

    The lines and metrics of the threads then belong to the invocation that called this function.
    """
    context = copy_context()
    # Each run has its own copy, because two threads cannot enter one context at the same time.
    return lambda item: context.copy().run(work, item)


def set_up() -> None:
    """Format every line of this process as JSON.

    This includes the lines of botocore and of Chalice. It removes Lambda's own handler from the root logger. That
    handler would write each line a second time, after a prefix.
    """
    handler = _Stdout()
    handler.setFormatter(_Json())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    _logger.setLevel(logging.INFO)


def _write(level: int, event: str, fields: dict[str, Any]) -> None:
    _logger.log(level, event, extra={"fields": {k: v for k, v in fields.items() if v is not None}})


def put_line(text: str) -> None:
    """Write one line to the present stdout and flush it.

    CloudWatch stores each line as one record.
    """
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class _Json(logging.Formatter):
    """A formatter that makes one line of JSON of each record.

    A record of a library becomes the event ``library``, with the library's text in ``message``.
    """

    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", None)
        event = record.msg
        if fields is None:
            event, fields = "library", {"logger": record.name, "message": record.getMessage()}
            if record.exc_info:
                fields["trace"] = self.formatException(record.exc_info)
        at = datetime.fromtimestamp(record.created, UTC)
        line = {"time": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z", "level": record.levelname}
        known = {name: value for name, value in _invocation.get().items() if value is not None}
        return _as_text({**line, "event": event, **known, **fields})


def _as_text(fields: dict[str, Any]) -> str:
    # Read for each line, because a test or an operator may change it. Every other value masks the numbers.
    plain = os.environ.get("LOG_NUMBERS") == "plain"
    return json.dumps(fields if plain else masked(fields), default=str)


class _Stdout(logging.Handler):
    """A handler that flushes each line to the present stdout.

    It looks stdout up for each line, because tests and Lambda replace it.
    """

    def emit(self, record: logging.LogRecord) -> None:
        try:
            put_line(self.format(record))
        except Exception:  # a log line that cannot be written must not stop the work that it reports
            self.handleError(record)
