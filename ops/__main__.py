"""`python -m ops <command>`: the commands that operate a deployed Redial."""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import RedialError
from ops import aws, doctor, outcomes, restore
from ops.data import adoptions, keys, migrate, opt_outs, pause, replay, workspaces
from ops.deploying import alarms, deploy, policies, provision, take_down, template

# Each module has add_parser(subparsers). It sets `run`: a function of the arguments that returns the exit status.
COMMANDS = (
    adoptions,
    alarms,
    deploy,
    doctor,
    keys,
    migrate,
    opt_outs,
    outcomes,
    pause,
    policies,
    provision,
    replay,
    restore,
    take_down,
    template,
    workspaces,
)


#: the variable with which a command shows the traceback of an error, for developers of Redial
TRACEBACK = "REDIAL_TRACEBACK"
#: the exit status of a command that Ctrl-C ended: 128 + SIGINT, as in shells
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    An error is one line on stderr and the status 1.
    """
    parser = argparse.ArgumentParser(prog="python -m ops", description="Operate Redial.")
    subparsers = parser.add_subparsers(title="commands", metavar="command", required=True)
    for command in COMMANDS:
        command.add_parser(subparsers)
    chosen = parser.parse_args(arguments)
    try:
        status: int = chosen.run(chosen)
        # Flush here, and not when Python ends: a reader that closed the output (`| head`) is an error like the others.
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _failed("interrupted", INTERRUPTED)
    except Exception as error:
        if os.environ.get(TRACEBACK):
            raise
        return _failed(f"error: {' '.join(in_words(error, getattr(chosen, 'stage', None)).split())}")
    return status


def in_words(error: Exception, stage: str | None) -> str:
    """Return what went wrong and, if it is known, what would be right."""
    match error:
        case RedialError():
            return str(error)
        case ClientError() if stage and aws.code(error) == "ResourceNotFoundException":
            return f"{error}; stage {stage!r} is not set up here: python -m ops provision --stage {stage} creates it"
        case BotoCoreError() | ClientError():
            return aws.in_words(error)
        case BrokenPipeError():
            return "the reader of the output closed it before the end"
        case OSError() if error.filename is not None:
            return f"{error.filename}: {error.strerror}"
        case ValueError() if str(error).startswith("Invalid endpoint"):
            return f"{error}; AWS_ENDPOINT_URL must be a URL (example: http://127.0.0.1:4566)"
    return f"{type(error).__name__}: {error}; {TRACEBACK}=1 shows where"


def _failed(line: str, status: int = 1) -> int:
    # Python writes to stdout once more when it ends, which fails on a closed pipe.
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
