"""Callbacks without an adoption: ``python -m ops adoptions --workspace acme``.

The command lists the callbacks whose calls could not be adopted.
"""

import argparse
from collections.abc import Iterable
from typing import Any

from chalicelib.storage.adoptions import AdoptionStore, Unadopted
from ops.data.table import table_name
from ops.data.workspaces import workspace_name


def add_parser(subparsers: Any) -> None:
    """Register ``adoptions``."""
    parser = subparsers.add_parser("adoptions", help="list the callbacks whose calls could not be adopted, and why")
    parser.add_argument("--stage", default="dev", help="the Chalice stage (default: dev)")
    parser.add_argument("--workspace", required=True, type=workspace_name, help="the workspace of the adoption address")
    parser.set_defaults(run=_run)


def lines(found: Iterable[Unadopted]) -> list[str]:
    """Return one line for each callback, in the given order (latest first)."""
    return [f"{each.at:%Y-%m-%dT%H:%M:%SZ}  {each.reason:18}  {_call_text(each)}" for each in found]


def _call_text(each: Unadopted) -> str:
    return f"{each.provider:10}  {each.provider_call_id}  policy {each.policy_name}"


def _run(args: argparse.Namespace) -> int:
    import boto3

    dynamodb = boto3.client("dynamodb")
    found = AdoptionStore(dynamodb, table_name(args.stage)).unadopted(args.workspace)
    for line in lines(found) or ["no callback of the last 30 days was left without an adopted call"]:
        print(line)
    return 0
