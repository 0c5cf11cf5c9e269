"""Log lines as JSON, one event each: what happened, to which call, and what was decided."""

import json
import logging
import traceback
from typing import Any

_logger = logging.getLogger("redial")
_logger.setLevel(logging.INFO)


def log(event: str, **fields: Any) -> None:
    """Write one line. ``fields`` must hold ids and words, never secrets, tokens or numbers of people."""
    _logger.info(json.dumps({"event": event, **{k: v for k, v in fields.items() if v is not None}}, default=str))


def warn(event: str, **fields: Any) -> None:
    """Write one line about something that an operator should see."""
    _logger.warning(json.dumps({"event": event, **fields}, default=str))


def broken(event: str, error: Exception, **fields: Any) -> None:
    """Write one line about an error that is ours to mend, with its traceback."""
    trace = "".join(traceback.format_exception(error))
    _logger.error(json.dumps({"event": event, "error": repr(error), "trace": trace, **fields}, default=str))
