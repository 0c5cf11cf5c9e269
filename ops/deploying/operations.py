"""The alarms of a stage, from one table: for CloudFormation and for ``python -m ops alarms`` alike.

Each kind of alarm has a section of the same name in docs/operating.md.
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

#: CloudWatch's words for how an alarm compares
ABOVE = "GreaterThanThreshold"
BELOW = "LessThanThreshold"

#: API Gateway names an API as the app is named, and its stage is Chalice's ``api_gateway_stage``: two stages of Redial
#: in one account and region share these two figures.
API = {"ApiName": APP_NAME, "Stage": "api"}
#: what the Lambdas ask of the table; DynamoDB tells its errors apart by these
TABLE_OPERATIONS = ("BatchGetItem", "DeleteItem", "GetItem", "PutItem", "Query", "TransactWriteItems", "UpdateItem")


@dataclass(frozen=True, slots=True)
class Function:
    """A deployed Lambda: what follows ``<app>-<stage>`` in its name, and how long it takes when something is wrong.

    ``slow_sec`` is near its timeout; redial may dial until 16 seconds before its own.
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
    """A metric as it is asked for: whose it is, its statistic, and its dimensions in a stage."""

    namespace: str
    name: str
    statistic: str
    dimensions: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One row of the table. ``part`` tells alarms of one kind apart; ``figures`` feed ``expression`` by their ids.

    The alarm rings once the value is over (or under) the threshold in ``periods`` periods of ``period_sec`` in a row.
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
        """What CloudWatch lists it as."""
        return "-".join(filter(None, [APP_NAME, stage, self.kind, self.part]))


def ours(metric: Metric, statistic: str, stage: str, **by: str) -> Figure:
    """A metric that the code writes, by the stage alone or by all of its dimensions."""
    return Figure(NAMESPACE, metric.name, statistic, {STAGE: stage, **by})


def alarms(stage: str, rules_quota: int = rule_quota.DEFAULT_RULES) -> Iterator[Alarm]:
    """Yield every alarm of a stage. ``rules_quota`` is how many rules EventBridge allows in its region."""
    yield from _of_the_wheel(stage, rules_quota)
    yield from _of_the_provider(stage)
    yield from _of_the_api(stage)
    yield from _of_the_lambdas(stage)
    yield from _of_the_table(stage)


def _of_the_wheel(stage: str, rules_quota: int) -> Iterator[Alarm]:
    yield Alarm(
        kind="sweep-repairs",
        says="The sweep repaired more than 10 calls or rules in 5 minutes: the wheel or the callbacks miss some.",
        figures={"m": ours(metrics.SWEEP_REPAIRED, "Sum", stage)},
        threshold=10,
    )
    yield Alarm(
        kind="sweep-stopped",
        says="No sweep has come to its end for 5 minutes: what is lost stays lost.",
        figures={"m": ours(metrics.SWEEPS, "Sum", stage)},
        threshold=1,
        compares=BELOW,
        period_sec=60,
        periods=5,
        missing="breaching",
    )
    yield Alarm(
        kind="redials-late",
        says="One redial in a hundred is made more than 2 minutes after it was due.",
        figures={"m": ours(metrics.REDIAL_LATENESS, "p99", stage)},
        threshold=120,
    )
    yield Alarm(
        kind="rules-near-quota",
        says="All programs together use more than 80 % of the rules that EventBridge allows in this region.",
        figures={"m": ours(metrics.RULES_LIVE, "Maximum", stage)},
        threshold=rule_quota.near(rules_quota),
    )
    yield Alarm(
        kind="wakes-not-set",
        says="EventBridge refused more than 2 wakes in 15 minutes: the sweep dials those calls a minute or two late.",
        figures={"m": ours(metrics.WAKES_NOT_SET, "Sum", stage)},
        threshold=2,
        period_sec=900,
    )
    yield Alarm(
        kind="dead-letters",
        says="An invocation failed for good: its event waits in the dead-letter queue.",
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


def _of_the_provider(stage: str) -> Iterator[Alarm]:
    yield Alarm(
        kind="placements-unknown",
        says="Of 20 or more dials in 15 minutes, more than 5 % got no answer from the provider.",
        figures={
            "unknown": ours(metrics.PLACEMENT_UNKNOWN, "Sum", stage),
            "dialed": ours(metrics.DIALED, "Sum", stage),
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
        figures={"m": ours(metrics.ACCOUNT_FAULTS, "Sum", stage)},
        threshold=0,
    )
    yield Alarm(
        kind="breaker-opened",
        says="Dialling through a provider was stopped after too many failures in a row.",
        figures={"m": ours(metrics.BREAKER_OPENED, "Sum", stage)},
        threshold=0,
    )
    yield Alarm(
        kind="signatures-wrong",
        says="More than 20 callbacks in 5 minutes had a wrong signature.",
        figures={"m": ours(metrics.SIGNATURE_FAILURES, "Sum", stage)},
        threshold=20,
    )


def _of_the_api(stage: str) -> Iterator[Alarm]:
    yield Alarm(
        kind="callbacks-refused",
        says="More than 20 callbacks in 5 minutes came to an address whose token is unknown or was replaced.",
        figures={"m": ours(metrics.CALLBACKS_REFUSED, "Sum", stage)},
        threshold=20,
    )
    yield Alarm(
        kind="calls-not-adopted",
        says="A callback came to an adoption address, and its call could not be adopted.",
        figures={"m": ours(metrics.CALLS_NOT_ADOPTED, "Sum", stage)},
        threshold=0,
    )
    yield Alarm(
        kind="sign-ins-refused",
        says="More than 20 requests in 5 minutes came without an API key that may make them.",
        figures={"m": ours(metrics.SIGN_INS_REFUSED, "Sum", stage)},
        threshold=20,
    )
    for door, whose in (("callbacks", "A provider's callback"), ("api", "A request to the API")):
        yield Alarm(
            kind=f"{door}-fail",
            says=f"{whose} was answered with 500 or more.",
            figures={"m": ours(metrics.SERVER_ERRORS, "Sum", stage, EntryPoint=door)},
            threshold=0,
        )
    yield Alarm(
        kind="gateway-fails",
        says="API Gateway answered with 500 or more, by its own doing or the Lambda's.",
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


def _of_the_lambdas(stage: str) -> Iterator[Alarm]:
    for part, function in FUNCTIONS.items():
        name = {"FunctionName": f"{APP_NAME}-{stage}{function.suffix}"}
        yield Alarm(
            kind="lambda-errors",
            part=part,
            says=f"The {part} Lambda failed: an error that was not caught, a timeout or no memory.",
            figures={"m": Figure("AWS/Lambda", "Errors", "Sum", name)},
            threshold=0,
        )
        yield Alarm(
            kind="lambda-throttles",
            part=part,
            says=f"The {part} Lambda was refused an invocation: the account's concurrency is used up.",
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


def _of_the_table(stage: str) -> Iterator[Alarm]:
    table = {"TableName": table_name(stage)}
    throttled = dict(_throttled(table))
    yield Alarm(
        kind="table-throttled",
        says="DynamoDB refused reads or writes of the table or of an index for their number.",
        figures=throttled,
        expression=_sum_of(throttled),
        threshold=0,
    )
    asked = {operation: f"m{number}" for number, operation in enumerate(TABLE_OPERATIONS)}
    yield Alarm(
        kind="table-errors",
        says="DynamoDB failed on its own account (HTTP 500) more than 5 times in 5 minutes.",
        figures={
            id_: Figure("AWS/DynamoDB", "SystemErrors", "Sum", {**table, "Operation": operation})
            for operation, id_ in asked.items()
        },
        expression=_sum_of(asked.values()),
        threshold=5,
    )


def _throttled(table: Mapping[str, str]) -> Iterator[tuple[str, Figure]]:
    """Yield each count of throttled requests by its id: the table's own, which leaves the indexes out, and theirs."""
    indexes = table_definition(table["TableName"])["GlobalSecondaryIndexes"]
    places = {"table": dict(table)}
    places |= {each["IndexName"]: {**table, "GlobalSecondaryIndexName": each["IndexName"]} for each in indexes}
    for place, dimensions in places.items():
        for kind in ("Read", "Write"):
            yield f"{place}_{kind.lower()}s", Figure("AWS/DynamoDB", f"{kind}ThrottleEvents", "Sum", dimensions)


def _sum_of(ids: Iterable[str]) -> str:
    return " + ".join(f"FILL({each}, 0)" for each in ids)


def properties(alarm: Alarm, stage: str, topic_arn: Any = None) -> dict[str, Any]:
    """Return an alarm as ``put_metric_alarm`` and an ``AWS::CloudWatch::Alarm`` both take it.

    ``topic_arn`` is the SNS topic that hears of it, or CloudFormation's expression for one.
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
        # A percentile goes by another name than the plain statistics.
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
    """Return the alarms and the dashboard as CloudFormation takes them, with the parameter and conditions they use."""
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
    told = {"Fn::If": [HAS_TOPIC, {"Ref": TOPIC}, {"Ref": "AWS::NoValue"}]}
    quota = rule_quota.of_setting(stage)
    resources: dict[str, Any] = {
        _logical_id(alarm): {"Type": "AWS::CloudWatch::Alarm", "Properties": properties(alarm, stage, told)}
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
