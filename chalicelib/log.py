"""Log lines as JSON, one event each: what happened, to which call, and what was decided.

Phone numbers are masked wherever they stand in a line, unless ``LOG_NUMBERS`` says ``plain``.
"""

import json
import logging
import os
import traceback
from typing import Any

from chalicelib.masking import masked

_logger = logging.getLogger("redial")
_logger.setLevel(logging.INFO)


def log(event: str, **fields: Any) -> None:
    """Write one line. ``fields`` must hold ids and words, never secrets or tokens."""
    _logger.info(_line(event, {k: v for k, v in fields.items() if v is not None}))


def warn(event: str, **fields: Any) -> None:
    """Write one line about something that an operator should see."""
    _logger.warning(_line(event, fields))


def broken(event: str, error: Exception, **fields: Any) -> None:
    """Write one line about an error that is ours to mend, with its traceback."""
    trace = "".join(traceback.format_exception(error))
    _logger.error(_line(event, {"error": repr(error), "trace": trace, **fields}))


def _line(event: str, fields: dict[str, Any]) -> str:
    # Read for each line, for a test or an operator may turn it; anything but the one word masks.
    plain = os.environ.get("LOG_NUMBERS") == "plain"
    said = {"event": event, **fields}
    return json.dumps(said if plain else masked(said), default=str)
