"""Pause and resume dialling by hand: ``python -m ops pause --stage dev --workspace acme --reason "..."``."""

import argparse
import os
from typing import Any

from chalicelib.api import current
from chalicelib.storage.gates import EVERYTHING, workspace_scope
from chalicelib.usecases.pause import pause, paused, resume


def add_parser(subparsers: Any) -> None:
    """Register ``pause`` and ``resume``."""
    for name, run, text in (
        ("pause", _pause, "let no further call begin; calls in flight go on"),
        ("resume", _resume, "dial again"),
    ):
        parser = subparsers.add_parser(name, help=text)
        parser.add_argument("--stage", default="dev")
        scope = parser.add_mutually_exclusive_group(required=True)
        scope.add_argument("--workspace", help="only this workspace's calls")
        scope.add_argument("--everything", action="store_true", help="the calls of all workspaces")
        if name == "pause":
            parser.add_argument("--reason", required=True, help="the reason that every deferred call will show")
        parser.set_defaults(run=run)


def _pause(args: argparse.Namespace) -> int:
    ports = _ports(args.stage)
    gate = pause(ports, _scope(args), args.reason, None)
    print(f"{gate.scope} is paused: no dial begins until it is resumed")
    return 0


def _resume(args: argparse.Namespace) -> int:
    ports, scope = _ports(args.stage), _scope(args)
    print(f"{scope} dials again" if resume(ports, scope) else f"{scope} was not paused")
    still = paused(ports, EVERYTHING) if scope != EVERYTHING else None
    if still:
        print(f"but everything is paused: {still.reason}")
    return 0


def _scope(args: argparse.Namespace) -> str:
    return EVERYTHING if args.everything else workspace_scope(args.workspace)


def _ports(stage: str) -> Any:
    os.environ.setdefault("REDIAL_STAGE", stage)
    os.environ["TABLE_NAME"] = f"redial-{stage}"
    return current.services().ports
