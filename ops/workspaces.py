"""The settings of workspaces: ``python -m ops workspaces set|show|list --stage dev [--workspace acme]``."""

import argparse
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from chalicelib.settings import MOST_SLOTS, read_rate
from chalicelib.storage.workspaces import Workspace, WorkspaceStore
from ops.table import table_name

#: what an option is set to for the default to count again
DEFAULT = "default"
MOST_RETENTION_DAYS = 3650
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def workspace_name(text: str) -> str:
    """A workspace's name as an argument."""
    if not _NAME.fullmatch(text):
        wanted = "1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit"
        raise argparse.ArgumentTypeError(f"{text!r} is no workspace name: {wanted}")
    return text


def changed(
    workspace: Workspace, retention_days: str | None, max_concurrent_calls: str | None, calls_per_second: str | None
) -> Workspace:
    """The settings with those changed that are given: a number as text, or ``default``."""
    if retention_days is not None:
        workspace = replace(workspace, retention_days=_number(retention_days))
    if max_concurrent_calls is not None:
        workspace = replace(workspace, max_concurrent_calls=_number(max_concurrent_calls))
    if calls_per_second is not None:
        workspace = replace(workspace, calls_per_second=_rate(calls_per_second))
    return workspace


def shown(workspace: Workspace) -> str:
    """A workspace's settings in one line."""
    kept = f"{workspace.retention_days} days" if workspace.retention_days else "the default time"
    most, rate = workspace.max_concurrent_calls, workspace.calls_per_second
    at_once = f"at most {most} at once" if most else "the default number at once"
    return f"{workspace.name}: calls kept for {kept}, {at_once}, {f'{rate:g} a second' if rate else 'the default pace'}"


def add_parser(subparsers: Any) -> None:
    """Register ``workspaces``."""
    parser = subparsers.add_parser(
        "workspaces", help="set how long calls are kept, how many may be out at once, how fast they start"
    )
    actions = parser.add_subparsers(dest="action", required=True)
    setting = actions.add_parser("set", help="change what is given, leave the rest")
    setting.add_argument(
        "--retention-days",
        type=lambda text: _checked(text, MOST_RETENTION_DAYS),
        metavar="DAYS",
        help="how long calls are kept after their end; 'default' for RETENTION_DAYS",
    )
    setting.add_argument(
        "--max-concurrent-calls",
        type=lambda text: _checked(text, MOST_SLOTS),
        metavar="CALLS",
        help="how many calls may be out at the providers at once; 'default' for WORKSPACE_MAX_CONCURRENT_CALLS",
    )
    setting.add_argument(
        "--calls-per-second",
        type=_checked_rate,
        metavar="RATE",
        help="how many calls may be started in a second, 0.5 for one in two; 'default' for WORKSPACE_CALLS_PER_SECOND",
    )
    showing = actions.add_parser("show", help="show one workspace")
    listing = actions.add_parser("list", help="show every workspace for which something was set")
    for action, run in ((setting, _set), (showing, _show), (listing, _list)):
        action.add_argument("--stage", default="dev")
        if run is not _list:
            action.add_argument("--workspace", required=True, type=workspace_name)
        action.set_defaults(run=run)


def _checked(text: str, most: int) -> str:
    if text != DEFAULT and not (text.isdecimal() and 1 <= int(text) <= most):
        raise argparse.ArgumentTypeError(f"{text!r} is neither {DEFAULT!r} nor a whole number from 1 to {most}")
    return text


def _checked_rate(text: str) -> str:
    try:
        _rate(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not {DEFAULT!r}, and {error}") from None
    return text


def _rate(text: str) -> float | None:
    return None if text == DEFAULT else read_rate(text)


def _number(text: str) -> int | None:
    return None if text == DEFAULT else int(text)


def _set(args: argparse.Namespace) -> int:
    store = _store(args)
    workspace = changed(
        store.load(args.workspace), args.retention_days, args.max_concurrent_calls, args.calls_per_second
    )
    store.put(workspace)
    print(shown(workspace))
    return 0


def _show(args: argparse.Namespace) -> int:
    print(shown(_store(args).load(args.workspace)))
    return 0


def _list(args: argparse.Namespace) -> int:
    for workspace in _store(args).all():
        print(shown(workspace))
    return 0


def _store(args: argparse.Namespace) -> WorkspaceStore:
    import boto3

    return WorkspaceStore(
        boto3.client("dynamodb"),  # type: ignore[no-untyped-call]
        table_name(args.stage),
        lambda: datetime.now(UTC),
    )
