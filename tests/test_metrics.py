"""The lines of metrics: CloudWatch's format, and every number in them."""

from concurrent.futures import ThreadPoolExecutor

import jsonschema
import pytest

from chalicelib.runtime import metrics
from chalicelib.runtime.log import with_context
from chalicelib.runtime.metrics import collected, count, measure
from tests.support.app_output import EMF, emf, figures


def test_an_invocation_writes_one_line_for_each_set_of_dimensions(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIAL_STAGE", "prod")
    monkeypatch.setattr("time.time", lambda: 1_769_421_600.25)
    with collected():
        count(metrics.ATTEMPTS, Outcome="busy", Provider="twilio")
        count(metrics.ATTEMPTS, Outcome="completed", Provider="twilio")
        count(metrics.ATTEMPTS, Outcome="busy", Provider="twilio")
        measure(metrics.REDIAL_LATENESS, 3.5)
        measure(metrics.REDIAL_LATENESS, 4)

    def line(dimensions: list[list[str]], name: str, unit: str, **root: object) -> dict[str, object]:
        directive = {"Namespace": "Redial", "Dimensions": dimensions, "Metrics": [{"Name": name, "Unit": unit}]}
        return {"_aws": {"Timestamp": 1769421600250, "CloudWatchMetrics": [directive]}, "Stage": "prod", **root}

    by_outcome = [["Stage"], ["Stage", "Outcome", "Provider"]]
    assert emf(capsys.readouterr().out) == [
        line(by_outcome, "Attempts", "Count", Outcome="busy", Provider="twilio", Attempts=2),
        line(by_outcome, "Attempts", "Count", Outcome="completed", Provider="twilio", Attempts=1),
        line([["Stage"]], "RedialLateness", "Seconds", RedialLateness=[3.5, 4]),
    ]


@pytest.mark.parametrize("number", [1, 100, 101, 250])
def test_a_line_holds_at_most_a_hundred_values_and_none_is_lost(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with collected():
        for value in range(number):
            measure(metrics.REDIAL_LATENESS, value)
            measure(metrics.CALLBACK_DELAY, value * 2)
        count(metrics.SWEEPS)
    out = capsys.readouterr().out
    for line in emf(out):
        jsonschema.validate(line, EMF)
    assert figures(out) == {
        "RedialLateness": list(range(number)),
        "CallbackDelay": [value * 2 for value in range(number)],
        "Sweeps": [1],
    }


@pytest.mark.parametrize("metric", metrics.METRICS, ids=lambda metric: metric.name)
def test_a_line_of_every_metric_is_as_the_specification_has_it(
    metric: metrics.Metric, capsys: pytest.CaptureFixture[str]
) -> None:
    by = dict.fromkeys(metric.by, "some")
    with collected():
        measure(metric, 7, **by)
    (line,) = emf(capsys.readouterr().out)
    jsonschema.validate(line, EMF)
    assert (line["Stage"], line[metric.name]) == ("dev", 7)
    assert {name: line[name] for name in metric.by} == by


def test_every_metric_has_a_name_and_a_meaning_of_its_own() -> None:
    assert len({metric.name for metric in metrics.METRICS}) == len(metrics.METRICS)
    assert [metric.name for metric in metrics.METRICS if not metric.meaning] == []
    everything = [value for value in vars(metrics).values() if isinstance(value, metrics.Metric)]
    assert everything == list(metrics.METRICS)


def test_what_a_pool_s_threads_count_is_the_invocation_s(capsys: pytest.CaptureFixture[str]) -> None:
    with collected(), ThreadPoolExecutor(8) as pool:
        list(pool.map(with_context(lambda value: count(metrics.DIALED, value, Provider="twilio")), range(500)))
    assert figures(capsys.readouterr().out) == {"Dialed twilio": [sum(range(500))]}


def test_a_failed_invocation_writes_its_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    def failing() -> None:
        with collected():
            count(metrics.SWEEPS)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert figures(capsys.readouterr().out) == {"Sweeps": [1]}


def test_no_metrics_are_written_without_counts_in_an_invocation(
    capsys: pytest.CaptureFixture[str],
) -> None:
    count(metrics.SWEEPS)
    with collected():
        pass
    assert capsys.readouterr().out == ""


def test_a_metric_with_the_wrong_dimensions_is_refused() -> None:
    with (
        collected(),
        pytest.raises(ValueError, match=r"Attempts has the dimensions \('Outcome', 'Provider'\), not \('Outcome',\)"),
    ):
        count(metrics.ATTEMPTS, Outcome="busy")
