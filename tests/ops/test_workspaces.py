"""The settings of a workspace, and ``python -m ops workspaces``."""

import pytest

from chalicelib.storage.workspaces import Workspace, WorkspaceStore
from ops.__main__ import main
from tests.support.world import TABLE, World


def run(*arguments: str) -> int:
    return main(["workspaces", *arguments])


def test_a_workspace_without_settings_has_the_defaults(world: World) -> None:
    store = WorkspaceStore(world.dynamodb, TABLE, world.clock.now)
    assert store.load("acme") == Workspace(
        "acme", retention_days=None, max_concurrent_calls=None, calls_per_second=None
    )


def test_a_process_goes_by_what_it_read_for_a_minute(world: World) -> None:
    store = WorkspaceStore(world.dynamodb, TABLE, world.clock.now)
    elsewhere = WorkspaceStore(world.dynamodb, TABLE, world.clock.now)
    store.put(Workspace("acme", 30, 10))
    assert store.load("acme") == Workspace("acme", 30, 10)
    elsewhere.put(Workspace("acme", 60, None))
    world.clock.turn(seconds=59)
    assert store.load("acme") == Workspace("acme", 30, 10)
    world.aws.calls.clear()
    world.clock.turn(seconds=1)
    assert [store.load("acme"), store.load("acme")] == [Workspace("acme", 60, None)] * 2
    assert world.aws.calls == ["GetItem"]


def test_a_workspace_is_set_shown_and_listed_by_command(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("set", "--workspace", "acme", "--retention-days", "90") == 0
    assert run("set", "--workspace", "acme", "--max-concurrent-calls", "20") == 0
    assert run("set", "--workspace", "beta", "--max-concurrent-calls", "5") == 0
    assert run("set", "--workspace", "beta", "--max-concurrent-calls", "default") == 0
    assert run("set", "--workspace", "beta", "--calls-per-second", "0.5") == 0
    capsys.readouterr()
    assert run("list") == 0
    assert capsys.readouterr().out.splitlines() == [
        "acme: calls kept for 90 days, at most 20 at once, the default rate",
        "beta: calls kept for the default time, the default number at once, 0.5 a second",
    ]
    assert run("show", "--workspace", "acme") == 0
    assert capsys.readouterr().out == "acme: calls kept for 90 days, at most 20 at once, the default rate\n"


@pytest.mark.parametrize(("option", "value"), [("--retention-days", "0"), ("--max-concurrent-calls", "many")])
def test_a_wrong_value_is_named(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("set", "--workspace", "acme", option, value)
    assert f"{value!r} is neither 'default' nor a whole number from 1 to" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["0", "fast", "1001", "nan"])
def test_a_wrong_rate_limit_is_named(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("set", "--workspace", "acme", "--calls-per-second", value)
    assert f"{value!r} is not 'default', and it must be a number from 0.0167" in capsys.readouterr().err
