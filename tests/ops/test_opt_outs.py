"""The bulk import of opt-outs."""

from pathlib import Path

import pytest

from chalicelib.domain.numbers import is_e164
from ops.__main__ import main
from ops.data.opt_outs import Line, read_list
from tests.api.test_numbers import WRONG
from tests.support.world import BODY, World


def run(file: Path) -> int:
    return main(["opt-outs", "import", str(file), "--workspace", "acme"])


def test_a_plain_list_and_one_with_a_header_are_read() -> None:
    assert list(read_list(["+16505550199\n", "\n", " +16505550123 ,moved\n"])) == [
        Line(1, "+16505550199", None),
        Line(3, "+16505550123", "moved"),
    ]
    assert list(read_list(["\ufeffName,Number,Reason\n", "Ada,+16505550199,asked\n"])) == [
        Line(2, "+16505550199", "asked")
    ]


def test_every_number_is_opted_out_and_its_calls_end(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # By the machine's clock the policies of these calls expired long ago.
    monkeypatch.setattr("ops.ports.SystemClock", lambda: world.clock)
    world.place()
    world.end("busy")
    file = tmp_path / "list.csv"
    file.write_text(f"number,reason\n{BODY['to_number']},registry\n+16505550123,\n")
    for ended in (1, 0):
        assert run(file) == 0
        assert f"2 numbers opted out of acme; {ended} pending calls ended" in capsys.readouterr().out
    answer = world.request("GET", f"/numbers/{BODY['to_number']}/opt-out")
    assert (answer.status_code, answer.json_body["reason"]) == (200, "registry")


# Blanks around a cell of a CSV file are not part of the number.
@pytest.mark.parametrize("number", [number for number in WRONG if not is_e164(number.strip())])
def test_a_list_takes_no_number_that_the_api_refuses(world: World, tmp_path: Path, number: str) -> None:
    file = tmp_path / "list.csv"
    file.write_text(f'number,reason\n"{number}",\n')
    before = world.items()
    assert run(file) == 1
    assert world.items() == before


def test_a_list_with_a_wrong_line_is_not_taken_over_at_all(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "list.csv"
    file.write_text("+16505550123\n6505550199\n")
    assert run(file) == 1
    said = capsys.readouterr().err
    assert "line 2: number '6505550199' is not an E.164 number" in said
    assert "1 of 2 lines are wrong; nothing was taken over" in said
    assert world.request("GET", "/numbers/+16505550123/opt-out").status_code == 404
