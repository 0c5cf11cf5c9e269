"""`make run`: one stack in a clone, and a line for each event of a call."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops.local import __main__ as run
from ops.local.call_events import CallEvents, shown
from ops.local.ministack import LocalError
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
    monkeypatch.setattr(run, "LocalStack", lambda step: LocalStack(directory=tmp_path, step=step))
    monkeypatch.setattr("signal.signal", lambda number, handler: None)
    with only_one(tmp_path):
        assert run.main() == 1
    assert capsys.readouterr().out.startswith("error: make run already runs in this clone")
    assert (tmp_path / "env").read_text() == "BASE_URL=x\n"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (EVENT, SHOWN),
        ('[redial-dev] {"level": "INFO", "event": "request", "time": "2026-11-26T14:04:14.837Z"}', None),
        (
            '[redial-dev-sweep] {"level": "WARNING", "event": "alarm-not-set", "time": "2026-11-26T14:04:14.837Z"}',
            "14:04:14 - alarm-not-set",
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
