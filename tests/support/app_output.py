"""The app's output in a test: its log lines, and its metrics for CloudWatch."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from chalicelib.runtime.metrics import METRICS

#: a line of CloudWatch's embedded metric format, by its specification
EMF = {
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "properties": {
                "Timestamp": {"type": "integer", "minimum": 10**12, "exclusiveMaximum": 10**13},
                "CloudWatchMetrics": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "required": ["Namespace", "Dimensions", "Metrics"],
                        "additionalProperties": False,
                        "properties": {
                            "Namespace": {"type": "string", "minLength": 1, "maxLength": 1024},
                            "Dimensions": {
                                "type": "array",
                                "minItems": 1,
                                "items": {
                                    "type": "array",
                                    "maxItems": 30,
                                    "uniqueItems": True,
                                    "items": {"type": "string", "pattern": "^[A-Za-z]{1,250}$"},
                                },
                            },
                            "Metrics": {
                                "type": "array",
                                "minItems": 1,
                                "maxItems": 100,
                                "items": {
                                    "type": "object",
                                    "required": ["Name"],
                                    "additionalProperties": False,
                                    "properties": {
                                        "Name": {"type": "string", "minLength": 1, "maxLength": 1024},
                                        "Unit": {"enum": ["Count", "Seconds", "Milliseconds"]},
                                    },
                                },
                            },
                        },
                    },
                },
            },
        }
    },
    "additionalProperties": {
        "anyOf": [
            {"type": "string", "minLength": 1, "maxLength": 1024},
            {"type": "number"},
            {"type": "array", "minItems": 1, "maxItems": 100, "items": {"type": "number"}},
        ]
    },
}


def spoken(out: str) -> list[str]:
    """Return the lines for people: those that are neither logs nor metrics."""
    return [line for line in out.splitlines() if not line.startswith("{")]


def lines(out: str) -> list[dict[str, Any]]:
    """Parse every line of stdout; each must be JSON."""
    return [json.loads(line) for line in out.splitlines()]


def logged(out: str) -> list[dict[str, Any]]:
    """Return the log lines."""
    return [line for line in lines(out) if "_aws" not in line]


def emf(out: str) -> list[dict[str, Any]]:
    """Return the lines of metrics."""
    return [line for line in lines(out) if "_aws" in line]


def figures(out: str) -> dict[str, list[float]]:
    """Return each metric's values.

    The key is the metric's name and the values of its own dimensions: ``Attempts busy twilio``.
    """
    found: dict[str, list[float]] = {}
    for line in emf(out):
        for name, values in _of_one_line(line):
            found.setdefault(name, []).extend(values)
    return found


def _of_one_line(line: Mapping[str, Any]) -> Iterator[tuple[str, Iterable[float]]]:
    by_name = {metric.name: metric for metric in METRICS}
    for directive in line["_aws"]["CloudWatchMetrics"]:
        for defined in directive["Metrics"]:
            name, values = defined["Name"], line[defined["Name"]]
            told_by = [line[dimension] for dimension in by_name[name].by]
            yield " ".join([name, *told_by]), values if isinstance(values, list) else [values]
