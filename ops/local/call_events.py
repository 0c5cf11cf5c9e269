"""What happens to calls while ``make run`` runs, read from the log of the Lambdas as it grows: a line an event."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

#: what a line shows of an event, in this order, where the event has it
SHOWN = ("attempt", "provider", "status", "result", "effect", "reason", "retry_at", "summary_status")
#: an event whose failure somebody should see, whether or not it is about a call
WORTH_SEEING = ("WARNING", "ERROR")


@dataclass(slots=True)
class CallEvents:
    """The events of a log that have not been shown yet; the log may be written to meanwhile."""

    log: Path
    _read: int = field(default=0, init=False)

    def lines(self) -> Iterator[str]:
        """Yield a line for each event since the last time. An unfinished line is left for the next time."""
        with self.log.open("rb") as log:
            log.seek(self._read)
            for line in log:
                if not line.endswith(b"\n"):
                    return
                self._read += len(line)
                told = shown(line.decode(errors="replace"))
                if told:
                    yield told


def shown(line: str) -> str | None:
    """Return a line of the log as it is shown; None where it is not an event of a call, nor a warning."""
    try:
        event = json.loads(line.partition("] ")[2])
    except ValueError:
        return None
    if not isinstance(event, dict) or not ("call" in event or event.get("level") in WORTH_SEEING):
        return None
    details = " ".join(f"{name}={event[name]}" for name in SHOWN if event.get(name) is not None)
    return f"{str(event.get('time', ''))[11:19]} {event.get('call', '-')} {event.get('event')} {details}".rstrip()
