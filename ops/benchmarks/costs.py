"""The cost of Redial on AWS, from counted usage and a dated table of prices.

Two values are not counted but assumed, and named here: how long a Lambda waits, and that one of its vCPUs is as fast as
the core that the CPU was measured on. No value includes TLS.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from chalicelib.domain.decide import Reason
from chalicelib.domain.outcome import Outcome
from chalicelib.providers import REGISTRY
from chalicelib.runtime import metrics
from ops import outcomes
from ops.benchmarks import prices
from ops.benchmarks.events import Counted
from ops.deploying import chalice_config
from ops.deploying.operations import alarms
from ops.names import API, REDIAL

MILLION = 1_000_000
#: Lambda gives a function one vCPU at this memory, and a proportional part of one below it.
#: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
MB_OF_A_VCPU = 1769
MEMORIES_MB = (256, 512, 1024, 1769)
#: Milliseconds of CPU in a warm process without TLS, on one core of an x86_64 server; `make bench` measures them.
DIAL_CPU_MS, CALLBACK_CPU_MS = 11.0, 3.5
#: Assumed milliseconds: of a request to AWS, and of a provider's answer to a create-call request
AWS_WAIT_MS, PROVIDER_WAIT_MS = 5.0, 500.0
#: The number of requests to AWS that a callback or a dial makes, one after the other
CALLBACK_REQUESTS, DIAL_REQUESTS = 3, 6
#: The default of DIAL_POOL_SIZE
DIALS_AT_ONCE = 8

#: metric and dimension -> the number of values in the code; ``Provider`` has as many values as are set up
VALUES = {
    ("Deferred", "Reason"): len(
        [
            Reason.RESCHEDULED,
            Reason.CAPPED,
            Reason.QUIET,
            Reason.CONTACTED,
            Reason.DEFERRED_BY_PROVIDER,
            Reason.NEVER_PLACED,
            Reason.NO_SLOT,
            Reason.RATE_LIMITED,
            Reason.PAUSED,
            Reason.PROVIDER_PAUSED,
            Reason.OVER_BUDGET,
            Reason.PROVIDER_NOT_SET_UP,
        ]
    ),
    ("SweepRepaired", "Kind"): 7,  # stale-wakes; overdue-dialed, -rescheduled, -ended, -broken; silent-ended, -broken
    ("SignInsRefused", "Reason"): 4,
    ("CallbacksRefused", "Reason"): 4,
    ("CallsNotAdopted", "Reason"): 7,
    ("ServerErrors", "EntryPoint"): 2,
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a bill, in dollars. ``what`` names the service and the quantity."""

    what: str
    dollars: float


def share(memory_mb: int) -> float:
    """Return the part of a vCPU that a memory size buys, at most 1.

    A single thread gains nothing from more than one vCPU.
    """
    return min(1.0, memory_mb / MB_OF_A_VCPU)


def dials_per_second_of_cpu(memory_mb: int, cpu_ms: float = DIAL_CPU_MS) -> float:
    """Return how many dials a second the CPU allows at a memory size.

    More threads do not raise this number.
    """
    return share(memory_mb) / (cpu_ms / 1000)


def dials_per_second_of_waits(at_once: int = DIALS_AT_ONCE) -> float:
    """Return how many dials a second ``at_once`` threads allow.

    Each thread waits for the provider and for AWS.
    """
    return at_once / ((PROVIDER_WAIT_MS + DIAL_REQUESTS * AWS_WAIT_MS) / 1000)


def gb_seconds(counted: Counted) -> float:
    """Return the GB-seconds that Lambda charges for the invocations of one attempt.

    The memory sizes are those of `.chalice/config.json`.
    """
    callback_mb, dial_mb = chalice_config.memory_mb(API), chalice_config.memory_mb(REDIAL)
    callback_ms = CALLBACK_CPU_MS / share(callback_mb) + CALLBACK_REQUESTS * AWS_WAIT_MS
    # Dials wait in parallel, so they share the wait. They do not share the CPU.
    dial_ms = 1000 / min(dials_per_second_of_cpu(dial_mb), dials_per_second_of_waits())
    return (counted.callbacks * callback_ms * callback_mb + dial_ms * dial_mb) / 1024 / 1000


def of_a_million(counted: Counted, architecture: str = "x86_64") -> Iterator[Line]:
    """Yield the cost of a million redialled attempts.

    Units and kilobytes are rounded to whole ones, because the length of log lines varies.
    """
    attempt = counted.attempt
    writes, reads, log_kb = round(attempt.write_units), round(attempt.read_units), round(attempt.log_bytes / 1000)
    yield Line(
        f"API Gateway, {counted.callbacks:.0f} million callbacks", counted.callbacks * prices.API_REQUEST * MILLION
    )
    yield Line(
        f"DynamoDB on demand, {writes} write units an attempt",
        writes * prices.WRITE_UNIT * MILLION,
    )
    yield Line(
        f"DynamoDB on demand, {reads} read units an attempt",
        reads * prices.READ_UNIT * MILLION,
    )
    lambdas = counted.invocations * prices.INVOCATION + gb_seconds(counted) * prices.GB_SECOND[architecture]
    yield Line(f"Lambda, {counted.invocations:.1f} invocations an attempt", lambdas * MILLION)
    yield Line(f"logs, {log_kb} KB an attempt", log_kb * MILLION / 1e6 * prices.LOG_GB)


def figures(providers: int) -> int:
    """Return the maximum of CloudWatch metrics that the code writes for ``providers``."""
    return len(metrics.METRICS) + sum(_by_dimensions(metric, providers) for metric in metrics.METRICS if metric.by)


def _by_dimensions(metric: metrics.Metric, providers: int) -> int:
    if metric is metrics.ATTEMPTS:
        # No provider has words for all outcomes.
        most_words = sorted(map(_outcomes_of, REGISTRY), reverse=True)
        return sum(most_words[:providers])
    if metric is metrics.SLOTS_IN_USE:
        return providers + 1  # one more value for all workspaces
    if metric.by == ("Provider",):
        return providers
    (dimension,) = metric.by
    return VALUES[metric.name, dimension]


def _outcomes_of(provider: str) -> int:
    return sum(outcome is Outcome.VOICEMAIL or bool(outcomes.words(provider, outcome)) for outcome in Outcome)


def of_a_month(providers: int, stage: str = "dev") -> Iterator[Line]:
    """Yield the cost of a month without a call.

    A metric costs only for the hours in which it is written.
    """
    written, watched = figures(providers), sum(len(alarm.figures) for alarm in alarms(stage))
    yield Line(f"at most {written} metrics, {_with(providers)}", written * prices.METRIC_MONTH)
    yield Line(f"{watched} metrics of alarms", watched * prices.ALARM_METRIC_MONTH)
    yield Line("the dashboard", prices.DASHBOARD_MONTH)


def _with(providers: int) -> str:
    return "with one provider" if providers == 1 else f"with {providers} providers"


def markdown(lines: Iterator[Line], heading: str) -> str:
    """Return a bill as the table in docs/operating.md."""
    rows = list(lines)
    rows.append(Line("together", sum(row.dollars for row in rows)))
    return "\n".join([f"| {heading} | |", "|---|---|", *(f"| {row.what} | ${row.dollars:.2f} |" for row in rows)])
