"""API keys, made and shown once: ``python -m ops keys create --stage dev --workspace acme``."""

import argparse
from datetime import UTC, datetime
from typing import Any

from chalicelib import ids
from chalicelib.storage.keys import ApiKey, KeyStore, Role


def create_key(
    dynamodb: Any, table_name: str, *, workspace: str, role: str = "admin", now: datetime, name: str = ""
) -> str:
    """Store a new key of a workspace by its hash and return the key: it cannot be shown again."""
    key = ids.new_api_key()
    KeyStore(dynamodb, table_name).add(key, ApiKey(workspace, Role(role)), name, now)
    return key


def add_parser(subparsers: Any) -> None:
    """Register ``keys create``."""
    parser = subparsers.add_parser("keys", help="make API keys")
    actions = parser.add_subparsers(dest="action", required=True)
    create = actions.add_parser("create", help="make a key of a workspace; it is printed once and stored hashed")
    create.add_argument("--stage", default="dev")
    create.add_argument("--workspace", required=True, help="whose calls the key may see and make")
    create.add_argument("--role", choices=[str(r) for r in Role], default=str(Role.ADMIN))
    create.add_argument("--name", default="", help="a note on what the key is for")
    create.set_defaults(run=_create)


def _create(args: argparse.Namespace) -> int:
    import boto3

    key = create_key(
        boto3.client("dynamodb"),  # type: ignore[no-untyped-call]
        f"redial-{args.stage}",
        workspace=args.workspace,
        role=args.role,
        now=datetime.now(UTC),
        name=args.name,
    )
    print(key)
    return 0
