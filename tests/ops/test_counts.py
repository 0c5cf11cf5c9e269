"""The committed counts are those of the code, and the docs have their bill."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ops import bench
from ops.benchmarks import costs, counts, page, stored, tables
from ops.benchmarks.cpu_time import CpuTime
from ops.benchmarks.events import LOADS, Counted, Kind, count
from ops.benchmarks.filling import Load
from ops.benchmarks.usage import Usage

RUNBOOK = (Path(__file__).parents[2] / "docs" / "operating.md").read_text()
BYTES = {1: {"CALL": 700, "together": 700}}


def check(counted: Sequence[Counted], bytes_of_a_call: dict[int, dict[str, int]] | None = None) -> None:
    """Compare counts with the committed ones."""
    now = counts.as_json(counted, bytes_of_a_call or {})
    changed = list(counts.differences(now, counts.committed()))
    assert changed == [], f"the counts have changed; to commit the new ones, run {counts.COMMAND}"


def test_each_event_uses_what_is_committed() -> None:
    counted = count()
    check([counted])
    assert costs.markdown(costs.of_a_million(counted), "a million redialled attempts") in RUNBOOK
    assert f"an attempt writes {counted.attempt.write_units:.0f} units" in RUNBOOK
    # Timings differ from machine to machine.
    assert 0 < counted.callback_cpu_ms < counted.dial_cpu_ms


@pytest.mark.slow
@pytest.mark.parametrize("load", LOADS[1:], ids=str)
def test_each_event_uses_what_is_committed_under_a_larger_load(load: Load) -> None:
    check([count(load)])


def test_a_call_keeps_the_bytes_that_are_committed() -> None:
    check([], stored.bytes_of_a_call())


def test_every_load_and_every_kind_of_event_is_committed() -> None:
    loads = {str(load) for load in LOADS}
    assert {kind: set(by_load) for kind, by_load in counts.committed()["events"].items()} == dict.fromkeys(Kind, loads)


@pytest.mark.parametrize(
    ("then", "line"),
    [
        ({"requests": {"GetItem": 2}, "write_units": 4}, "a: write_units was 4, is 5"),
        ({"requests": {"GetItem": 2, "Query": 1}, "write_units": 5}, "a: requests: Query was 1, is 0"),
        ({"requests": {}, "write_units": 5}, "a: requests: GetItem was None, is 2"),
        ({"requests": {"GetItem": 2}, "write_units": 5}, None),
    ],
)
def test_a_count_that_differs_is_named(then: dict[str, Any], line: str | None) -> None:
    now = {"a": {"requests": {"GetItem": 2}, "write_units": 5}}
    assert list(counts.differences(now, {"a": then})) == ([line] if line else [])


@pytest.mark.parametrize(
    ("other", "shown"),
    [
        (Usage({"GetItem": 2}, 5, 1), "flat"),
        (Usage({"GetItem": 2}, 5, 35), "+34 reads"),
        (Usage({"Query": 1}, 4.5, 1), "-1 requests, -0.5 writes"),
    ],
)
def test_the_growth_is_shown_as_the_difference_from_the_base(other: Usage, shown: str) -> None:
    assert tables.growth([Usage({"GetItem": 2}, 5, 1), other]) == shown


def test_excluded_time_is_subtracted_once() -> None:
    cpu = CpuTime()
    before = cpu.now_ms()
    with cpu.excluded(), cpu.excluded():
        sum(range(1_000_000))
    assert cpu.now_ms() - before < 1


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the benchmarks with results that are made up."""
    usage = Usage({"GetItem": 2}, 5, 1, 1000, 10)
    made_up = Counted(LOADS[0], dict.fromkeys(Kind, usage), 3)
    monkeypatch.setattr(bench, "_run", lambda _: bench.Results([made_up], BYTES, {"parse": 2.0}, {"floor": 300.0}))


@pytest.mark.usefixtures("results")
def test_the_bench_prints_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main([]) == 0
    printed = capsys.readouterr().out
    assert [kind for kind in Kind if kind not in printed] == []
    assert "a million redialled attempts" in printed


@pytest.mark.usefixtures("results")
def test_the_bench_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["events"]["place now"] == {
        "10 calls, 10 in flight": {"requests": {"GetItem": 2}, "write_units": 5, "read_units": 1}
    }
    assert (printed["stored_bytes"], printed["cold_start_ms"]) == ({"1 attempt": BYTES[1]}, {"floor": 300.0})


def test_the_page_about_costs_has_the_committed_counts() -> None:
    assert page.BEGIN + page.markdown(counts.committed()) + page.END in page.PATH.read_text()


def test_the_committed_counts_can_be_written_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(counts, "PATH", tmp_path / "counts.json")
    monkeypatch.setattr(page, "PATH", tmp_path / "costs.md")
    page.PATH.write_text(f"# Costs\n{page.BEGIN}old{page.END}\nmore\n")
    monkeypatch.setattr(counts, "count_all", lambda: [Counted(LOADS[0], dict.fromkeys(Kind, Usage()), 3)])
    monkeypatch.setattr(stored, "bytes_of_a_call", lambda: BYTES)
    assert bench.main(["--write"]) == 0
    assert counts.committed()["stored_bytes"] == {"1 attempt": BYTES[1]}
    written = page.PATH.read_text()
    assert written == f"# Costs\n{page.BEGIN}{page.markdown(counts.committed())}{page.END}\nmore\n"
    assert "| place now | 0 | 0 | 0 | flat |" in written


def test_a_page_without_a_place_for_the_tables_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(page, "PATH", tmp_path / "costs.md")
    page.PATH.write_text("# Costs\n")
    with pytest.raises(ValueError, match="has no lines"):
        page.write(counts.committed())
