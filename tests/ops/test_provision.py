"""The command `python -m ops provision`, on moto."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from chalicelib.errors import RedialError
from ops import aws as asking
from ops.__main__ import main
from ops.data.table import table_definition
from ops.deploying.provision import Provisioner
from ops.deploying.scheduler_role import scheduler_policy, scheduler_trust
from ops.names import LAMBDAS
from tests.support.deployed import REGION, an_api, arn, client, deploy, empty_aws, statements

QUEUE_ARN = f"arn:aws:sqs:{REGION}:123456789012:redial-dev-dead-letters"


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with empty_aws(monkeypatch):
        yield


def run(stage: str = "dev", *, dry_run: bool = False, **options: Any) -> list[tuple[str, str]]:
    """Run provision, and return its output as (word, text) line by line."""
    said: list[str] = []
    Provisioner(stage, client, say=said.append, dry_run=dry_run).provision(**options)
    return [(line[2:14].strip(), line[16:]) for line in said]


def changed(lines: list[tuple[str, str]]) -> list[str]:
    return [what for word, what in lines if word in ("created", "changed")]


def table() -> dict[str, Any]:
    return dict(client("dynamodb").describe_table(TableName="redial-dev")["Table"])


def test_a_first_run_creates_the_table_and_queue_and_lists_the_rest() -> None:
    assert run() == [
        ("created", "the table redial-dev"),
        ("already so", "encryption of redial-dev with a key of KMS"),
        ("already so", "deletion protection of redial-dev"),
        ("changed", "expiry of items by expires_at"),
        ("changed", "point-in-time recovery of redial-dev"),
        ("created", "the queue redial-dev-dead-letters"),
        ("waiting", "the Lambda redial-dev is not deployed yet"),
        ("waiting", "the Lambda redial-dev-redial is not deployed yet"),
        ("waiting", "the Lambda redial-dev-sweep is not deployed yet"),
    ]


def test_the_table_has_all_protections_and_its_index() -> None:
    run()
    dynamodb, made = client("dynamodb"), table()
    assert made["TableStatus"] == "ACTIVE"
    assert [index["IndexName"] for index in made["GlobalSecondaryIndexes"]] == ["due", "history"]
    assert (made["SSEDescription"]["Status"], made["DeletionProtectionEnabled"]) == ("ENABLED", True)
    ttl = dynamodb.describe_time_to_live(TableName="redial-dev")["TimeToLiveDescription"]
    assert ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}
    backups = dynamodb.describe_continuous_backups(TableName="redial-dev")["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"


def test_the_dead_letters_are_kept_for_two_weeks_and_encrypted() -> None:
    run()
    sqs = client("sqs")
    url = sqs.get_queue_url(QueueName="redial-dev-dead-letters")["QueueUrl"]
    has = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (has["MessageRetentionPeriod"], has["SqsManagedSseEnabled"]) == ("1209600", "true")


def test_after_the_deployment_it_lets_every_wake_in_by_one_statement() -> None:
    deploy()
    run()
    (statement,) = statements("redial-dev-redial")
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Condition"] == {
        "ArnLike": {"AWS:SourceArn": f"arn:aws:events:{REGION}:123456789012:rule/redial-dev-wake-*"}
    }


def test_what_redial_and_sweep_fail_on_goes_to_the_dead_letters() -> None:
    deploy()
    run()
    functions = client("lambda")
    configured = functions.list_functions()["Functions"]
    destinations = {
        each["FunctionName"]: functions.list_function_event_invoke_configs(FunctionName=each["FunctionName"])
        for each in configured
    }
    assert {
        name: [config["DestinationConfig"]["OnFailure"]["Destination"] for config in each["FunctionEventInvokeConfigs"]]
        for name, each in destinations.items()
    } == {"redial-dev": [], "redial-dev-redial": [QUEUE_ARN], "redial-dev-sweep": [QUEUE_ARN]}


def test_logs_of_every_lambda_expire_and_a_custom_retention_stays() -> None:
    deploy()
    logs = client("logs")
    logs.create_log_group(logGroupName="/aws/lambda/redial-dev-sweep")
    logs.put_retention_policy(logGroupName="/aws/lambda/redial-dev-sweep", retentionInDays=365)
    run()
    groups = {each["logGroupName"]: each["retentionInDays"] for each in logs.describe_log_groups()["logGroups"]}
    assert groups == {
        "/aws/lambda/redial-dev": 30,
        "/aws/lambda/redial-dev-redial": 30,
        "/aws/lambda/redial-dev-sweep": 365,
    }


def test_the_schedulers_role_may_invoke_redial_before_a_deployment() -> None:
    said = run(wake_backend="scheduler")
    iam = client("iam")
    role = iam.get_role(RoleName="redial-dev-scheduler")["Role"]
    may = iam.get_role_policy(RoleName="redial-dev-scheduler", PolicyName="InvokeRedial")["PolicyDocument"]
    assert (role["AssumeRolePolicyDocument"], may) == (
        scheduler_trust("123456789012"),
        scheduler_policy(arn("redial-dev-redial")),
    )
    assert (
        "note",
        f"set SCHEDULER_ROLE_ARN={role['Arn']} and WAKE_BACKEND=scheduler in .chalice/config.json",
    ) in said


@pytest.mark.parametrize("backend", ["rule", "scheduler"])
def test_a_second_run_changes_nothing(backend: str) -> None:
    deploy()
    run(wake_backend=backend)
    assert {word for word, _ in run(wake_backend=backend)} - {"note"} == {"already so"}


def test_provision_repairs_what_was_turned_off_and_keeps_the_rest() -> None:
    deploy()
    run(wake_backend="scheduler")
    dynamodb, functions, iam = client("dynamodb"), client("lambda"), client("iam")
    sqs = client("sqs")
    url = sqs.get_queue_url(QueueName="redial-dev-dead-letters")["QueueUrl"]
    dynamodb.update_table(TableName="redial-dev", DeletionProtectionEnabled=False)
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"MessageRetentionPeriod": "60"})
    functions.remove_permission(FunctionName="redial-dev-redial", StatementId="wakes")
    functions.delete_function_event_invoke_config(FunctionName="redial-dev-sweep")
    iam.update_assume_role_policy(
        RoleName="redial-dev-scheduler",
        PolicyDocument=json.dumps(scheduler_trust("123456789012")).replace("scheduler.", "events."),
    )
    assert changed(run(wake_backend="scheduler")) == [
        "deletion protection of redial-dev",
        "MessageRetentionPeriod 1209600 of redial-dev-dead-letters",
        "the role redial-dev-scheduler, for EventBridge Scheduler",
        "permission for rule/redial-dev-wake-* to invoke redial-dev-redial",
        "failed events of redial-dev-sweep to redial-dev-dead-letters",
    ]
    assert changed(run(wake_backend="scheduler")) == []


def test_a_permission_of_its_name_that_says_something_else_is_replaced() -> None:
    deploy()
    client("lambda").add_permission(
        FunctionName="redial-dev-redial",
        StatementId="wakes",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=f"arn:aws:events:{REGION}:123456789012:rule/redial-dev-wake-202601261030",
    )
    run()
    (statement,) = statements("redial-dev-redial")
    assert statement["Condition"]["ArnLike"]["AWS:SourceArn"].endswith("rule/redial-dev-wake-*")


def test_other_settings_of_failed_events_stay_as_they_are() -> None:
    deploy()
    functions = client("lambda")
    functions.put_function_event_invoke_config(FunctionName="redial-dev-redial", MaximumRetryAttempts=1)
    run()
    config = functions.get_function_event_invoke_config(FunctionName="redial-dev-redial")
    assert (config["MaximumRetryAttempts"], config["DestinationConfig"]["OnFailure"]) == (1, {"Destination": QUEUE_ARN})


def test_an_index_that_lacks_is_made() -> None:
    definition = table_definition("redial-dev")
    history = definition["GlobalSecondaryIndexes"].pop()
    definition["AttributeDefinitions"] = definition["AttributeDefinitions"][:4]
    client("dynamodb").create_table(**definition)
    assert "the index history of redial-dev" in changed(run())
    made = table()["GlobalSecondaryIndexes"][1]
    assert (made["IndexName"], made["KeySchema"]) == ("history", history["KeySchema"])


def test_a_table_of_another_shape_is_left_alone_and_reported() -> None:
    client("dynamodb").create_table(
        TableName="redial-dev",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    with pytest.raises(RedialError, match=r"its key is id HASH and must be pk HASH, sk RANGE.*use another stage"):
        run()
    assert "DeletionProtectionEnabled" not in table() or not table()["DeletionProtectionEnabled"]


def test_a_table_that_expires_by_something_else_is_not_changed() -> None:
    dynamodb = client("dynamodb")
    dynamodb.create_table(**table_definition("redial-dev"))
    dynamodb.update_time_to_live(
        TableName="redial-dev", TimeToLiveSpecification={"AttributeName": "ttl", "Enabled": True}
    )
    with pytest.raises(RedialError, match="expires items by 'ttl' and must by 'expires_at'"):
        run()


@pytest.mark.parametrize("is_deployed", [False, True])
def test_a_dry_run_changes_nothing_and_says_what_it_would_do(is_deployed: bool) -> None:
    if is_deployed:
        deploy()
    said = run(dry_run=True, wake_backend="scheduler")
    assert {word for word, _ in said} <= {"would create", "would change", "waiting", "note"}
    assert said[:2] == [("would create", "the table redial-dev"), ("would create", "the queue redial-dev-dead-letters")]
    assert client("dynamodb").list_tables()["TableNames"] == []
    assert "QueueUrls" not in client("sqs").list_queues()
    assert [each["RoleName"] for each in client("iam").list_roles()["Roles"]] == ["lambda"] * is_deployed
    assert client("logs").describe_log_groups()["logGroups"] == []


def test_the_command_says_what_comes_next(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["provision", "--stage", "dev"]) == 0
    assert "next: python -m ops deploy --stage dev, then python -m ops provision" in capsys.readouterr().out
    deploy()
    assert main(["provision", "--stage", "dev"]) == 0
    assert "next: python -m ops doctor --stage dev" in capsys.readouterr().out
    assert main(["provision", "--stage", "dev"]) == 0
    assert "nothing to do\n" in capsys.readouterr().out


def test_the_command_says_which_stack_the_stage_is_of(capsys: pytest.CaptureFixture[str]) -> None:
    deploy()
    client("lambda").tag_resource(Resource=arn("redial-dev"), Tags={"aws:cloudformation:stack-name": "calls"})
    assert main(["provision", "--stage", "dev"]) == 0
    assert "stage dev is of the stack calls: its settings come with an update of that" in capsys.readouterr().out


def test_an_error_of_aws_is_one_line_and_a_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert main(["provision", "--stage", "dev"]) == 1
    assert capsys.readouterr().err.startswith("error: provisioning stage 'dev' stopped: Could not connect")


def test_without_credentials_it_says_which_to_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    boto3.DEFAULT_SESSION = None
    assert main(["provision", "--stage", "dev"]) == 1
    assert "Unable to locate credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID" in capsys.readouterr().err


def test_without_a_region_it_says_which_to_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    boto3.DEFAULT_SESSION = None
    assert main(["provision", "--stage", "dev"]) == 1
    assert "no AWS region is set: set AWS_DEFAULT_REGION" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("AccessDeniedException", "your credentials need the permission for CreateTable"),
        ("ExpiredTokenException", "AWS does not take these credentials: sign in again"),
    ],
)
def test_a_refusal_of_aws_says_what_is_needed(code: str, advice: str) -> None:
    error = ClientError({"Error": {"Code": code, "Message": "no"}}, "CreateTable")
    assert advice in asking.in_words(error)


def test_every_lambda_of_the_app_is_provisioned() -> None:
    deploy()
    assert not any(word == "waiting" for word, _ in run())
    assert {each.name("dev") for each in LAMBDAS} == {"redial-dev", "redial-dev-redial", "redial-dev-sweep"}


def _reserved(function: str) -> int | None:
    has = client("lambda").get_function_concurrency(FunctionName=function)
    number: int | None = has.get("ReservedConcurrentExecutions")
    return number


def test_redial_and_sweep_have_concurrency_of_their_own() -> None:
    deploy()
    assert "20 invocations reserved for redial-dev-redial" in changed(run())
    assert [_reserved(name) for name in ("redial-dev", "redial-dev-redial", "redial-dev-sweep")] == [None, 20, 2]


def test_a_disabled_lambda_stays_disabled() -> None:
    deploy()
    client("lambda").put_function_concurrency(FunctionName="redial-dev-redial", ReservedConcurrentExecutions=0)
    assert ("note", "redial-dev-redial is disabled: its reserved concurrency is 0, and is left so") in run()
    assert _reserved("redial-dev-redial") == 0


def test_an_account_too_small_to_reserve_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    deploy()
    refusal = {"Error": {"Code": "InvalidParameterValueException", "Message": "below its minimum value of [10]"}}

    def refuse(**_: Any) -> None:
        raise ClientError(refusal, "PutFunctionConcurrency")  # type: ignore[arg-type]

    monkeypatch.setattr(client("lambda"), "put_function_concurrency", refuse)
    said = [what for word, what in run() if word == "note"]
    assert any(what.startswith("nothing is reserved for redial-dev-redial: raise the account's") for what in said)


def test_the_stage_of_the_api_is_throttled() -> None:
    deploy()
    api_id = an_api()
    assert changed(run())[-1] == "at most 500 requests a second to the API, 1000 at once"
    settings = client("apigateway").get_stage(restApiId=api_id, stageName="api")["methodSettings"]["*/*"]
    assert (settings["throttlingRateLimit"], settings["throttlingBurstLimit"]) == (500.0, 1000)
    assert changed(run()) == []


def test_a_table_is_warmed_with_its_indexes_and_not_cooled(monkeypatch: pytest.MonkeyPatch) -> None:
    run()
    dynamodb, asked = client("dynamodb"), []
    described = dynamodb.describe_table

    def warmed(**query: Any) -> Any:
        answer = described(**query)
        for change in asked:
            answer["Table"]["WarmThroughput"] = change["WarmThroughput"]
            for each, index in zip(answer["Table"]["GlobalSecondaryIndexes"], ("due", "history"), strict=True):
                (update,) = (
                    u["Update"] for u in change["GlobalSecondaryIndexUpdates"] if u["Update"]["IndexName"] == index
                )
                each["WarmThroughput"] = update["WarmThroughput"]
        return answer

    # moto accepts a warm throughput and does not store it.
    monkeypatch.setattr(dynamodb, "describe_table", warmed)
    monkeypatch.setattr(dynamodb, "update_table", lambda **change: asked.append(change))
    what = "warm throughput of redial-dev: 20000 writes a second"
    assert what in changed(run(warm_writes=20_000))
    (change,) = asked
    assert change["WarmThroughput"] == {"WriteUnitsPerSecond": 20_000, "ReadUnitsPerSecond": 20_000}
    in_index = {"WriteUnitsPerSecond": 5000, "ReadUnitsPerSecond": 20_000}
    assert [each["Update"]["WarmThroughput"] for each in change["GlobalSecondaryIndexUpdates"]] == [in_index] * 2
    assert ("already so", what) in run(warm_writes=20_000)
    assert ("already so", "warm throughput of redial-dev: 8000 writes a second") in run(warm_writes=8000)
    assert len(asked) == 1


OWN_ANSWERS = "API Gateway's own answers as problem+json, 404 where there is no route"


def test_a_path_without_a_route_is_404_as_problem_json() -> None:
    deploy()
    api_id, apis = an_api(), client("apigateway")
    before = apis.get_stage(restApiId=api_id, stageName="api")["deploymentId"]
    assert OWN_ANSWERS in changed(run())
    set_to = apis.get_gateway_response(restApiId=api_id, responseType="MISSING_AUTHENTICATION_TOKEN")
    assert set_to["statusCode"] == "404"
    assert set_to["responseParameters"]["gatewayresponse.header.Content-Type"] == "'application/problem+json'"
    stage = apis.get_stage(restApiId=api_id, stageName="api")
    assert stage["deploymentId"] != before
    assert stage["methodSettings"]["*/*"]["throttlingRateLimit"] == 500.0
    assert changed(run()) == []


def test_answers_that_chalice_replaced_or_never_deployed_are_set_again() -> None:
    deploy()
    api_id, apis = an_api(), client("apigateway")
    run()
    apis.delete_gateway_response(restApiId=api_id, responseType="DEFAULT_4XX")
    assert OWN_ANSWERS in changed(run())
    apis.create_deployment(restApiId=api_id, stageName="api")
    assert OWN_ANSWERS in changed(run())
    assert changed(run()) == []


def test_a_dry_run_sets_no_answer_of_api_gateway() -> None:
    deploy()
    api_id = an_api()
    assert ("would change", OWN_ANSWERS) in run(dry_run=True)
    assert client("apigateway").get_gateway_responses(restApiId=api_id)["items"] == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("REDIAL_RESERVED_CONCURRENCY", "many"), ("SWEEP_RESERVED_CONCURRENCY", "-1"), ("API_REQUESTS_PER_SECOND", "0")],
)
def test_a_wrong_capacity_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setattr("ops.deploying.chalice_config.environment", lambda stage: {name: value})
    deploy()
    an_api()
    with pytest.raises(RedialError, match=f"{name} is '{value}'; it must be a whole number from"):
        run()
