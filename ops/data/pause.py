"""Pause and resume dialling by hand, for one workspace or for the whole stage.

``pause`` and ``resume`` are for a workspace, ``stop`` and ``start`` for the stage. Both write to the table, which every
dial reads. So no Lambda has to be deployed or reached, and no deployment ends a pause.
"""

import argparse
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import RedialError
from chalicelib.runtime.services import client
from chalicelib.storage.gates import EVERYTHING, Gate, workspace_scope
from chalicelib.usecases.gates.pause import pause, paused, resume
from ops import aws
from ops.data.table import table_name
from ops.ports import ports_of
from ops.restore import marker

STOPPED = "stopped by hand"
#: the emergency stop for a time when the table does not answer (docs/operating.md has the details)
WITHOUT_TABLE = "set DIALING=off in the stage's environment_variables in .chalice/config.json and deploy"


def add_parser(subparsers: Any) -> None:
    """Register ``stop``, ``start``, ``pause`` and ``resume``."""
    for name, run, text in (
        ("stop", _stop, "start the emergency stop: Redial dials nobody in the stage"),
        ("start", _start, "end the emergency stop"),
        ("pause", _pause, "stop the dials of a workspace; calls in flight continue"),
        ("resume", _resume, "start the dials of a workspace again"),
    ):
        parser = subparsers.add_parser(name, help=text)
        parser.add_argument("--stage", default="dev", help="the Chalice stage (default: dev)")
        if name in ("pause", "resume"):
            parser.add_argument("--workspace", required=True, help="the workspace of the calls")
        if name in ("stop", "pause"):
            options = {"required": True} if name == "pause" else {"default": STOPPED}
            parser.add_argument("--reason", help="the reason, which every deferred call shows", **options)
        parser.set_defaults(run=run)


def _stop(args: argparse.Namespace) -> int:
    table, ports = table_name(args.stage), ports_of(args.stage)
    try:
        before = paused(ports, EVERYTHING)
        pause(ports, EVERYTHING, args.reason, None)
    except (BotoCoreError, ClientError) as error:
        if isinstance(error, ClientError) and aws.code(error) in aws.NOT_THERE:
            raise
        raise RedialError(
            f"the table {table} does not take the stop: {aws.in_words(error)}. To stop without it, {WITHOUT_TABLE}"
        ) from error
    if before:
        print(f"stage {args.stage} was stopped since {_since(before)}")
    print(f"stage {args.stage} is stopped (in the table {table}): redial, sweep and POST /calls begin no call")
    print("calls in flight go on to their end; what falls due waits and loses no attempt")
    print(f"to dial again: python -m ops start --stage {args.stage}")
    return 0


def _start(args: argparse.Namespace) -> int:
    table, ports = table_name(args.stage), ports_of(args.stage)
    restore = marker.load(client("dynamodb"), table)
    if restore is not None and restore.finished_at is None:
        raise RedialError(
            f"{table} is being restored, and would call people a second time; finish it first: "
            f"python -m ops restore --stage {args.stage} --from {table} --finish"
        )
    before = paused(ports, EVERYTHING)
    resume(ports, EVERYTHING)
    was = f"was stopped since {_since(before)}" if before else "was not stopped"
    print(f"stage {args.stage} {was}; it dials (table {table}), and what waited begins within five minutes")
    return 0


def _since(gate: Gate) -> str:
    return f"{gate.closed_at:%Y-%m-%dT%H:%M:%SZ} ({gate.reason})"


def _pause(args: argparse.Namespace) -> int:
    gate = pause(ports_of(args.stage), workspace_scope(args.workspace), args.reason, None)
    print(f"{gate.scope} is paused: no dial begins until it is resumed")
    return 0


def _resume(args: argparse.Namespace) -> int:
    ports, scope = ports_of(args.stage), workspace_scope(args.workspace)
    print(f"{scope} dials again" if resume(ports, scope) else f"{scope} was not paused")
    if stopped := paused(ports, EVERYTHING):
        print(f"but stage {args.stage} is stopped since {_since(stopped)}")
    return 0
