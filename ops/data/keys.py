"""API keys: ``python -m ops keys create|list|rotate|revoke --workspace acme``."""

import argparse
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib import ids
from chalicelib.errors import Conflict
from chalicelib.storage.keys import ApiKey, KeyStore, Role
from ops.data.table import table_name as table_of
from ops.data.workspaces import workspace_name

#: After a rotation the old key works for this long, so that its holders can change to the new key.
OVERLAP_HOURS = 24
COLUMNS = ("id", "name", "workspace", "role", "created", "expires", "last used")


def create_key(
    dynamodb: Any,
    table_name: str,
    *,
    workspace: str,
    role: str = str(Role.WRITE),
    now: datetime,
    name: str = "",
    expires_at: datetime | None = None,
) -> str:
    """Create a key for a workspace, store its hash, and return the key.

    The key cannot be shown again.
    """
    key = ids.new_api_key()
    KeyStore(dynamodb, table_name).add(key, ApiKey(workspace, Role(role), name, expires_at=expires_at), now)
    return key


def rotate_key(
    store: KeyStore,
    old: ApiKey,
    now: datetime,
    *,
    overlap: timedelta = timedelta(hours=OVERLAP_HOURS),
    expires_at: datetime | None = None,
) -> str:
    """Create a successor of a key, and return it.

    The old key works for ``overlap`` more. Without ``expires_at`` the new key has the same lifetime as the old one.
    Raises Conflict if the old key has expired already.
    """
    if old.is_expired(now):
        raise Conflict(f"key {old.id} expired at {old.expires_at:%Y-%m-%dT%H:%M:%SZ}; create a new one in its place")
    lifetime = old.expires_at - old.created_at if old.expires_at and old.created_at else None
    key = ids.new_api_key()
    successor = replace(old, expires_at=expires_at or (now + lifetime if lifetime else None))
    ends_at = min(old.expires_at or now + overlap, now + overlap)
    store.rotate(replace(old, expires_at=ends_at), key, successor, now)
    return key


def add_parser(subparsers: Any) -> None:
    """Register ``keys``."""
    parser = subparsers.add_parser("keys", help="make, list, rotate and revoke API keys")
    actions = parser.add_subparsers(dest="action", required=True)
    create = _action(actions, "create", _create, "make a key, and print it once; the table has only its hash")
    create.add_argument("--role", choices=[str(r) for r in Role], default=str(Role.WRITE), help="default: write")
    create.add_argument("--name", default="", help="a note on what the key is for")
    _expiry_argument(create, "never")
    _action(actions, "list", _list, "show each key: role, expiry and last use")
    rotate = _action(actions, "rotate", _rotate, "make a key in place of another, which stays valid for some hours")
    rotate.add_argument("--id", required=True, help="the old key's id, as `keys list` shows it")
    rotate.add_argument(
        "--overlap-hours", type=_hours, default=OVERLAP_HOURS, help="hours for which the old key still works"
    )
    _expiry_argument(rotate, "the lifetime of the old key")
    revoke = _action(actions, "revoke", _revoke, "end a key immediately")
    revoke.add_argument("--id", required=True, help="the key's id, as `keys list` shows it")


def _action(actions: Any, name: str, run: Any, what: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=what)
    parser.add_argument("--stage", default="dev", help="the Chalice stage (default: dev)")
    parser.add_argument(
        "--workspace", required=True, type=workspace_name, help="the workspace whose calls the key may see and place"
    )
    parser.set_defaults(run=run)
    return parser


def _expiry_argument(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument("--expires-in-days", type=_days, metavar="DAYS", help=f"when the key ends (default: {default})")


def _days(text: str) -> int:
    return _whole(text, 1, 3650, "days")


def _hours(text: str) -> int:
    return _whole(text, 0, 24 * 90, "hours")


def _whole(text: str, least: int, most: int, unit: str) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of {unit} from {least} to {most}")
    return int(text)


def _create(args: argparse.Namespace) -> int:
    now = datetime.now(UTC)
    key = create_key(
        _dynamodb(),
        table_of(args.stage),
        workspace=args.workspace,
        role=args.role,
        now=now,
        name=args.name,
        expires_at=_expiry(args, now),
    )
    print(key)
    return 0


def _list(args: argparse.Namespace) -> int:
    for line in key_lines(_store(args).of_workspace(args.workspace), datetime.now(UTC)):
        print(line)
    return 0


def _rotate(args: argparse.Namespace) -> int:
    now, store = datetime.now(UTC), _store(args)
    overlap = timedelta(hours=args.overlap_hours)
    old = store.by_id(args.workspace, args.id)
    print(rotate_key(store, old, now, overlap=overlap, expires_at=_expiry(args, now)))
    return 0


def _revoke(args: argparse.Namespace) -> int:
    store = _store(args)
    store.revoke(store.by_id(args.workspace, args.id))
    print(f"key {args.id} is revoked")
    return 0


def key_lines(keys: Iterable[ApiKey], now: datetime) -> list[str]:
    """Return a heading and a line for each key, in columns, without the secrets."""
    rows = [COLUMNS, *(_row(key, now) for key in keys)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _row(key: ApiKey, now: datetime) -> tuple[str, ...]:
    ends = _time_text(key.expires_at, "never") + (" (expired)" if key.is_expired(now) else "")
    used = _time_text(key.last_used_at, "never")
    return key.id, key.name or "-", key.workspace, str(key.role), _time_text(key.created_at, "-"), ends, used


def _time_text(at: datetime | None, otherwise: str) -> str:
    return f"{at:%Y-%m-%dT%H:%MZ}" if at else otherwise


def _expiry(args: argparse.Namespace, now: datetime) -> datetime | None:
    return now + timedelta(days=args.expires_in_days) if args.expires_in_days else None


def _store(args: argparse.Namespace) -> KeyStore:
    return KeyStore(_dynamodb(), table_of(args.stage))


def _dynamodb() -> Any:
    import boto3

    return boto3.client("dynamodb")
