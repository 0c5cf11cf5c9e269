"""The command `make run`: one stack in a clone, a line for each event of a call."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ops.local import __main__ as run
from ops.local.call_events import CallEvents, shown
from ops.local.kept import Kept, forget, read_kept
from ops.local.kept_items import read, written
from ops.local.ministack import LocalError, wait_for_port
from ops.local.single import only_one
from ops.local.stack import LocalStack

EVENT = (
    '[redial-dev] {"time": "2026-11-26T14:04:14.837Z", "level": "INFO", "event": "callback", "call": "call_x",'
    ' "attempt": 1, "status": "busy", "effect": "decided", "reason": "retry"}'
)
SHOWN = "14:04:14 call_x callback attempt=1 status=busy effect=decided reason=retry"


def test_a_second_start_in_one_clone_is_refused(tmp_path: Path) -> None:
    with only_one(tmp_path / ".local"):
        refused = pytest.raises(LocalError, match=rf"already runs in this clone \(process {os.getpid()}\)")
        with refused, only_one(tmp_path / ".local"):
            pass
        with only_one(tmp_path / "another"):
            pass
    with only_one(tmp_path / ".local"):
        pass


def test_a_killed_stack_does_not_refuse_the_next_one(tmp_path: Path) -> None:
    held = "from pathlib import Path; from ops.local.single import only_one; import os, signal\n"
    held += f"with only_one(Path({str(tmp_path)!r})): os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", held], cwd=Path(__file__).parents[2], check=False)
    assert (tmp_path / "lock").read_text() != str(os.getpid())
    with only_one(tmp_path):
        assert (tmp_path / "lock").read_text() == str(os.getpid())


def test_a_refused_start_is_one_line_and_touches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "env").write_text("BASE_URL=x\n")
    kept = read_kept(tmp_path)
    kept.api_key = "rdl_x"
    kept.save()
    monkeypatch.setattr("signal.signal", lambda number, handler: None)
    with only_one(tmp_path):
        assert run.main(["--fresh", "--directory", str(tmp_path)]) == 1
    assert capsys.readouterr().out.startswith("error: make run already runs in this clone")
    assert (tmp_path / "env").read_text() == "BASE_URL=x\n"
    assert read_kept(tmp_path).api_key == "rdl_x"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (EVENT, SHOWN),
        ('[redial-dev] {"level": "INFO", "event": "request", "time": "2026-11-26T14:04:14.837Z"}', None),
        (
            '[redial-dev-sweep] {"level": "WARNING", "event": "wake-not-set", "time": "2026-11-26T14:04:14.837Z"}',
            "14:04:14 - wake-not-set",
        ),
        ("[redial-dev] START RequestId: 1", None),
        ('[redial-dev] ["call"]', None),
        ("", None),
    ],
)
def test_events_of_calls_and_warnings_are_shown(line: str, told: str | None) -> None:
    assert shown(line) == told


def test_each_event_is_shown_once_and_when_its_line_is_whole(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(f"ministack is up\n{EVENT}\n{EVENT[:40]}")
    events = CallEvents(log)
    assert list(events.lines()) == [SHOWN]
    assert list(events.lines()) == []
    with log.open("a") as more:
        more.write(f"{EVENT[40:]}\n")
    assert list(events.lines()) == [SHOWN]


def test_the_summary_names_the_docs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stack = LocalStack(directory=tmp_path)
    stack.env = {"BASE_URL": "http://127.0.0.1:1/api"}
    run.summarise(stack, 1.0)
    assert "http://127.0.0.1:1/api/docs" in capsys.readouterr().out


def test_each_value_of_the_summary_stands_apart_from_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = LocalStack(directory=tmp_path)
    stack.env = {"BASE_URL": "http://127.0.0.1:1/api", "TWILIO_ACCOUNT_SID": "ACx", "A" * 40: "y"}
    run.summarise(stack, 1.0)
    lines = {tuple(line.split()) for line in capsys.readouterr().out.splitlines()}
    assert {("TWILIO_ACCOUNT_SID", "ACx"), ("A" * 40, "y")} <= lines


def test_only_the_owner_may_read_what_holds_a_key(tmp_path: Path) -> None:
    stack = LocalStack(directory=tmp_path)
    stack.env = {"API_KEY": "rdl_x"}
    stack._write_env()
    read_kept(tmp_path).save()
    read(tmp_path / "kept" / "items.jsonl")
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.rglob("*")}
    assert modes == {"env": "0o600", "kept": "0o700", "stack.json": "0o600", "items.jsonl": "0o600"}


def test_the_next_stack_reuses_the_key_and_ports_until_they_are_reset(tmp_path: Path) -> None:
    kept = Kept(read_kept(tmp_path).directory, 1, 2, "rdl_x", {"TWILIO_ACCOUNT_SID": "ACx"})
    kept.save()
    assert read_kept(tmp_path) == kept
    forget(tmp_path)
    assert read_kept(tmp_path) == Kept(tmp_path / "kept")


@pytest.mark.parametrize("text", ["{", "[]", '{"port": 1}'])
def test_kept_values_that_cannot_be_read_say_how_to_begin_without_them(tmp_path: Path, text: str) -> None:
    (read_kept(tmp_path).directory / "stack.json").write_text(text)
    with pytest.raises(LocalError, match="cannot be read: make run FRESH=1 begins without it"):
        read_kept(tmp_path)


def test_a_kept_port_that_is_in_use_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.local.ministack.STOP_SECONDS", 0)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(LocalError, match=rf"port {port}, .* is taken: .* make run FRESH=1"):
            wait_for_port(port)
    wait_for_port(port)


KEY = {"pk": {"S": "CALL#x"}, "sk": {"S": "CALL"}}


def test_an_incomplete_last_line_is_ignored_when_items_are_read(tmp_path: Path) -> None:
    def line(number: int, item: dict[str, Any] | None) -> str:
        return json.dumps(["t", KEY | {"sk": {"S": str(number)}}, item]) + "\n"

    path = tmp_path / "items.jsonl"
    path.write_text(line(1, {"n": 1}) + line(2, {"n": 2}) + line(1, {"n": 3}) + line(2, None) + line(1, {"n": 4})[:-9])
    assert list(read(path).values()) == [{"n": 3}]
    assert path.read_text() == line(1, {"n": 3})


@pytest.mark.parametrize(
    ("action", "request_", "keys"),
    [
        ("PutItem", {"TableName": "t", "Item": KEY | {"data": {"S": "{}"}}}, [KEY]),
        ("UpdateItem", {"TableName": "t", "Key": KEY}, [KEY]),
        ("DeleteItem", {"TableName": "t", "Key": KEY}, [KEY]),
        ("GetItem", {"TableName": "t", "Key": KEY}, []),
        (
            "TransactWriteItems",
            {
                "TransactItems": [
                    {"ConditionCheck": {"TableName": "t", "Key": KEY}},
                    {"Put": {"TableName": "t", "Item": KEY | {"data": {"S": "{}"}}}},
                    {"Delete": {"TableName": "t", "Key": KEY}},
                ]
            },
            [KEY, KEY],
        ),
    ],
)
def test_every_write_names_the_items_to_keep(action: str, request_: dict[str, Any], keys: list[Any]) -> None:
    assert list(written(action, json.dumps(request_).encode())) == [("t", key) for key in keys]
