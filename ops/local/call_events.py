"""The events of calls while ``make run`` runs, one line each.

They come from the log of the Lambdas, which grows meanwhile.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

#: the fields that a line shows, in this order, if the event has them
SHOWN = ("attempt", "provider", "status", "result", "effect", "reason", "retry_at", "summary_status")
#: the levels of events that are shown even if they are not about a call
WORTH_SEEING = ("WARNING", "ERROR")


@dataclass(slots=True)
class CallEvents:
    """The events of a log that have not been shown yet.

    The Lambdas may write to the log meanwhile.
    """

    log: Path
    _read: int = field(default=0, init=False)

    def lines(self) -> Iterator[str]:
        """Yield a line for each event since the last call of this method.

        A line that is not finished is left for the next call.
        """
        with self.log.open("rb") as log:
            log.seek(self._read)
            for line in log:
                if not line.endswith(b"\n"):
                    return
                self._read += len(line)
                text = shown(line.decode(errors="replace"))
                if text:
                    yield text


def shown(line: str) -> str | None:
    """Return the text that shows a line of the log.

    Returns None if the line is neither an event of a call, nor a warning, nor an error.
    """
    try:
        event = json.loads(line.partition("] ")[2])
    except ValueError:
        return None
    if not isinstance(event, dict) or not ("call" in event or event.get("level") in WORTH_SEEING):
        return None
    details = " ".join(f"{name}={event[name]}" for name in SHOWN if event.get(name) is not None)
    return f"{str(event.get('time', ''))[11:19]} {event.get('call', '-')} {event.get('event')} {details}".rstrip()
