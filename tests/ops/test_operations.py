"""Alarms and dashboard use existing metrics, and each alarm is in the runbook."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from chalicelib.runtime import metrics
from ops.deploying import dashboard
from ops.deploying.operations import FUNCTIONS, Alarm, Figure, alarms, properties, template_parts
from ops.names import LAMBDAS

ROOT = Path(__file__).parent.parent.parent
RUNBOOK = (ROOT / "docs/operating.md").read_text()
#: AWS's own metrics and their dimensions, each from its service's page
OF_AWS = {
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    ("AWS/Lambda", "Errors"): {"FunctionName"},
    ("AWS/Lambda", "Throttles"): {"FunctionName"},
    ("AWS/Lambda", "Duration"): {"FunctionName"},
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html
    ("AWS/DynamoDB", "ReadThrottleEvents"): {"TableName", "GlobalSecondaryIndexName"},
    ("AWS/DynamoDB", "WriteThrottleEvents"): {"TableName", "GlobalSecondaryIndexName"},
    ("AWS/DynamoDB", "SystemErrors"): {"TableName", "Operation"},
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html
    ("AWS/ApiGateway", "5XXError"): {"ApiName", "Stage"},
    ("AWS/ApiGateway", "Latency"): {"ApiName", "Stage"},
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"): {"QueueName"},
}
ALARMS = {alarm.name("dev"): alarm for alarm in alarms("dev")}


def is_there(figure: Figure) -> bool:
    """Return True if the code or AWS writes this metric with exactly its dimensions."""
    if figure.namespace == metrics.NAMESPACE:
        by_name = {metric.name: {"Stage", *metric.by} for metric in metrics.METRICS}
        return figure.name in by_name and set(figure.dimensions) in ({"Stage"}, by_name[figure.name])
    # An index's metrics have one dimension more than those of the table itself.
    of_aws = OF_AWS.get((figure.namespace, figure.name))
    return of_aws is not None and of_aws - {"GlobalSecondaryIndexName"} <= set(figure.dimensions) <= of_aws


def kinds_in_the_runbook() -> list[str]:
    part = RUNBOOK.split("\n## The alarms\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^### `(.+)`$", part, re.MULTILINE)


@pytest.mark.parametrize("alarm", ALARMS.values(), ids=list(ALARMS))
def test_every_figure_of_an_alarm_is_written_by_the_code_or_by_aws(alarm: Alarm) -> None:
    assert [figure for figure in alarm.figures.values() if not is_there(figure)] == []


def test_alarms_and_runbook_sections_match_one_to_one() -> None:
    kinds = kinds_in_the_runbook()
    assert len(set(kinds)) == len(kinds)
    assert set(kinds) == {alarm.kind for alarm in ALARMS.values()}


def test_every_section_says_what_it_means_how_to_see_it_and_what_to_do() -> None:
    part = RUNBOOK.split("\n## The alarms\n", 1)[1].split("\n## ", 1)[0]
    for section in part.split("\n### ")[1:]:
        assert [word for word in ("**Means.**", "**See.**", "**Do.**", "```") if word not in section] == [], section


def test_no_two_alarms_of_a_stage_share_a_name_and_stages_share_none() -> None:
    names = [alarm.name(stage) for stage in ("dev", "prod") for alarm in alarms(stage)]
    assert len(set(names)) == len(names)


def test_the_lambdas_of_the_alarms_are_those_that_are_deployed() -> None:
    config = json.loads((ROOT / ".chalice/config.json").read_text())["lambda_functions"]
    timeouts = {name.replace("api_handler", "api"): each["lambda_timeout"] for name, each in config.items()}
    assert {name: function.timeout_sec for name, function in FUNCTIONS.items()} == timeouts
    assert {function.suffix for function in FUNCTIONS.values()} == {each.suffix for each in LAMBDAS}
    assert [name for name, each in FUNCTIONS.items() if not 0.6 < each.slow_sec / each.timeout_sec < 1] == []


def test_an_alarm_of_a_percentile_and_one_of_a_sum() -> None:
    late, stopped = ALARMS["redial-dev-redials-late"], ALARMS["redial-dev-sweep-stopped"]
    assert properties(late, "dev", "arn:aws:sns:eu-west-1:123456789012:pager") == {
        "AlarmName": "redial-dev-redials-late",
        "AlarmDescription": "One redial in a hundred was claimed more than 2 minutes after its due time. "
        "See docs/operating.md, redials-late.",
        "Namespace": "Redial",
        "MetricName": "RedialLateness",
        "Dimensions": [{"Name": "Stage", "Value": "dev"}],
        "ExtendedStatistic": "p99",
        "Period": 300,
        "EvaluationPeriods": 1,
        "DatapointsToAlarm": 1,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 120,
        "TreatMissingData": "notBreaching",
        "AlarmActions": ["arn:aws:sns:eu-west-1:123456789012:pager"],
        "OKActions": ["arn:aws:sns:eu-west-1:123456789012:pager"],
    }
    one = properties(stopped, "dev")
    assert [one[name] for name in ("Statistic", "Period", "EvaluationPeriods", "TreatMissingData")] == [
        "Sum",
        60,
        5,
        "breaching",
    ]
    assert "AlarmActions" not in one


@pytest.mark.parametrize("alarm", [a for a in ALARMS.values() if a.expression], ids=lambda alarm: alarm.kind)
def test_an_expression_names_the_figures_that_feed_it_and_no_others(alarm: Alarm) -> None:
    metrics_of = properties(alarm, "dev")["Metrics"]
    assert [each["Id"] for each in metrics_of if each["ReturnData"]] == ["result"]
    # An alarm has at most ten metrics, with ids that begin with a small letter.
    assert len(metrics_of) <= 10
    named = set(re.findall(r"\b[a-z]\w*", alarm.expression or ""))
    assert named == set(alarm.figures)


def test_cloudformation_gets_every_alarm_and_the_dashboard_as_they_are() -> None:
    resources = template_parts("dev")["Resources"]
    of_alarms = [r["Properties"] for r in resources.values() if r["Type"] == "AWS::CloudWatch::Alarm"]
    told = {"Fn::If": ["HasAlarmTopic", {"Ref": "AlarmTopic"}, {"Ref": "AWS::NoValue"}]}
    few_rules = {"Fn::If": ["AllowsFewRules", 80, 240]}
    assert of_alarms == [
        properties(alarm, "dev", told) | ({"Threshold": few_rules} if alarm.kind == "rules-near-quota" else {})
        for alarm in ALARMS.values()
    ]
    assert [name for name in resources if not re.fullmatch("[A-Za-z0-9]+", name)] == []
    board = resources["Dashboard"]["Properties"]
    assert board["DashboardName"] == "redial-dev"
    # Fn::Sub replaces ${...}: only the region may have this form.
    assert set(re.findall(r"\$\{[^}]*\}", board["DashboardBody"]["Fn::Sub"])) == {"${AWS::Region}"}


def lines_of(board: dict[str, Any]) -> list[Any]:
    return [line for widget in board["widgets"] for line in widget["properties"]["metrics"]]


def test_every_line_of_the_dashboard_is_of_a_figure_that_there_is() -> None:
    board = json.loads(dashboard.body("dev", "eu-west-1"))
    known = {metric.name: metric for metric in metrics.METRICS}
    for line in lines_of(board):
        if isinstance(line[0], dict):
            found = re.fullmatch(
                r"SEARCH\('\{Redial,Stage,(.+)\} MetricName=\"(\w+)\" Stage=\"dev\"', '(Sum|Maximum)', 300\)",
                line[0]["expression"],
            )
            assert found is not None
            assert known[found[2]].by == tuple(found[1].split(","))
        elif line[0] == metrics.NAMESPACE:
            assert (known[line[1]].name, line[2:4]) == (line[1], ["Stage", "dev"])
        else:
            names = {each[1] for each in OF_AWS} | {"ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits"}
            assert line[1] in names


def test_every_metric_of_ours_is_on_the_dashboard_but_the_sweeps_own() -> None:
    text = dashboard.body("dev", "eu-west-1")
    shown = {m.name for m in metrics.METRICS if f'\\"{m.name}\\"' in text or f'"{m.name}"' in text}
    assert {metric.name for metric in metrics.METRICS} - shown == {"Sweeps"}


def test_the_graphs_lie_side_by_side_and_none_on_another() -> None:
    widgets = json.loads(dashboard.body("dev", "eu-west-1"))["widgets"]
    places = [(widget["x"], widget["y"]) for widget in widgets]
    assert len(set(places)) == len(places)
    assert places[:4] == [(0, 0), (8, 0), (16, 0), (0, 6)]
