"""`python -m ops <command>`: what people run beside the deployed app."""

import argparse
import sys
from collections.abc import Sequence

from chalicelib.errors import RedialError
from ops import (
    adoptions,
    alarms,
    doctor,
    keys,
    migrate,
    opt_outs,
    outcomes,
    pause,
    policies,
    provision,
    replay,
    template,
    workspaces,
)

# Each has add_parser(subparsers), which sets `run`: a function of the arguments that returns the exit status.
COMMANDS = (
    adoptions,
    alarms,
    doctor,
    keys,
    migrate,
    opt_outs,
    outcomes,
    pause,
    policies,
    provision,
    replay,
    template,
    workspaces,
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ops", description="Operate Redial.")
    subparsers = parser.add_subparsers(title="commands", metavar="command", required=True)
    for command in COMMANDS:
        command.add_parser(subparsers)
    chosen = parser.parse_args(arguments)
    try:
        status: int = chosen.run(chosen)
    except RedialError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
