"""Workspace settings: ``python -m ops workspaces set|show|list --stage dev``.

``set`` and ``show`` need ``--workspace``.
"""

import argparse
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from chalicelib.domain.destinations import entries
from chalicelib.domain.limits import Limits
from chalicelib.runtime.settings import MAX_DAILY, MAX_SLOTS, read_rate
from chalicelib.storage.workspaces import Workspace, WorkspaceStore
from ops.data.table import table_name

#: the text that sets an option back to its default
DEFAULT = "default"
MAX_RETENTION_DAYS = 3650
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def workspace_name(text: str) -> str:
    """Check a command-line argument that names a workspace, and return it.

    Raises ArgumentTypeError for a wrong name.
    """
    if not _NAME.fullmatch(text):
        wanted = "1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit"
        raise argparse.ArgumentTypeError(f"{text!r} is no workspace name: {wanted}")
    return text


def changed(workspace: Workspace, given: Mapping[str, str | None]) -> Workspace:
    """Return the workspace with the given settings changed.

    ``given`` has a text, or ``default``, for each setting by its name; None leaves a setting unchanged.
    """
    texts = {name: text for name, text in given.items() if text is not None}
    own = {name: read(texts[name]) for name, read in OWN.items() if name in texts}
    limits = {name: read(texts[name]) for name, read in LIMITS.items() if name in texts}
    return replace(workspace, limits=replace(workspace.limits, **limits), **own)


def shown(workspace: Workspace) -> str:
    """Return a workspace's settings in one line."""
    kept = f"{workspace.retention_days} days" if workspace.retention_days else "the default time"
    most, rate = workspace.max_concurrent_calls, workspace.calls_per_second
    concurrency = f"at most {most} at once" if most else "the default number at once"
    rate_text = f"{rate:g} a second" if rate else "the default rate"
    return ", ".join(
        [f"{workspace.name}: calls kept for {kept}", concurrency, rate_text, *_limits_shown(workspace.limits)]
    )


def _limits_shown(limits: Limits) -> Iterator[str]:
    if limits.allow is not None:
        yield f"dials {' '.join(limits.allow)}"
    if limits.daily_dials is not None:
        yield f"{limits.daily_dials} dials a day"
    if limits.daily_minutes is not None:
        yield f"{limits.daily_minutes} minutes a day"


def add_parser(subparsers: Any) -> None:
    """Register ``workspaces``."""
    parser = subparsers.add_parser(
        "workspaces",
        help="set a workspace's limits: retention, calls in flight, calls per second, destinations, budgets",
    )
    actions = parser.add_subparsers(dest="action", required=True)
    setting = actions.add_parser("set", help="change the given settings of a workspace")
    setting.add_argument(
        "--retention-days",
        type=lambda text: _checked(text, MAX_RETENTION_DAYS),
        metavar="DAYS",
        help="days for which calls are kept after their end; 'default' for RETENTION_DAYS",
    )
    setting.add_argument(
        "--max-concurrent-calls",
        type=lambda text: _checked(text, MAX_SLOTS),
        metavar="CALLS",
        help="the maximum number of calls in flight; 'default' for WORKSPACE_MAX_CONCURRENT_CALLS",
    )
    setting.add_argument(
        "--calls-per-second",
        type=_checked_rate,
        metavar="RATE",
        help="the maximum number of new calls in a second, such as 0.5; 'default' for WORKSPACE_CALLS_PER_SECOND",
    )
    setting.add_argument(
        "--allow",
        type=_checked_destinations,
        metavar="LIST",
        help="the allowed destinations: prefixes, countries or any, with commas (+91,US,any); costly ranges only by a"
        " prefix inside them; 'default' for WORKSPACE_ALLOW",
    )
    setting.add_argument(
        "--daily-dials",
        type=lambda text: _checked(text, MAX_DAILY),
        metavar="DIALS",
        help="the maximum number of dials in a UTC day; 'default' for WORKSPACE_DAILY_DIALS",
    )
    setting.add_argument(
        "--daily-minutes",
        type=lambda text: _checked(text, MAX_DAILY),
        metavar="MINUTES",
        help="the minutes of ended calls in a UTC day that end its dials; 'default' for WORKSPACE_DAILY_MINUTES",
    )
    showing = actions.add_parser("show", help="show one workspace")
    listing = actions.add_parser("list", help="show every workspace that has settings")
    for action, run in ((setting, _set), (showing, _show), (listing, _list)):
        action.add_argument("--stage", default="dev", help="the Chalice stage (default: dev)")
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


def _checked_destinations(text: str) -> str:
    try:
        _destinations(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}, nor {DEFAULT!r}") from None
    return text


def _destinations(text: str) -> tuple[str, ...] | None:
    return None if text == DEFAULT else entries(text)


#: setting -> the function that reads its text: the settings of the workspace itself, and its cost limits
OWN: Mapping[str, Callable[[str], Any]] = {
    "retention_days": _number,
    "max_concurrent_calls": _number,
    "calls_per_second": _rate,
}
LIMITS: Mapping[str, Callable[[str], Any]] = {
    "allow": _destinations,
    "daily_dials": _number,
    "daily_minutes": _number,
}


def _set(args: argparse.Namespace) -> int:
    store = _store(args)
    workspace = changed(store.load(args.workspace), vars(args))
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
        boto3.client("dynamodb"),
        table_name(args.stage),
        lambda: datetime.now(UTC),
    )
