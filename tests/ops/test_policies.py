"""The Lambdas' IAM policies: files and table match, and allow only the own stage."""

import json
from pathlib import Path
from typing import Any

import pytest

from chalicelib.errors import RedialError
from ops.__main__ import main
from ops.deploying import chalice_config, policies
from ops.deploying.policies import documents, policy
from ops.names import API, LAMBDAS, REDIAL, SWEEP, Lambda

STAGES = ("dev", "prod")


def statements(stage: str, each: Lambda) -> dict[str, dict[str, Any]]:
    return {statement["Sid"]: statement for statement in policy(each, stage)["Statement"]}


def test_the_files_say_what_the_table_says() -> None:
    assert {path.name: path.read_text() for path in chalice_config.CHALICE.glob("policy-*.json")} == {
        path.name: text for path, text in documents().items()
    }


@pytest.mark.parametrize("stage", STAGES)
def test_every_lambda_has_a_policy_of_its_own(stage: str) -> None:
    assert chalice_config.read()["stages"][stage]["lambda_functions"] == {
        each.key: {"iam_policy_file": f"policy-{stage}-{each.policy}.json"} for each in LAMBDAS
    }


@pytest.mark.parametrize("each", LAMBDAS, ids=lambda each: each.key)
def test_the_policies_of_the_stages_differ_only_by_the_stages_name(each: Lambda) -> None:
    in_dev = json.dumps(policy(each, "dev"))
    assert json.loads(in_dev.replace("redial-dev", "redial-prod")) == policy(each, "prod")


@pytest.mark.parametrize("each", LAMBDAS, ids=lambda each: each.key)
def test_a_policy_reaches_only_the_stages_own_resources(each: Lambda) -> None:
    # IAM cannot narrow these two lists down to names.
    lists = {"FindStaleWakes": ["arn:*:events:*:*:rule/*"], "FindStaleSchedules": ["*"]} if each is SWEEP else {}
    others = {sid: one["Resource"] for sid, one in statements("dev", each).items() if sid not in lists}
    assert lists == {sid: statements("dev", each)[sid]["Resource"] for sid in lists}
    assert [arn for resources in others.values() for arn in resources if "redial-dev" not in arn] == []


def test_only_redial_and_the_sweep_may_remove_wakes() -> None:
    arm, disarm = ["events:PutRule", "events:PutTargets"], ["events:RemoveTargets", "events:DeleteRule"]
    assert {each: statements("dev", each)["Wakes"]["Action"] for each in LAMBDAS} == {
        API: arm,
        REDIAL: arm + disarm,
        SWEEP: arm + disarm,
    }


@pytest.mark.parametrize("each", LAMBDAS, ids=lambda each: each.key)
def test_no_lambda_may_change_the_table_itself(each: Lambda) -> None:
    items = {f"dynamodb:{action}" for action in (*policies.ITEMS, "BatchGetItem", "ConditionCheckItem")}
    actions = [action for one in statements("dev", each).values() for action in one["Action"]]
    assert {action for action in actions if action.startswith("dynamodb:")} <= items
    assert [action for action in actions if "*" in action] == []


def test_the_command_names_stale_files_and_rewrites_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(policies, "CHALICE", tmp_path)
    assert main(["policies"]) == 1
    assert capsys.readouterr().out.splitlines()[0] == "stale policy-dev-api.json"
    assert list(tmp_path.iterdir()) == []
    assert main(["policies", "--write"]) == 0
    assert len(list(tmp_path.iterdir())) == len(STAGES) * len(LAMBDAS)
    assert main(["policies"]) == 0
    assert "every policy file says" in capsys.readouterr().out


def test_own_statements_are_part_of_the_policies_and_not_stale(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(policies, "CHALICE", tmp_path)
    without = policy(REDIAL, "prod")
    own = {"Sid": "Tracing", "Effect": "Allow", "Action": ["xray:PutTraceSegments"], "Resource": ["*"]}
    (tmp_path / "own-statements.json").write_text(json.dumps({"redial": [own]}))
    main(["policies", "--write"])
    assert main(["policies"]) == 0
    written = json.loads((tmp_path / "policy-prod-redial.json").read_text())
    assert written == {**without, "Statement": [*without["Statement"], own]}
    assert own not in policy(SWEEP, "prod")["Statement"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not valid JSON"),
        ('{"handler": []}', "must be a JSON object whose keys are among api, redial, sweep"),
        ('{"redial": [{"Effect": "Allow"}]}', "redial must be a list of statements with Effect, Action and Resource"),
    ],
)
def test_a_wrong_file_of_own_statements_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, said: str
) -> None:
    monkeypatch.setattr(policies, "CHALICE", tmp_path)
    (tmp_path / "own-statements.json").write_text(text)
    with pytest.raises(RedialError, match=said):
        policy(REDIAL, "dev")
