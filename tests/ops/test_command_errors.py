"""The errors of `python -m ops` are one line each, and never a traceback."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from chalicelib.api import current
from chalicelib.runtime import services
from ops.__main__ import main
from ops.deploying import chalice_config

#: every command that sends requests to AWS
ASKING = (
    ["adoptions", "--workspace", "acme"],
    ["alarms"],
    ["alarms", "--delete"],
    ["keys", "create", "--workspace", "acme"],
    ["keys", "list", "--workspace", "acme"],
    ["keys", "rotate", "--workspace", "acme", "--id", "key_x"],
    ["keys", "revoke", "--workspace", "acme", "--id", "key_x"],
    ["migrate"],
    ["opt-outs", "import", "{numbers}", "--workspace", "acme"],
    ["pause", "--workspace", "acme", "--reason", "test"],
    ["stop"],
    ["start"],
    ["resume", "--workspace", "acme"],
    ["provision"],
    ["replay"],
    ["restore", "--from", "redial-dev-restored"],
    ["workspaces", "list"],
    ["workspaces", "show", "--workspace", "acme"],
    ["workspaces", "set", "--workspace", "acme", "--daily-dials", "5"],
)
#: the commands that read or change the table, which a stage without a setup does not have
READING = [each for each in ASKING if each[0] not in ("alarms", "provision", "replay", "restore", "migrate")]
Set = pytest.MonkeyPatch


def _no_region(env: Set) -> None:
    env.delenv("AWS_DEFAULT_REGION")


def _no_credentials(env: Set) -> None:
    env.delenv("AWS_ACCESS_KEY_ID")
    env.delenv("AWS_SECRET_ACCESS_KEY")


def _half_of_the_credentials(env: Set) -> None:
    env.delenv("AWS_SECRET_ACCESS_KEY")


def _unknown_profile(env: Set) -> None:
    env.setenv("AWS_PROFILE", "nobody")


def _endpoint_without_a_scheme(env: Set) -> None:
    env.setenv("AWS_ENDPOINT_URL", "localhost")


def _endpoint_that_nobody_serves(env: Set) -> None:
    env.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")


FAULTS: dict[Callable[[Set], None], str] = {
    _no_region: "no AWS region is set: set AWS_DEFAULT_REGION",
    _no_credentials: "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    _half_of_the_credentials: "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    _unknown_profile: "AWS_PROFILE must name one of ~/.aws/config",
    _endpoint_without_a_scheme: "AWS_ENDPOINT_URL must be a URL (example: http://127.0.0.1:4566)",
    _endpoint_that_nobody_serves: 'Could not connect to the endpoint URL: "http://127.0.0.1:9/',
}


def _forget() -> None:
    boto3.DEFAULT_SESSION = None
    services.client.cache_clear()
    services._session.cache_clear()
    current.forget()


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Keep only credentials and a region in the environment, in an empty directory."""
    for name in ("AWS_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL", "TABLE_NAME", "REDIAL_STAGE", "REDIAL_TRACEBACK"):
        # Set before it is deleted, so that monkeypatch also removes a value that a command sets.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("chalicelib.runtime.services.AWS_CONFIG", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "numbers.csv").write_text("+16505550199\n")
    _forget()
    yield tmp_path
    _forget()


def said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must fail, and return its one line."""
    status = main([each.format(numbers="numbers.csv") for each in arguments])
    err = capsys.readouterr().err
    assert (status, err.count("\n")) == (1, 1), err
    assert err.startswith("error: ")
    return err.removeprefix("error: ").strip()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("arguments", ASKING, ids=" ".join)
def test_what_aws_needs_and_lacks_is_one_line(
    arguments: list[str],
    fault: Callable[[Set], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fault(monkeypatch)
    assert FAULTS[fault] in said(arguments, capsys)


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_an_unknown_stage_is_named_with_what_creates_it(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with mock_aws():
        line = said([*arguments, "--stage", "nope"], capsys)
    assert "stage 'nope' is not set up here: python -m ops provision --stage nope creates it" in line


@pytest.mark.parametrize("stage", ["", "a b", "x" * 300])
def test_a_stage_that_cannot_be_a_name_is_one_line(stage: str, capsys: pytest.CaptureFixture[str]) -> None:
    with mock_aws():
        said(["keys", "list", "--workspace", "acme", "--stage", stage], capsys)


@pytest.mark.parametrize(
    "arguments",
    [
        ["opt-outs", "import", "absent/x.csv", "--workspace", "acme"],
        ["template", "--out", "absent/x.csv"],
    ],
)
def test_a_missing_file_is_named(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert said(arguments, capsys) == "absent/x.csv: No such file or directory"


@pytest.mark.parametrize("content", [b"\xff\xfe+1", b'"' + b"1" * 200_000])
def test_a_list_that_is_not_csv_is_named(bare: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    (bare / "numbers.csv").write_bytes(content)
    line = said(["opt-outs", "import", "numbers.csv", "--workspace", "acme"], capsys)
    assert line.startswith("numbers.csv is not a CSV file in UTF-8: ")


@pytest.mark.parametrize("command", [["provision"], ["policies"], ["template", "--out", "t.json"]], ids=" ".join)
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "config.json: No such file or directory; it comes with Redial: git checkout"),
        (b"{,}", "config.json is not valid JSON: Expecting property name"),
        (b"\xff", "config.json is not valid JSON: "),
        (b"[]", "config.json: the document must be a JSON object"),
        (b"{}", "config.json: stages must be a JSON object"),
        (b'{"stages": {"dev": []}}', "config.json: stages.dev must be a JSON object"),
        (b'{"stages": {}, "environment_variables": 1}', "config.json: environment_variables must be a JSON object"),
    ],
)
def test_a_wrong_config_is_named(
    command: list[str],
    content: bytes | None,
    why: str,
    bare: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = bare / "config.json"
    if content is not None:
        config.write_bytes(content)
    monkeypatch.setattr(chalice_config.read, "__defaults__", (config,))
    assert why in said(command, capsys)


def test_a_broken_bookmark_of_a_migration_is_named(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bare / ".local").mkdir()
    (bare / ".local" / "migrate-redial-dev.json").write_text("{")
    with mock_aws():
        main(["provision"])
        capsys.readouterr()
        assert main(["migrate"]) == 1
    assert "migrate-redial-dev.json is not valid JSON: delete it to start" in capsys.readouterr().err


def test_any_other_error_is_one_line_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(arguments: object) -> int:
        raise KeyError("Table")

    monkeypatch.setattr("ops.outcomes._run", broken)
    assert said(["outcomes"], capsys) == "KeyError: 'Table'; REDIAL_TRACEBACK=1 shows where"
    monkeypatch.setenv("REDIAL_TRACEBACK", "1")
    with pytest.raises(KeyError):
        main(["outcomes"])


def test_ctrl_c_ends_a_command_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("ops.outcomes._run", stopped)
    assert (main(["outcomes"]), capsys.readouterr().err) == (130, "interrupted\n")


def test_a_reader_that_has_gone_is_one_line() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "ops", "outcomes"]
    try:
        done = subprocess.run(command, cwd=root, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, "error: the reader of the output closed it before the end\n")
