"""The usage of AWS by an event: requests, units, bytes of logs and CPU time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Counts are rounded to so many digits, because a mean over ten calls may have no exact binary form.
DIGITS = 2


@dataclass(frozen=True, slots=True)
class Usage:
    """The usage of an event, or of several events together.

    ``requests`` are the requests to AWS by operation. The units are those that DynamoDB charges, and
    ``write_units`` include the writes of the indexes. ``log_bytes`` and ``cpu_ms`` are measured: they differ from run
    to run. All other fields are counted: they are the same in each run.
    """

    requests: Mapping[str, float] = field(default_factory=dict)
    write_units: float = 0.0
    read_units: float = 0.0
    log_bytes: float = 0.0
    cpu_ms: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        return self._combined(other, 1)

    def __sub__(self, other: "Usage") -> "Usage":
        return self._combined(other, -1)

    def __mul__(self, part: float) -> "Usage":
        return Usage(
            {operation: count * part for operation, count in self.requests.items()},
            self.write_units * part,
            self.read_units * part,
            self.log_bytes * part,
            self.cpu_ms * part,
        )

    def __truediv__(self, events: int) -> "Usage":
        return self * (1 / events)

    @property
    def total_requests(self) -> float:
        """The number of requests to AWS."""
        return sum(self.requests.values())

    def counted(self) -> dict[str, Any]:
        """Return the counted fields as JSON, rounded, without operations that are 0."""
        requests = {operation: _rounded(count) for operation, count in sorted(self.requests.items())}
        return {
            "requests": {operation: count for operation, count in requests.items() if count},
            "write_units": _rounded(self.write_units),
            "read_units": _rounded(self.read_units),
        }

    def _combined(self, other: "Usage", sign: int) -> "Usage":
        operations = [*self.requests, *(each for each in other.requests if each not in self.requests)]
        return Usage(
            {each: self.requests.get(each, 0) + sign * other.requests.get(each, 0) for each in operations},
            self.write_units + sign * other.write_units,
            self.read_units + sign * other.read_units,
            self.log_bytes + sign * other.log_bytes,
            self.cpu_ms + sign * other.cpu_ms,
        )


def _rounded(count: float) -> float:
    """Return a count with DIGITS digits, and a whole count as an int."""
    rounded = round(count, DIGITS)
    return int(rounded) if rounded == int(rounded) else rounded
