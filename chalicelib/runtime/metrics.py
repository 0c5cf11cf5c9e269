"""CloudWatch metrics, written to stdout as lines of the embedded metric format.

This needs no library and no call to AWS. An invocation collects its counts and measurements, and writes them at its
end: one line for each set of dimension values. Redial counts an event after the commit that made it true. So a Lambda
that is killed may lose counts, but no count is too high.

The format:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from threading import Lock
from typing import Any

from chalicelib.runtime import log

NAMESPACE = "Redial"
STAGE = "Stage"

#: One line may hold at most this many values of one metric.
MAX_VALUES = 100
#: One line may hold at most this many metrics.
MAX_METRICS = 100


class Unit(StrEnum):
    """The units of Redial's metrics, in CloudWatch's words."""

    COUNT = "Count"
    SECONDS = "Seconds"
    MILLISECONDS = "Milliseconds"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric. ``by`` has the names of its dimensions beside the stage.

    CloudWatch has each metric twice: by the stage and all dimensions, and by the stage alone. The alarms watch the
    second. The values of a tally (``is_tally``) are added up within an invocation. The values of any other metric are
    all kept, for percentiles and similar statistics.
    """

    name: str
    unit: Unit
    by: tuple[str, ...] = ()
    meaning: str = ""
    is_tally: bool = True


ATTEMPTS = Metric("Attempts", Unit.COUNT, ("Outcome", "Provider"), "attempts that ended, by their first outcome")
DIALED = Metric("Dialed", Unit.COUNT, ("Provider",), "calls that a provider accepted")
REDIAL_LATENESS = Metric("RedialLateness", Unit.SECONDS, (), "from a dial's due time to its claim", False)
CALLBACK_DELAY = Metric(
    "CallbackDelay", Unit.MILLISECONDS, (), "from the provider's event to the change of the call", False
)
CALLBACK_HANDLING = Metric(
    "CallbackHandling", Unit.MILLISECONDS, (), "from a callback's arrival to Redial's answer", False
)
DEFERRED = Metric("Deferred", Unit.COUNT, ("Reason",), "deferred dials, by reason")
PLACEMENT_UNKNOWN = Metric(
    "PlacementUnknown", Unit.COUNT, ("Provider",), "dials whose answer from the provider was lost"
)
ACCOUNT_FAULTS = Metric("AccountFaults", Unit.COUNT, ("Provider",), "the provider refused the account, not the call")
BREAKER_OPENED = Metric(
    "BreakerOpened", Unit.COUNT, ("Provider",), "the circuit breaker stopped dialling through an account"
)
BREAKER_CLOSED = Metric("BreakerClosed", Unit.COUNT, ("Provider",), "the circuit breaker allowed dialling again")
SWEEPS = Metric("Sweeps", Unit.COUNT, (), "sweeps that finished")
SWEEP_REPAIRED = Metric("SweepRepaired", Unit.COUNT, ("Kind",), "repairs that a sweep made, by kind")
RULES_LIVE = Metric("RulesLive", Unit.COUNT, (), "rules of all programs on the event bus", False)
WAKES_NOT_SET = Metric("WakesNotSet", Unit.COUNT, (), "wakes that EventBridge did not accept")
SLOTS_IN_USE = Metric("SlotsInUse", Unit.COUNT, ("Holder",), "slots that a claim found taken", False)
SIGNATURE_FAILURES = Metric("SignatureFailures", Unit.COUNT, ("Provider",), "callbacks whose signature was wrong")
SIGN_INS_REFUSED = Metric("SignInsRefused", Unit.COUNT, ("Reason",), "requests without an API key that allows them")
CALLBACKS_REFUSED = Metric("CallbacksRefused", Unit.COUNT, ("Reason",), "callbacks to an address that is not valid")
CALLS_NOT_ADOPTED = Metric("CallsNotAdopted", Unit.COUNT, ("Reason",), "callbacks whose call could not be adopted")
SERVER_ERRORS = Metric("ServerErrors", Unit.COUNT, ("EntryPoint",), "answers with a status of 500 or more")

#: Every metric that the code writes.
METRICS = (
    ATTEMPTS,
    DIALED,
    REDIAL_LATENESS,
    CALLBACK_DELAY,
    CALLBACK_HANDLING,
    DEFERRED,
    PLACEMENT_UNKNOWN,
    ACCOUNT_FAULTS,
    BREAKER_OPENED,
    BREAKER_CLOSED,
    SWEEPS,
    SWEEP_REPAIRED,
    RULES_LIVE,
    WAKES_NOT_SET,
    SLOTS_IN_USE,
    SIGNATURE_FAILURES,
    SIGN_INS_REFUSED,
    CALLBACKS_REFUSED,
    CALLS_NOT_ADOPTED,
    SERVER_ERRORS,
)

Series = tuple[tuple[str, str], ...]


class _Gathered:
    """The counts and measurements of one invocation so far.

    The threads of its dial pool share them.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._values: dict[Series, dict[Metric, list[float]]] = defaultdict(lambda: defaultdict(list))

    def add(self, metric: Metric, value: float, by: Mapping[str, str]) -> None:
        if set(by) != set(metric.by):
            raise ValueError(f"{metric.name} has the dimensions {metric.by}, not {tuple(by)}")
        with self._lock:
            values = self._values[tuple((name, by[name]) for name in metric.by)][metric]
            if metric.is_tally and values:
                values[0] += value
            else:
                values.append(value)

    def lines(self, stage: str, at_ms: int) -> Iterator[dict[str, Any]]:
        for series, metrics in self._values.items():
            rest = {metric: list(values) for metric, values in metrics.items()}
            while rest:
                now = {metric: values[:MAX_VALUES] for metric, values in list(rest.items())[:MAX_METRICS]}
                yield _line(stage, at_ms, series, now)
                rest = {m: left for m, values in rest.items() if (left := values[MAX_VALUES:] if m in now else values)}


_gathered: ContextVar[_Gathered | None] = ContextVar("gathered", default=None)


def count(metric: Metric, value: float = 1, /, **by: str) -> None:
    """Add to a tally: ``count(DIALED, Provider="twilio")``.

    ``by`` has the value of each of the metric's dimensions.
    """
    measure(metric, value, **by)


def measure(metric: Metric, value: float, /, **by: str) -> None:
    """Record one value in the metric's unit.

    Outside of an invocation nobody reads the value, so it is dropped. Raises ValueError if ``by`` does not have exactly
    the metric's dimensions.
    """
    gathered = _gathered.get()
    if gathered is not None:
        gathered.add(metric, round(value, 3), by)


@contextmanager
def collected() -> Iterator[None]:
    """Collect the metrics of the block, and write them at its end or when it fails."""
    gathered = _Gathered()
    token = _gathered.set(gathered)
    try:
        yield
    finally:
        _gathered.reset(token)
        stage = os.environ.get("REDIAL_STAGE") or "dev"
        for line in gathered.lines(stage, int(time.time() * 1000)):
            log.put_line(json.dumps(line, separators=(",", ":")))


def _line(stage: str, at_ms: int, series: Series, metrics: Mapping[Metric, list[float]]) -> dict[str, Any]:
    names = [name for name, _ in series]
    by_stage_and_all = [[STAGE], [STAGE, *names]] if names else [[STAGE]]
    definitions = [{"Name": metric.name, "Unit": metric.unit.value} for metric in metrics]
    directive = {"Namespace": NAMESPACE, "Dimensions": by_stage_and_all, "Metrics": definitions}
    values = {m.name: v if len(v) > 1 else v[0] for m, v in metrics.items()}
    return {"_aws": {"Timestamp": at_ms, "CloudWatchMetrics": [directive]}, STAGE: stage, **dict(series), **values}
