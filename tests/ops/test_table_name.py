"""One name of the table: `.chalice/config.json` sets it, all commands use it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient

from ops.__main__ import main
from ops.data.table import table_definition, table_name
from ops.deploying import chalice_config, policies
from ops.deploying.operations import template_parts
from ops.deploying.policies import policy
from ops.deploying.template import merge_template
from ops.names import LAMBDAS
from tests.support.world import World

OTHER = "redial-dev-restored"
#: the arguments of each command that uses DynamoDB
COMMANDS = (
    ["adoptions", "--workspace", "acme"],
    ["keys", "create", "--workspace", "acme"],
    ["keys", "list", "--workspace", "acme"],
    ["migrate"],
    ["opt-outs", "import", "numbers.csv", "--workspace", "acme"],
    ["pause", "--workspace", "acme", "--reason", "test"],
    ["provision"],
    ["resume", "--workspace", "acme"],
    ["start"],
    ["stop"],
    ["workspaces", "list"],
    ["workspaces", "set", "--workspace", "acme", "--daily-dials", "5"],
    ["workspaces", "show", "--workspace", "acme"],
)


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that sets the table's name of stage dev in the configuration."""
    document = chalice_config.read()

    def named(table: str) -> None:
        document["stages"]["dev"]["environment_variables"]["TABLE_NAME"] = table
        monkeypatch.setattr(chalice_config, "read", lambda: document)

    return named


def test_a_stage_without_a_name_of_its_own_has_the_default_one() -> None:
    assert (table_name("dev"), table_name("of-nobody")) == ("redial-dev", "redial-of-nobody")


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_every_command_asks_the_configured_table_and_no_other(
    world: World,
    config: Callable[[str], None],
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("numbers.csv").write_text("+16505550199\n")
    world.dynamodb.create_table(**table_definition(OTHER))
    config(OTHER)
    asked: set[str] = set()

    call = BaseClient._make_api_call

    def noting(asking: Any, operation: str, arguments: Any) -> Any:
        if asking.meta.service_model.service_name == "dynamodb":
            asked.update(table for table in ("redial-dev", OTHER) if json.dumps(table) in json.dumps(arguments))
        return call(asking, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", noting)
    assert main(arguments) == 0
    assert asked == {OTHER}


def test_policies_allow_the_configured_table_and_the_stages_secrets(config: Callable[[str], None]) -> None:
    config(OTHER)
    for each in LAMBDAS:
        resources = {one["Sid"]: one["Resource"] for one in policy(each, "dev")["Statement"]}
        assert resources["Table"] == [f"arn:*:dynamodb:*:*:table/{OTHER}"]
        assert resources["Parameters"] == ["arn:*:ssm:*:*:parameter/redial-dev/*"]
        assert resources["Secrets"] == ["arn:*:secretsmanager:*:*:secret:redial-dev/*"]
    assert any(OTHER in text for path, text in policies.documents().items() if "-dev-" in path.name)


def test_alarms_and_dashboard_watch_the_configured_table(config: Callable[[str], None]) -> None:
    config(OTHER)
    text = json.dumps(template_parts("dev"))
    assert OTHER in text
    assert '"TableName", "Value": "redial-dev"' not in text


def test_a_template_declares_no_table_that_a_restore_made(config: Callable[[str], None]) -> None:
    own = merge_template("dev")["Resources"]
    config(OTHER)
    restored = merge_template("dev")["Resources"]
    assert own.keys() - restored.keys() == {"Table"}
    for each in LAMBDAS:
        assert restored[each.logical_id]["Properties"]["Environment"]["Variables"]["TABLE_NAME"] == OTHER
    assert '{"Ref": "Table"}' not in json.dumps(restored)
