"""The restore runbook with two tables: nobody is called a second time."""

import copy
import json
import re
import shlex
import shutil
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import moto.backends
import pytest

from chalicelib.runtime import services as parts
from chalicelib.storage import items
from chalicelib.storage.keys import KeyStore
from ops.__main__ import main
from ops.data.keys import create_key
from ops.data.table import table_name
from ops.deploying import chalice_config, policies
from tests.support.crashes import Crash, fault_at
from tests.support.world import START, TABLE, World, new_client

ROOT = Path(__file__).parents[2]
RESTORED = "redial-dev-restored"
POINT = START + timedelta(minutes=10)
AT = ["--at", f"{POINT:%Y-%m-%dT%H:%M:%SZ}"]
FROM = ["restore", "--stage", "dev", "--from", RESTORED]
DUE = START + timedelta(minutes=20)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy .chalice, so that a switch may write to the copy."""
    copy = tmp_path / ".chalice"
    shutil.copytree(chalice_config.CHALICE, copy)
    for function in (chalice_config.read, chalice_config.write):
        monkeypatch.setattr(function, "__defaults__", (copy / "config.json",))
    monkeypatch.setattr(policies, "CHALICE", copy)
    return copy / "config.json"


@pytest.fixture
def runbook(world: World, config: Path, monkeypatch: pytest.MonkeyPatch) -> "Runbook":
    monkeypatch.setattr("ops.ports.build", lambda env, *_: parts.build(env, world.clock, None, world.twilio))
    return Runbook(world, monkeypatch)


class Runbook:
    """The steps of docs/operating.md, and a story that needs them."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.monkeypatch = monkeypatch
        self.calls: dict[str, dict[str, Any]] = {}
        self.numbers: dict[str, str] = {}

    def place(self, name: str, **changes: Any) -> dict[str, Any]:
        self.numbers[name] = f"+1650555{1000 + len(self.numbers)}"
        call = self.world.place(**{"to_number": self.numbers[name], "start_at": f"{DUE:%Y-%m-%dT%H:%M:%SZ}", **changes})
        self.calls[name] = call
        return call

    def end(self, name: str, status: str) -> None:
        placed = [each for each in self.world.twilio.placed if each.form["To"] == self.numbers[name]]
        assert self.world.callback(placed[-1], status, SequenceNumber="3").status_code == 200

    def restore_table(self) -> None:
        """Do what point-in-time recovery does: copy the current table to another name."""
        self.world.clock.turn(to=POINT)
        self.world.dynamodb.restore_table_to_point_in_time(SourceTableName=TABLE, TargetTableName=RESTORED)

    def deploy(self) -> None:
        """Do what both ways to deploy do: start processes with the configured table."""
        self.monkeypatch.setenv("TABLE_NAME", table_name("dev"))
        self.world.client = new_client().__enter__()
        self.world.restart()

    def dialled(self) -> Counter[str]:
        """Count how often each phone rang."""
        names = {number: name for name, number in self.numbers.items()}
        return Counter(names[each.form["To"]] for each in self.world.twilio.placed)

    def walk(self, *more: str) -> None:
        """Run the documented commands as written.

        ``more`` is added to each restore before the switch.
        """
        for command in documented():
            words = shlex.split(command)
            if words[3] == "stop" and "--without-old" in more:
                continue
            if words[3] == "deploy":
                self.deploy()
            elif words[:3] == ["python", "-m", "ops"]:
                before = more if words[3] == "restore" and "--finish" not in words else ()
                assert main([*words[3:], *before]) == 0, command
            else:
                # The restore point is in the past by now, so the table was restored then.
                assert words[:3] == ["aws", "dynamodb", "restore-table-to-point-in-time"], command

    def sweep_on(self, minutes: int = 8) -> None:
        for _ in range(minutes):
            self.world.sweep()
            self.world.pump(self.world.clock.now() + timedelta(minutes=1))

    def item(self, table: str, pk: str, sk: str) -> Any:
        return self.world.dynamodb.get_item(TableName=table, Key=items.key(pk, sk)).get("Item")

    def kept(self) -> list[Any]:
        """Return the contents of the two tables, to put them back later."""
        return [copy.deepcopy(self._backend.tables[name].items) for name in (TABLE, RESTORED)]

    def put_back(self, kept: list[Any]) -> None:
        for name, found in zip((TABLE, RESTORED), kept, strict=True):
            self._backend.tables[name].items = copy.deepcopy(found)

    def plain(self) -> dict[tuple[str, str, str], Any]:
        """Return the contents of the two tables by table and key."""
        pages = ((name, self.world.dynamodb.scan(TableName=name)["Items"]) for name in (TABLE, RESTORED))
        return {(name, each["pk"]["S"], each["sk"]["S"]): each for name, found in pages for each in found}

    @property
    def _backend(self) -> Any:
        return moto.backends.get_backend("dynamodb")["123456789012"]["us-east-1"]

    def texts(self, table: str) -> str:
        return json.dumps(self.world.dynamodb.scan(TableName=table)["Items"])


def documented() -> list[str]:
    """Return the commands of docs/operating.md, Restoring, for stage dev."""
    section = (ROOT / "docs/operating.md").read_text().split("## Restoring")[1]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block is not None
    lines = block[1].replace("\\\n", "").splitlines()
    named = dict(line.split("=") for line in lines if re.match(r"[A-Z]+=", line))
    assert named == {"STAGE": "prod", "RESTORED": "redial-$STAGE-restored"}
    commands = [line.replace("$RESTORED", named["RESTORED"]).replace("$STAGE", "dev") for line in lines]
    return [command for command in commands if not re.match(r"[A-Z]+=", command)]


def after_the_point(runbook: Runbook) -> None:
    """Let calls happen after the restore point.

    They are dialled, reached, missed, canceled, opted out, erased and placed.
    """
    world = runbook.world
    runbook.place("placed-since", start_at=f"{START + timedelta(hours=3):%Y-%m-%dT%H:%M:%SZ}")
    world.pump(DUE + timedelta(minutes=2))
    for name in runbook.calls.keys() & NAMES:
        runbook.end(name, {"reached": "completed", "missed": "no-answer"}.get(name, "busy"))
    for name, method, path in (
        ("canceled", "POST", "/calls/{call}/cancel"),
        ("opted-out", "PUT", "/numbers/{number}/opt-out"),
        ("erased", "DELETE", "/numbers/{number}"),
    ):
        if name in runbook.calls:
            path = path.format(call=runbook.calls[name]["id"], number=runbook.numbers[name])
            assert world.request(method, path, {} if method == "PUT" else None).status_code == 200
    world.clock.turn(minutes=10)


#: calls that were dialled once after the restore point
NAMES = ("reached", "missed", "canceled", "opted-out", "erased", "lost-and-dialled")


def test_the_runbook_calls_nobody_a_second_time(runbook: Runbook, capsys: pytest.CaptureFixture[str]) -> None:
    world = runbook.world
    for name in NAMES:
        runbook.place(name)
    for name in ("untouched", "lost"):
        runbook.place(name, start_at=f"{START + timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}")
    revoked = create_key(world.dynamodb, TABLE, workspace="acme", role="write", now=world.clock.now())
    runbook.restore_table()
    after_the_point(runbook)
    KeyStore(world.dynamodb, TABLE).revoke(KeyStore(world.dynamodb, TABLE).find(revoked))  # type: ignore[arg-type]
    for name in ("lost", "lost-and-dialled"):
        call = items.call_key(runbook.calls[name]["id"])
        world.dynamodb.delete_item(TableName=TABLE, Key=call)
    assert runbook.dialled() == dict.fromkeys(NAMES, 1)

    runbook.walk()
    out = capsys.readouterr().out
    assert "1  ended, dialled since" in out
    runbook.sweep_on()
    world.pump(START + timedelta(hours=4))
    # The planned redial, the calls that had not been dialled, and no other call
    assert runbook.dialled() == Counter([*NAMES, "missed", "untouched", "lost", "placed-since"])
    states = {name: world.call(call["id"]).get("summary_status") for name, call in runbook.calls.items()}
    assert {name: states[name] for name in NAMES} == {
        "reached": "completed",
        "missed": None,
        "canceled": "canceled",
        "opted-out": "blocked",
        "erased": "canceled",
        "lost-and-dialled": "canceled",
    }
    assert world.request("GET", "/calls", key=revoked).status_code == 401
    assert runbook.numbers["erased"] not in runbook.texts(RESTORED)
    assert world.place(to_number=runbook.numbers["opted-out"])["summary_status"] == "blocked"
    assert world.place(to_number=runbook.numbers["erased"])["summary_status"] == "blocked"


def test_items_written_between_switch_and_deployment_are_copied(runbook: Runbook) -> None:
    world = runbook.world
    for name in ("canceled", "opted-out"):
        runbook.place(name)
    runbook.restore_table()
    assert main([*FROM, *AT, "--switch"]) == 0
    # The old Lambdas still run on the old table: they take requests, and dial no call.
    late = runbook.place("late")
    world.request("POST", f"/calls/{runbook.calls['canceled']['id']}/cancel")
    world.request("PUT", f"/numbers/{runbook.numbers['opted-out']}/opt-out", {})
    world.pump(DUE + timedelta(minutes=2))
    runbook.deploy()
    assert main(["start", "--stage", "dev"]) == 1
    assert main([*FROM, "--finish"]) == 0
    assert main(["start", "--stage", "dev"]) == 0
    runbook.sweep_on()
    assert runbook.dialled() == {"late": 1}
    assert world.call(late["id"])["state"] == "dialing"
    assert main([*FROM, "--finish"]) == 1


@pytest.mark.parametrize("every", [41, pytest.param(1, marks=pytest.mark.slow)])
def test_a_restore_that_is_killed_on_the_way_is_finished_by_the_next_run(
    runbook: Runbook, config: Path, every: int
) -> None:
    names = ("missed", "canceled", "erased")
    for name in names:
        runbook.place(name)
    runbook.restore_table()
    after_the_point(runbook)
    command = [*FROM, *AT, "--switch"]
    before, text = runbook.kept(), config.read_text()
    with fault_at(None, after=False, dies=True) as whole:
        assert main(command) == 0
    wanted = runbook.plain()
    for at in range(0, len(whole.seen), every):
        runbook.put_back(before)
        config.write_text(text)
        with suppress(Crash), fault_at(at, after=at % 2 == 0, dies=True):
            main(command)
        assert main(command) == 0
        found = runbook.plain()
        assert {key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key)} == set(), at
    assert len(whole.seen) > 40
    runbook.deploy()
    assert main([*FROM, "--finish"]) == 0
    assert main(["start", "--stage", "dev"]) == 0
    runbook.sweep_on()
    runbook.world.pump(START + timedelta(hours=4))
    assert runbook.dialled() == Counter([*names, "missed", "placed-since"])


def test_without_the_old_table_the_provider_says_what_was_dialled(runbook: Runbook) -> None:
    world = runbook.world
    for name in ("dialled", "missed-out"):
        runbook.place(name)
    runbook.place("later", start_at=f"{START + timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}")
    runbook.restore_table()
    world.pump(DUE + timedelta(minutes=2))
    # One of the two was never dialled, because the old table was lost first.
    world.twilio.placed = [each for each in world.twilio.placed if each.form["To"] == runbook.numbers["dialled"]]
    world.clock.turn(minutes=10)
    world.dynamodb.update_table(TableName=TABLE, DeletionProtectionEnabled=False)
    world.dynamodb.delete_table(TableName=TABLE)
    assert main([*FROM, *AT]) == 1
    runbook.walk("--without-old", *AT)
    runbook.sweep_on()
    assert runbook.dialled() == {"dialled": 1, "missed-out": 1}
    assert world.call(runbook.calls["dialled"]["id"])["summary_status"] == "canceled"
    steps = world.request("GET", f"/calls/{runbook.calls['dialled']['id']}/decisions").json_body["data"][-1]["steps"]
    assert steps == ["twilio lists a call to the number after the restore point"]


@pytest.mark.parametrize(("more", "state"), [([], "final"), (["--keep-unsure"], "scheduled")])
def test_a_call_of_unknown_state_ends_unless_it_is_kept(
    runbook: Runbook, monkeypatch: pytest.MonkeyPatch, more: list[str], state: str
) -> None:
    call = runbook.place("unsure")
    runbook.restore_table()
    runbook.world.clock.turn(to=DUE)
    monkeypatch.setattr("chalicelib.providers.twilio.Twilio.find", lambda *_: None)
    assert main([*FROM, *AT, "--without-old", "--switch", *more]) == 0
    runbook.deploy()
    assert runbook.world.call(call["id"])["state"] == state


def test_a_dry_run_changes_neither_table_nor_the_configuration(runbook: Runbook, config: Path) -> None:
    for name in ("reached", "erased"):
        runbook.place(name)
    runbook.restore_table()
    after_the_point(runbook)
    before = [runbook.texts(TABLE), runbook.texts(RESTORED), config.read_text()]
    assert main([*FROM, *AT, "--switch", "--dry-run"]) == 0
    assert [runbook.texts(TABLE), runbook.texts(RESTORED), config.read_text()] == before


def test_the_restored_table_gets_what_a_restore_drops(runbook: Runbook, config: Path) -> None:
    dynamodb = runbook.world.dynamodb
    arn = dynamodb.describe_table(TableName=TABLE)["Table"]["TableArn"]
    dynamodb.tag_resource(ResourceArn=arn, Tags=[{"Key": "team", "Value": "support"}])
    stream = {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}
    dynamodb.update_table(TableName=TABLE, StreamSpecification=stream)
    runbook.restore_table()
    assert main([*FROM, "--switch"]) == 0
    table = dynamodb.describe_table(TableName=RESTORED)["Table"]
    assert (table["DeletionProtectionEnabled"], table["StreamSpecification"]) == (True, stream)
    assert dynamodb.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"] == [
        {"Key": "team", "Value": "support"}
    ]
    ttl = dynamodb.describe_time_to_live(TableName=RESTORED)["TimeToLiveDescription"]
    assert (ttl["TimeToLiveStatus"], ttl["AttributeName"]) == ("ENABLED", "expires_at")
    backups = dynamodb.describe_continuous_backups(TableName=RESTORED)["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    assert json.loads(config.read_text())["stages"]["dev"]["environment_variables"]["TABLE_NAME"] == RESTORED
    assert "TABLE_NAME" not in json.loads(config.read_text())["stages"]["prod"]["environment_variables"]
    for each in ("api", "redial", "sweep"):
        assert f"table/{RESTORED}" in (config.parent / f"policy-dev-{each}.json").read_text()


TRACKING = {
    "PredefinedMetricSpecification": {"PredefinedMetricType": "DynamoDBWriteCapacityUtilization"},
    "TargetValue": 70.0,
}


def scale(table: str) -> None:
    """Let the write capacity of a table and of one index scale, as a user sets it."""
    scaling = parts.client("application-autoscaling")
    for resource, dimension in scaled(table):
        place = {"ServiceNamespace": "dynamodb", "ResourceId": resource, "ScalableDimension": dimension}
        scaling.register_scalable_target(**place, MinCapacity=5, MaxCapacity=400)
        scaling.put_scaling_policy(
            **place,
            PolicyName=f"of {resource}",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=TRACKING,
        )


def scaled(table: str) -> list[tuple[str, str]]:
    return [
        (f"table/{table}", "dynamodb:table:WriteCapacityUnits"),
        (f"table/{table}/index/due", "dynamodb:index:WriteCapacityUnits"),
    ]


def autoscaling(table: str) -> dict[tuple[str, str], tuple[int, int, list[Any]]]:
    """Return the capacities and scaling policies of a table and its indexes."""
    scaling = parts.client("application-autoscaling")
    targets = scaling.describe_scalable_targets(ServiceNamespace="dynamodb")["ScalableTargets"]
    kept = scaling.describe_scaling_policies(ServiceNamespace="dynamodb")["ScalingPolicies"]
    return {
        (each["ResourceId"], each["ScalableDimension"]): (
            each["MinCapacity"],
            each["MaxCapacity"],
            [
                policy["TargetTrackingScalingPolicyConfiguration"]
                for policy in kept
                if policy["ResourceId"] == each["ResourceId"]
            ],
        )
        for each in targets
        if each["ResourceId"].split("/")[1] == table
    }


def provision_capacity(runbook: Runbook, table: str) -> None:
    capacity = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
    indexes = [{"Update": {"IndexName": name, "ProvisionedThroughput": capacity}} for name in ("due", "history")]
    runbook.world.dynamodb.update_table(
        TableName=table,
        BillingMode="PROVISIONED",
        ProvisionedThroughput=capacity,
        GlobalSecondaryIndexUpdates=indexes,
    )


def test_the_restored_table_scales_as_the_old_one(runbook: Runbook) -> None:
    provision_capacity(runbook, TABLE)
    scale(TABLE)
    scale("redial-dev-other")
    runbook.restore_table()
    provision_capacity(runbook, RESTORED)
    assert main([*FROM, "--dry-run"]) == 0
    assert autoscaling(RESTORED) == {}
    assert main(FROM) == 0
    assert autoscaling(RESTORED) == dict.fromkeys(scaled(RESTORED), (5, 400, [TRACKING]))


def test_a_killed_restore_sets_the_scaling_policies_in_the_next_run(runbook: Runbook) -> None:
    provision_capacity(runbook, TABLE)
    scale(TABLE)
    runbook.restore_table()
    provision_capacity(runbook, RESTORED)
    scaling = parts.client("application-autoscaling")
    for resource, dimension in scaled(RESTORED):
        scaling.register_scalable_target(
            ServiceNamespace="dynamodb",
            ResourceId=resource,
            ScalableDimension=dimension,
            MinCapacity=5,
            MaxCapacity=400,
        )
    assert main(FROM) == 0
    assert autoscaling(RESTORED) == dict.fromkeys(scaled(RESTORED), (5, 400, [TRACKING]))


def test_a_table_that_was_restored_on_demand_does_not_scale(runbook: Runbook) -> None:
    provision_capacity(runbook, TABLE)
    scale(TABLE)
    runbook.restore_table()
    runbook.world.dynamodb.update_table(TableName=RESTORED, BillingMode="PAY_PER_REQUEST")
    assert main(FROM) == 0
    assert autoscaling(RESTORED) == {}


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--from", "redial-nowhere"], "there is no table redial-nowhere: restore it first"),
        (["--from", TABLE], "cannot be both the old table and the restored one"),
        (["--from", RESTORED, "--old", "redial-lost"], "there is no table redial-lost; name the old one with --old"),
        (["--from", RESTORED, "--finish"], "still has the table redial-dev: run this with --switch first"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_changed(
    runbook: Runbook, capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    runbook.restore_table()
    before = runbook.texts(TABLE)
    assert main(["restore", "--stage", "dev", *arguments]) == 1
    assert why in capsys.readouterr().err
    assert runbook.texts(TABLE) == before
