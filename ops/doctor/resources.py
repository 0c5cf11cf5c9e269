"""The doctor's checks of the deployed resources.

The resources are the table, the Lambdas, their permission and logs, the dead letters, and the API. The credentials, the
clock and the time zone rules come first.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

from chalicelib.domain import zones
from chalicelib.errors import RedialError
from chalicelib.runtime.settings import Settings
from ops import aws
from ops.data.table import TTL_ATTRIBUTE
from ops.deploying import capacity, chalice_config, gateway_responses
from ops.deploying.provision_table import index_statuses, missing_indexes, wrong_shape
from ops.doctor.deployment import Deployment, environment_of
from ops.doctor.finding import Finding, amber, green, holds, red
from ops.names import ASYNCHRONOUS, LAMBDAS, REDIAL, Lambda, dead_letters, wake_rules

#: Signatures of callbacks allow minutes of difference, those of AWS five. More than seconds means that nothing sets
#: this clock.
MAX_SKEW_SEC = 5
#: A release of the zone rules comes out every two or three months.
MAX_ZONE_RULES_DAYS = 60


def credentials(on: Deployment) -> Iterator[Finding]:
    """Check that AWS accepts the credentials."""
    # STS answers without a region, DynamoDB does not.
    region = on.make_client("dynamodb").meta.region_name
    yield green(f"account {on.caller[0]} in {region}")


def clock(on: Deployment) -> Iterator[Finding]:
    """Check that this computer's clock agrees with AWS's."""
    ahead = on.caller[1]
    if ahead is None:
        yield amber("AWS's answer has no time", "nothing to do if it is an emulator")
        return
    skew = round(ahead.total_seconds())
    yield holds(
        abs(skew) <= MAX_SKEW_SEC,
        "this clock agrees with AWS's",
        amber(f"this clock is {abs(skew)} s {'ahead of' if skew > 0 else 'behind'} AWS's", "set it by NTP"),
    )


def zone_rules(on: Deployment) -> Iterator[Finding]:
    """Check that the deployed rules of time zones are recent."""
    age_days = (datetime.now(UTC).date() - zones.RELEASED_ON).days
    what = f"zone rules are those of tzdata {zones.release()}, {age_days} days old"
    advice = "pin the newest tzdata in requirements.txt and deploy: governments change their clocks at short notice"
    yield holds(age_days <= MAX_ZONE_RULES_DAYS, what, amber(what, advice))


def table(on: Deployment) -> Iterator[Finding]:
    """Check the table's keys, indexes, backups, expiry and deletion protection."""
    dynamodb, name, repair = on.make_client("dynamodb"), on.table, on.repair
    found = aws.find(lambda: dynamodb.describe_table(TableName=name))
    if found is None:
        yield red(f"there is no table {name}", repair)
        return
    described = found["Table"]
    status = described["TableStatus"]
    yield holds(status == "ACTIVE", f"{name} is active", red(f"{name} is {status}", "wait until AWS has made it"))
    wrong = wrong_shape(described)
    for each in wrong:
        yield red(f"{name}: {each}", "if another program uses this table, deploy another stage")
    missing = [index["IndexName"] for index in missing_indexes(described)]
    for index in missing:
        yield red(f"{name} has no index {index}", repair)
    if not wrong and not missing:
        yield green("keys and indexes are right")
    for index, state in index_statuses(described).items():
        if state != "ACTIVE":
            yield red(f"the index {index} is {state}", "wait until AWS has made it")
    yield from _kept_safe(on, dynamodb, described)


def _kept_safe(on: Deployment, dynamodb: Any, described: dict[str, Any]) -> Iterator[Finding]:
    name, repair = on.table, on.repair
    backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    recovery = backups.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus")
    ttl = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    expires = ttl.get("TimeToLiveStatus") in ("ENABLED", "ENABLING") and ttl.get("AttributeName") == TTL_ATTRIBUTE
    yield holds(
        recovery == "ENABLED",
        "the table can be restored to any second of the last 35 days",
        red("point-in-time recovery is off: what is deleted is lost", repair),
    )
    yield holds(expires, f"items expire by {TTL_ATTRIBUTE}", red(f"items do not expire by {TTL_ATTRIBUTE}", repair))
    yield holds(
        described.get("DeletionProtectionEnabled", False),
        "the table is protected from deletion",
        red("one request can delete the table", repair),
    )


def lambdas(on: Deployment) -> Iterator[Finding]:
    """Check that each Lambda is active, with its timeout and a valid environment."""
    for each, found in on.functions.items():
        name = each.name(on.stage)
        if found is None:
            yield red(f"the Lambda {name} is not deployed", on.redeploy)
            continue
        wrong = [*_unfit(on, each, found)]
        yield from wrong or [green(f"{name} is active, with {found['Timeout']} s and the right environment")]


def _unfit(on: Deployment, each: Lambda, found: dict[str, Any]) -> Iterator[Finding]:
    name, deploy = each.name(on.stage), on.redeploy
    for key, wanted in (("State", "Active"), ("LastUpdateStatus", "Successful")):
        if found.get(key, wanted) != wanted:
            yield red(f"{name}: {key} is {found[key]} ({found.get(f'{key}Reason', 'no reason given')})", deploy)
    timeout_sec = chalice_config.timeout_sec(each, on.stage)
    if found["Timeout"] != timeout_sec:
        yield red(f"{name} may run {found['Timeout']} s, not {timeout_sec} s as .chalice/config.json says", deploy)
    try:
        settings = Settings.from_env(environment_of(found))
    except RedialError as error:
        yield red(f"{name} cannot start: {error}", f"correct it in .chalice/config.json, then {deploy}")
        return
    for variable, value, wanted in (
        ("REDIAL_STAGE", settings.stage, on.stage),
        ("TABLE_NAME", settings.table_name, on.table),
    ):
        if value != wanted:
            yield red(
                f"{name} has {variable} {value!r}, not {wanted!r}", f"correct it in .chalice/config.json, then {deploy}"
            )


def same_environment(on: Deployment) -> Iterator[Finding]:
    """Check that all Lambdas have the same environment."""
    # CloudFormation cannot pass the ARN of ``redial`` to ``redial`` itself, so that variable may differ.
    environments = [environment_of(on.function(each)) for each in LAMBDAS]
    names = {name for each in environments for name in each} - {"REDIAL_ARN"}
    differing = sorted(name for name in names if len({each.get(name) for each in environments}) > 1)
    yield holds(
        not differing,
        "every Lambda has the same settings",
        amber(
            f"the Lambdas differ in {', '.join(differing)}",
            f"if this is not intended: set it for the stage in .chalice/config.json, then {on.redeploy}",
        ),
    )


def permission(on: Deployment) -> Iterator[Finding]:
    """Check that the rules of wakes may invoke ``redial``."""
    partition, region, account = (on.redial_arn.split(":")[part] for part in (1, 3, 4))
    source = f"arn:{partition}:events:{region}:{account}:{wake_rules(on.stage)}"
    policy = aws.find(lambda: on.make_client("lambda").get_policy(FunctionName=REDIAL.name(on.stage)))
    yield holds(
        aws.allows(policy, service="events.amazonaws.com", source_arn=source),
        f"{wake_rules(on.stage)} may invoke {REDIAL.name(on.stage)}",
        red(f"no wake may invoke {REDIAL.name(on.stage)}: only the sweep dials", on.repair),
    )


def logs(on: Deployment) -> Iterator[Finding]:
    """Check that CloudWatch deletes old logs of each Lambda."""
    client = on.make_client("logs")
    kept_forever = []
    for each in LAMBDAS:
        group = each.log_group(on.stage)
        listed = client.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        kept = [known.get("retentionInDays") for known in listed if known["logGroupName"] == group]
        if None in kept:
            kept_forever.append(group)
    yield holds(
        not kept_forever,
        "CloudWatch deletes old logs",
        amber(f"logs are kept, and paid for, for ever: {', '.join(kept_forever)}", on.repair),
    )


def failures(on: Deployment) -> Iterator[Finding]:
    """Check that failed events go to the queue of dead letters, and that it is empty."""
    sqs, name = on.make_client("sqs"), dead_letters(on.stage)
    found = aws.find(lambda: sqs.get_queue_url(QueueName=name))
    if found is None:
        yield red(f"there is no queue {name}: an event that fails is lost", on.repair)
        return
    attributes = sqs.get_queue_attributes(QueueUrl=found["QueueUrl"], AttributeNames=["All"])["Attributes"]
    waiting = int(attributes["ApproximateNumberOfMessages"]) + int(
        attributes.get("ApproximateNumberOfMessagesNotVisible", 0)
    )
    yield holds(
        waiting == 0,
        "no event has failed",
        red(f"{waiting} events failed each time", f"python -m ops replay --stage {on.stage} --dry-run shows why"),
    )
    client = on.make_client("lambda")
    for each in ASYNCHRONOUS:
        function = each.name(on.stage)
        on.function(each)
        config = aws.find(partial(client.get_function_event_invoke_config, FunctionName=function))
        destination = ((config or {}).get("DestinationConfig") or {}).get("OnFailure", {}).get("Destination")
        if destination != attributes["QueueArn"]:
            yield red(f"an event that {function} fails on is lost", on.repair)


def concurrency(on: Deployment) -> Iterator[Finding]:
    """Check the concurrency that is reserved for the Lambdas."""
    functions = on.make_client("lambda")
    for each, (setting, _) in capacity.RESERVED.items():
        name, wanted = each.name(on.stage), capacity.reserved(each, on.stage)
        on.function(each)
        actual = functions.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")
        if actual == 0:
            yield red(
                f"{name} is disabled: its reserved concurrency is 0",
                f"to enable it again: aws lambda delete-function-concurrency --function-name {name}",
            )
        elif wanted in (0, actual):
            yield green(f"{actual or 'no'} invocations are reserved for {name}")
        else:
            yield amber(
                f"{actual or 'no'} invocations are reserved for {name}, not {wanted}: other Lambdas can stop it",
                f"{on.repair}; a new account has too few: raise its Lambda concurrency, or set {setting}=0",
            )


def throttle(on: Deployment) -> Iterator[Finding]:
    """Check that API Gateway has the configured throttle."""
    rate, burst = capacity.throttle(on.stage)
    actual = capacity.throttled(on.make_client("apigateway"), capacity.rest_api(on.make_client("lambda"), on.stage))
    if actual is None:
        yield green("no stage of API Gateway is there to be throttled")
        return
    yield holds(
        actual == (rate, burst),
        f"the API takes at most {rate} requests a second",
        amber(
            f"the API takes {actual[0]:g} requests a second and {actual[1]} at once, not {rate} and {burst}", on.repair
        ),
    )


def own_answers(on: Deployment) -> Iterator[Finding]:
    """Check the answers that API Gateway gives by itself.

    ``chalice deploy`` sets them back to API Gateway's own texts.
    """
    apis, api_id = on.make_client("apigateway"), capacity.rest_api(on.make_client("lambda"), on.stage)
    if api_id is None or capacity.throttled(apis, api_id) is None:
        yield green("no stage of API Gateway is there to answer by itself")
        return
    yield holds(
        gateway_responses.are_set(apis, api_id, capacity.api_stage()),
        "a path without a route is answered 404 as problem+json",
        amber("a path without a route is answered 403 'Missing Authentication Token'", on.repair),
    )
