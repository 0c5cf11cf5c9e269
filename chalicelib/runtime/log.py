"""Log lines as JSON on stdout, one event each: what happened, to which call, and what was decided.

Phone numbers are masked wherever they stand in a line, unless ``LOG_NUMBERS`` says ``plain``.
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

#: Not Chalice's own logger, which bears the app's name: Chalice sets that one to ERROR and drops what is below.
_logger = logging.getLogger("redial.events")

#: what every line of this invocation says: function, request_id, cold_start
_invocation: ContextVar[dict[str, Any]] = ContextVar("invocation", default={})  # noqa: B039 - never changed in place
_cold = True

Item = TypeVar("Item")
Result = TypeVar("Result")


def log(event: str, **fields: Any) -> None:
    """Write one line. ``fields`` must hold ids and words, never secrets or tokens."""
    _write(logging.INFO, event, fields)


def warn(event: str, **fields: Any) -> None:
    """Write one line about something that an operator should see."""
    _write(logging.WARNING, event, fields)


def broken(event: str, error: BaseException, **fields: Any) -> None:
    """Write one line about an error that is ours to mend, with its traceback."""
    trace = "".join(traceback.format_exception(error))
    _write(logging.ERROR, event, {"error": repr(error), "trace": trace, **fields})


@contextmanager
def invocation(context: Any) -> Iterator[None]:
    """A Lambda's invocation: every line of this block names it. ``context`` is what Lambda hands in."""
    global _cold
    said = {
        "function": getattr(context, "function_name", None),
        "request_id": getattr(context, "aws_request_id", None),
        "cold_start": _cold,
    }
    _cold = False
    before = _invocation.set(said)
    try:
        yield
    finally:
        _invocation.reset(before)


def say_from_here_on(**fields: Any) -> None:
    """Let every further line of this invocation hold these fields, too."""
    _invocation.set(_invocation.get() | fields)


def is_said(field: str) -> bool:
    """Return whether every line of this invocation holds the field."""
    return field in _invocation.get()


def inheriting(work: Callable[[Item], Result]) -> Callable[[Item], Result]:
    """``work`` for a pool's threads, whose lines and counts are those of the invocation that set it going."""
    # A copy for each run, for two threads cannot be in one context at a time.
    here = copy_context()
    return lambda item: here.copy().run(work, item)


def set_up() -> None:
    """Let every line of this process be one line of JSON, those of botocore and of Chalice as well.

    Lambda's own handler on the root logger goes: it would write each line a second time, behind a prefix.
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
    """Write one line to what is stdout now, at once: CloudWatch takes each for a record of its own."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class _Json(logging.Formatter):
    """A record as one line of JSON; what libraries say is the event ``library`` with their words in ``message``."""

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


def _as_text(said: dict[str, Any]) -> str:
    # Read for each line, for a test or an operator may turn it; anything but the one word masks.
    plain = os.environ.get("LOG_NUMBERS") == "plain"
    return json.dumps(said if plain else masked(said), default=str)


class _Stdout(logging.Handler):
    """Writes each line at once to what is stdout at that time, for tests and Lambda both put another in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            put_line(self.format(record))
        except Exception:  # a line that cannot be written must not break what it tells of
            self.handleError(record)
