"""The settings of workspaces: ``python -m ops workspaces set|show|list --stage dev [--workspace acme]``."""

import argparse
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from chalicelib.settings import MOST_SLOTS
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


def changed(workspace: Workspace, retention_days: str | None, max_concurrent_calls: str | None) -> Workspace:
    """The settings with those changed that are given: a number as text, or ``default``."""
    if retention_days is not None:
        workspace = replace(workspace, retention_days=_number(retention_days))
    if max_concurrent_calls is not None:
        workspace = replace(workspace, max_concurrent_calls=_number(max_concurrent_calls))
    return workspace


def shown(workspace: Workspace) -> str:
    """A workspace's settings in one line."""
    kept = f"{workspace.retention_days} days" if workspace.retention_days else "the default time"
    most = workspace.max_concurrent_calls
    return f"{workspace.name}: calls kept for {kept}, {f'at most {most}' if most else 'any number'} at once"


def add_parser(subparsers: Any) -> None:
    """Register ``workspaces``."""
    parser = subparsers.add_parser("workspaces", help="set how long calls are kept and how many may be out at once")
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
        help="how many calls may be out at the providers at once; 'default' for no limit",
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


def _number(text: str) -> int | None:
    return None if text == DEFAULT else int(text)


def _set(args: argparse.Namespace) -> int:
    store = _store(args)
    workspace = changed(store.load(args.workspace), args.retention_days, args.max_concurrent_calls)
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
