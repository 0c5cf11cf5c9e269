"""The dashboard of a stage, as one table: what an operator looks at first."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chalicelib.runtime import metrics
from chalicelib.runtime.metrics import NAMESPACE, STAGE, Metric
from ops.data.table import table_name
from ops.names import APP_NAME

#: A dashboard is a grid of 24 columns; each graph takes a third of them.
WIDTH, HEIGHT, COLUMNS = 8, 6, 24


@dataclass(frozen=True, slots=True)
class Graph:
    """One graph: its lines in CloudWatch's notation, and its statistic.

    ``mark`` is a horizontal line, with its label and its value.
    """

    title: str
    lines: Sequence[Sequence[Any]]
    statistic: str = "Sum"
    mark: tuple[str, float] | None = None


def name(stage: str) -> str:
    """Return the dashboard's name in CloudWatch."""
    return f"{APP_NAME}-{stage}"


def body(stage: str, region: str) -> str:
    """Return the dashboard as JSON, for ``put_dashboard`` and for CloudFormation."""
    widgets = [
        {
            "type": "metric",
            "x": number * WIDTH % COLUMNS,
            "y": number * WIDTH // COLUMNS * HEIGHT,
            "width": WIDTH,
            "height": HEIGHT,
            "properties": _properties(graph, region),
        }
        for number, graph in enumerate(graphs(stage))
    ]
    return json.dumps({"widgets": widgets})


def graphs(stage: str) -> list[Graph]:
    """Return the graphs of the dashboard, from left to right and from top to bottom."""
    lambdas = [f"{APP_NAME}-{stage}{suffix}" for suffix in ("", "-redial", "-sweep")]
    table, queue = table_name(stage), f"{APP_NAME}-{stage}-dead-letters"
    return [
        Graph("Attempts by outcome", [_search(metrics.ATTEMPTS, stage)]),
        Graph("Dials", [_line(metrics.DIALED, stage), _line(metrics.PLACEMENT_UNKNOWN, stage)]),
        Graph("Deferred dials, by reason", [_search(metrics.DEFERRED, stage)]),
        Graph("Redials late, seconds", _percentiles(metrics.REDIAL_LATENESS, stage), mark=("alarm", 120)),
        Graph("Callbacks late, ms", _percentiles(metrics.CALLBACK_DELAY, stage)),
        Graph("Callbacks' handling, ms", _percentiles(metrics.CALLBACK_HANDLING, stage), mark=("Telnyx waits", 2000)),
        Graph("Repaired by the sweep", [_search(metrics.SWEEP_REPAIRED, stage), _line(metrics.WAKES_NOT_SET, stage)]),
        Graph("Rules live, all programs'", [_line(metrics.RULES_LIVE, stage)], "Maximum", mark=("default quota", 300)),
        Graph("Concurrent calls", [_search(metrics.SLOTS_IN_USE, stage, "Maximum")], "Maximum"),
        Graph(
            "Providers' troubles",
            [
                _search(metric, stage)
                for metric in (
                    metrics.ACCOUNT_FAULTS,
                    metrics.BREAKER_OPENED,
                    metrics.BREAKER_CLOSED,
                    metrics.SIGNATURE_FAILURES,
                )
            ],
        ),
        Graph(
            "Callbacks refused, calls not adopted",
            [_search(metrics.CALLBACKS_REFUSED, stage), _search(metrics.CALLS_NOT_ADOPTED, stage)],
        ),
        Graph("Sign-ins refused", [_search(metrics.SIGN_INS_REFUSED, stage)]),
        Graph(
            "Answers of 500 and above",
            [_search(metrics.SERVER_ERRORS, stage), ["AWS/ApiGateway", "5XXError", "ApiName", APP_NAME]],
        ),
        Graph("Dead letters", [["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue]], "Maximum"),
        Graph("Lambda errors", [["AWS/Lambda", "Errors", "FunctionName", each] for each in lambdas]),
        Graph("Lambda duration, ms", [["AWS/Lambda", "Duration", "FunctionName", each] for each in lambdas], "p99"),
        Graph(
            "Table",
            [
                ["AWS/DynamoDB", metric, "TableName", table]
                for metric in (
                    "ConsumedReadCapacityUnits",
                    "ConsumedWriteCapacityUnits",
                    "ReadThrottleEvents",
                    "WriteThrottleEvents",
                )
            ],
        ),
    ]


def _line(metric: Metric, stage: str, **options: str) -> list[Any]:
    return [NAMESPACE, metric.name, STAGE, stage, *([options] if options else [])]


def _percentiles(metric: Metric, stage: str) -> list[list[Any]]:
    return [_line(metric, stage, stat=each, label=each) for each in ("p50", "p99")]


def _search(metric: Metric, stage: str, statistic: str = "Sum") -> list[Any]:
    """Return a search: one line for each combination of the metric's dimensions."""
    dimensions = ",".join([NAMESPACE, STAGE, *metric.by])
    found = f"SEARCH('{{{dimensions}}} MetricName=\"{metric.name}\" Stage=\"{stage}\"', '{statistic}', 300)"
    return [{"expression": found}]


def _properties(graph: Graph, region: str) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "title": graph.title,
        "region": region,
        "stat": graph.statistic,
        "period": 300,
        "view": "timeSeries",
        "metrics": graph.lines,
    }
    if graph.mark is not None:
        label, value = graph.mark
        properties["annotations"] = {"horizontal": [{"label": label, "value": value}]}
    return properties
