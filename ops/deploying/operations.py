"""The alarms of a stage, as one table.

CloudFormation and ``python -m ops alarms`` both use the table. Each kind of alarm has a section of the same name in
docs/operating.md.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from chalicelib.runtime import metrics
from chalicelib.runtime.metrics import NAMESPACE, STAGE, Metric
from ops.data.table import table_definition, table_name
from ops.deploying import dashboard, rule_quota
from ops.names import APP_NAME

#: CloudWatch's words for the comparisons of an alarm
ABOVE = "GreaterThanThreshold"
BELOW = "LessThanThreshold"

#: API Gateway names an API after the app, and its stage is Chalice's ``api_gateway_stage``. So two stages of Redial in
#: one account and region share these two metrics.
API = {"ApiName": APP_NAME, "Stage": "api"}
#: the operations that the Lambdas use: DynamoDB counts its errors by operation
TABLE_OPERATIONS = ("BatchGetItem", "DeleteItem", "GetItem", "PutItem", "Query", "TransactWriteItems", "UpdateItem")


@dataclass(frozen=True, slots=True)
class Function:
    """A deployed Lambda, and how long it may run.

    ``suffix`` follows ``<app>-<stage>`` in its name. ``slow_sec`` is the duration that means a problem, near the
    timeout. redial may dial until 16 seconds before its own timeout.
    """

    suffix: str
    timeout_sec: int
    slow_sec: int


FUNCTIONS = {
    "api": Function("", 29, 20),
    "redial": Function("-redial", 120, 114),
    "sweep": Function("-sweep", 55, 50),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A CloudWatch metric: namespace, name, statistic, and its dimensions in a stage."""

    namespace: str
    name: str
    statistic: str
    dimensions: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One row of the table.

    ``part`` distinguishes alarms of one kind. ``figures`` are the inputs of ``expression``, by their ids. The alarm
    rings when the value is over (or under) the threshold in ``periods`` consecutive periods of ``period_sec``.
    """

    kind: str
    says: str
    threshold: float
    figures: Mapping[str, Figure]
    part: str = ""
    expression: str | None = None
    compares: str = ABOVE
    period_sec: int = 300
    periods: int = 1
    missing: str = field(default="notBreaching")

    def name(self, stage: str) -> str:
        """Return the alarm's name in CloudWatch."""
        return "-".join(filter(None, [APP_NAME, stage, self.kind, self.part]))


def own_figure(metric: Metric, statistic: str, stage: str, **by: str) -> Figure:
    """Return a metric of ours, by the stage alone or by all of its dimensions."""
    return Figure(NAMESPACE, metric.name, statistic, {STAGE: stage, **by})


def alarms(stage: str, rules_quota: int = rule_quota.DEFAULT_RULES) -> Iterator[Alarm]:
    """Yield every alarm of a stage.

    ``rules_quota`` is the number of rules that EventBridge allows in the stage's region.
    """
    yield from _wheel_alarms(stage, rules_quota)
    yield from _provider_alarms(stage)
    yield from _api_alarms(stage)
    yield from _lambda_alarms(stage)
    yield from _table_alarms(stage)


def _wheel_alarms(stage: str, rules_quota: int) -> Iterator[Alarm]:
    yield Alarm(
        kind="sweep-repairs",
        says="The sweep repaired more than 10 calls or rules in 5 minutes, because wakes or callbacks were missing.",
        figures={"m": own_figure(metrics.SWEEP_REPAIRED, "Sum", stage)},
        threshold=10,
    )
    yield Alarm(
        kind="sweep-stopped",
        says="No sweep has finished for 5 minutes, so nothing repairs lost wakes and callbacks.",
        figures={"m": own_figure(metrics.SWEEPS, "Sum", stage)},
        threshold=1,
        compares=BELOW,
        period_sec=60,
        periods=5,
        missing="breaching",
    )
    yield Alarm(
        kind="redials-late",
        says="One redial in a hundred was claimed more than 2 minutes after its due time.",
        figures={"m": own_figure(metrics.REDIAL_LATENESS, "p99", stage)},
        threshold=120,
    )
    yield Alarm(
        kind="rules-near-quota",
        says="All programs together use more than 80 % of the rules that EventBridge allows in this region.",
        figures={"m": own_figure(metrics.RULES_LIVE, "Maximum", stage)},
        threshold=rule_quota.near(rules_quota),
    )
    yield Alarm(
        kind="wakes-not-set",
        says="EventBridge refused more than 2 wakes in 15 minutes: the sweep dials those calls a minute or two late.",
        figures={"m": own_figure(metrics.WAKES_NOT_SET, "Sum", stage)},
        threshold=2,
        period_sec=900,
    )
    yield Alarm(
        kind="dead-letters",
        says="A wake or a sweep failed in all its tries. Its event is in the dead-letter queue.",
        figures={
            "m": Figure(
                "AWS/SQS",
                "ApproximateNumberOfMessagesVisible",
                "Maximum",
                {"QueueName": f"{APP_NAME}-{stage}-dead-letters"},
            )
        },
        threshold=0,
    )


def _provider_alarms(stage: str) -> Iterator[Alarm]:
    yield Alarm(
        kind="placements-unknown",
        says="There were 20 or more dials in 15 minutes, and more than 5 % got no answer from the provider.",
        figures={
            "unknown": own_figure(metrics.PLACEMENT_UNKNOWN, "Sum", stage),
            "dialed": own_figure(metrics.DIALED, "Sum", stage),
        },
        expression=(
            "IF(FILL(unknown, 0) + FILL(dialed, 0) >= 20, "
            "100 * FILL(unknown, 0) / (FILL(unknown, 0) + FILL(dialed, 0)), 0)"
        ),
        threshold=5,
        period_sec=900,
    )
    yield Alarm(
        kind="account-faults",
        says="A provider refused the account, not the call: no balance, no permission, wrong credentials.",
        figures={"m": own_figure(metrics.ACCOUNT_FAULTS, "Sum", stage)},
        threshold=0,
    )
    yield Alarm(
        kind="breaker-opened",
        says="Redial stopped dialling through an account: the account is at fault, or half of its requests failed.",
        figures={"m": own_figure(metrics.BREAKER_OPENED, "Sum", stage)},
        threshold=0,
    )
    yield Alarm(
        kind="signatures-wrong",
        says="More than 20 callbacks in 5 minutes had a wrong signature.",
        figures={"m": own_figure(metrics.SIGNATURE_FAILURES, "Sum", stage)},
        threshold=20,
    )


def _api_alarms(stage: str) -> Iterator[Alarm]:
    yield Alarm(
        kind="callbacks-refused",
        says="More than 20 callbacks in 5 minutes came to an address whose token is unknown or was replaced.",
        figures={"m": own_figure(metrics.CALLBACKS_REFUSED, "Sum", stage)},
        threshold=20,
    )
    yield Alarm(
        kind="calls-not-adopted",
        says="A callback came to an adoption address, and its call could not be adopted.",
        figures={"m": own_figure(metrics.CALLS_NOT_ADOPTED, "Sum", stage)},
        threshold=0,
    )
    yield Alarm(
        kind="sign-ins-refused",
        says="More than 20 requests in 5 minutes had no API key, or a key that does not allow them.",
        figures={"m": own_figure(metrics.SIGN_INS_REFUSED, "Sum", stage)},
        threshold=20,
    )
    for entry_point, whose in (("callbacks", "a provider's callback"), ("api", "a request to the API")):
        yield Alarm(
            kind=f"{entry_point}-fail",
            says=f"Redial answered {whose} with 500 or more.",
            figures={"m": own_figure(metrics.SERVER_ERRORS, "Sum", stage, EntryPoint=entry_point)},
            threshold=0,
        )
    yield Alarm(
        kind="gateway-fails",
        says="API Gateway answered with 500 or more: the Lambda failed, was throttled or took too long.",
        figures={"m": Figure("AWS/ApiGateway", "5XXError", "Sum", API)},
        threshold=0,
    )
    yield Alarm(
        kind="gateway-slow",
        says="For 15 minutes one request in a hundred took more than 5 seconds.",
        figures={"m": Figure("AWS/ApiGateway", "Latency", "p99", API)},
        threshold=5000,
        periods=3,
    )


def _lambda_alarms(stage: str) -> Iterator[Alarm]:
    for part, function in FUNCTIONS.items():
        name = {"FunctionName": f"{APP_NAME}-{stage}{function.suffix}"}
        yield Alarm(
            kind="lambda-errors",
            part=part,
            says=f"The {part} Lambda failed: an error that the code did not catch, a timeout or too little memory.",
            figures={"m": Figure("AWS/Lambda", "Errors", "Sum", name)},
            threshold=0,
        )
        yield Alarm(
            kind="lambda-throttles",
            part=part,
            says=f"AWS refused an invocation of the {part} Lambda: the account's concurrency is used up.",
            figures={"m": Figure("AWS/Lambda", "Throttles", "Sum", name)},
            threshold=0,
        )
        yield Alarm(
            kind="lambda-slow",
            part=part,
            says=f"The {part} Lambda took more than {function.slow_sec} of its {function.timeout_sec} seconds.",
            figures={"m": Figure("AWS/Lambda", "Duration", "Maximum", name)},
            threshold=function.slow_sec * 1000,
        )


def _table_alarms(stage: str) -> Iterator[Alarm]:
    table = {"TableName": table_name(stage)}
    throttled = dict(_throttle_figures(table))
    yield Alarm(
        kind="table-throttled",
        says="DynamoDB refused reads or writes of the table or of an index, because there were too many.",
        figures=throttled,
        expression=_sum_of(throttled),
        threshold=0,
    )
    ids = {operation: f"m{number}" for number, operation in enumerate(TABLE_OPERATIONS)}
    yield Alarm(
        kind="table-errors",
        says="DynamoDB answered with HTTP 500 more than 5 times in 5 minutes.",
        figures={
            id_: Figure("AWS/DynamoDB", "SystemErrors", "Sum", {**table, "Operation": operation})
            for operation, id_ in ids.items()
        },
        expression=_sum_of(ids.values()),
        threshold=5,
    )


def _throttle_figures(table: Mapping[str, str]) -> Iterator[tuple[str, Figure]]:
    """Yield each metric of throttled requests, by its id.

    The table's own metric does not count the requests to its indexes.
    """
    indexes = table_definition(table["TableName"])["GlobalSecondaryIndexes"]
    places = {"table": dict(table)}
    places |= {each["IndexName"]: {**table, "GlobalSecondaryIndexName": each["IndexName"]} for each in indexes}
    for place, dimensions in places.items():
        for kind in ("Read", "Write"):
            yield f"{place}_{kind.lower()}s", Figure("AWS/DynamoDB", f"{kind}ThrottleEvents", "Sum", dimensions)


def _sum_of(ids: Iterable[str]) -> str:
    return " + ".join(f"FILL({each}, 0)" for each in ids)


def properties(alarm: Alarm, stage: str, topic_arn: Any = None) -> dict[str, Any]:
    """Return an alarm for ``put_metric_alarm`` and for an ``AWS::CloudWatch::Alarm``.

    ``topic_arn`` is the SNS topic that the alarm notifies, or CloudFormation's expression for one.
    """
    common: dict[str, Any] = {
        "AlarmName": alarm.name(stage),
        "AlarmDescription": f"{alarm.says} See docs/operating.md, {alarm.kind}.",
        "ComparisonOperator": alarm.compares,
        "Threshold": alarm.threshold,
        "EvaluationPeriods": alarm.periods,
        "DatapointsToAlarm": alarm.periods,
        "TreatMissingData": alarm.missing,
    }
    if topic_arn is not None:
        common |= {"AlarmActions": [topic_arn], "OKActions": [topic_arn]}
    if alarm.expression is None:
        (figure,) = alarm.figures.values()
        # A percentile has another field than the plain statistics.
        kind = "ExtendedStatistic" if figure.statistic.startswith("p") else "Statistic"
        return common | _metric(figure) | {kind: figure.statistic, "Period": alarm.period_sec}
    queries = [
        {
            "Id": id_,
            "MetricStat": {"Metric": _metric(figure), "Period": alarm.period_sec, "Stat": figure.statistic},
            "ReturnData": False,
        }
        for id_, figure in alarm.figures.items()
    ]
    result = {"Id": "result", "Expression": alarm.expression, "Label": alarm.kind, "ReturnData": True}
    return common | {"Metrics": [*queries, result]}


def _metric(figure: Figure) -> dict[str, Any]:
    dimensions = [{"Name": name, "Value": value} for name, value in figure.dimensions.items()]
    return {"Namespace": figure.namespace, "MetricName": figure.name, "Dimensions": dimensions}


TOPIC, HAS_TOPIC, FEW_RULES = "AlarmTopic", "HasAlarmTopic", "AllowsFewRules"


def template_parts(stage: str) -> dict[str, Any]:
    """Return the alarms and the dashboard as CloudFormation takes them.

    The result includes the parameter and the conditions that they use.
    """
    few = [{"Fn::Equals": [{"Ref": "AWS::Region"}, region]} for region in rule_quota.FEWER_RULES]
    return {
        "Parameters": {
            TOPIC: {
                "Type": "String",
                "Default": "",
                "Description": "The ARN of the SNS topic that each alarm notifies. Empty: no notification.",
            }
        },
        "Conditions": {
            HAS_TOPIC: {"Fn::Not": [{"Fn::Equals": [{"Ref": TOPIC}, ""]}]},
            FEW_RULES: {"Fn::Or": few},
        },
        "Resources": _resources(stage),
    }


def _resources(stage: str) -> dict[str, Any]:
    topic = {"Fn::If": [HAS_TOPIC, {"Ref": TOPIC}, {"Ref": "AWS::NoValue"}]}
    quota = rule_quota.of_setting(stage)
    resources: dict[str, Any] = {
        _logical_id(alarm): {"Type": "AWS::CloudWatch::Alarm", "Properties": properties(alarm, stage, topic)}
        for alarm in alarms(stage, quota or rule_quota.DEFAULT_RULES)
    }
    if quota is None:
        thresholds = [
            rule_quota.near(most) for most in (min(rule_quota.FEWER_RULES.values()), rule_quota.DEFAULT_RULES)
        ]
        resources["RulesNearQuotaAlarm"]["Properties"]["Threshold"] = {"Fn::If": [FEW_RULES, *thresholds]}
    body = dashboard.body(stage, region="${AWS::Region}")
    resources["Dashboard"] = {
        "Type": "AWS::CloudWatch::Dashboard",
        "Properties": {"DashboardName": dashboard.name(stage), "DashboardBody": {"Fn::Sub": body}},
    }
    return resources


def _logical_id(alarm: Alarm) -> str:
    words = re.split("-", f"{alarm.kind}-{alarm.part}-alarm")
    return "".join(word.capitalize() for word in words)
