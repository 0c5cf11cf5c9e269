"""`python -m ops.local`: the local stack, until Ctrl-C.

The next run continues with the calls, the key and the ports of this one.
"""

import argparse
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console

from chalicelib.errors import RedialError
from ops.local.call_events import CallEvents
from ops.local.kept import forget, read_kept
from ops.local.package import LOCAL
from ops.local.single import only_one
from ops.local.stack import LocalStack

SECONDS_BETWEEN_CHECKS = 0.5

console = Console(highlight=False)


@contextmanager
def shown(what: str) -> Iterator[None]:
    """Show a step while it runs, then how long it took."""
    began = time.monotonic()
    with console.status(what):
        yield
    console.print(f"  [green]✓[/] {what} [dim]{time.monotonic() - began:.1f} s[/]")


def summarise(stack: LocalStack, seconds: float) -> None:
    """Show what is running, and what to do with it first."""
    console.print(f"\n[bold]Redial runs[/] after {seconds:.1f} s:\n")
    width = max(map(len, stack.env)) + 2
    for name, value in stack.env.items():
        console.print(f"  [bold]{name:<{width}}[/]{value}", soft_wrap=True)
    console.print(f"\n  [dim]the same, to source:[/]  {_shown_path(stack.directory / 'env')}", soft_wrap=True)
    console.print(f"  [dim]what the Lambdas log:[/] {_shown_path(stack.aws.log)}", soft_wrap=True)
    console.print(f"  [dim]the API, to read:[/]     {stack.env['BASE_URL']}/docs", soft_wrap=True)
    console.print("\nCtrl-C stops the stack. The next make run continues from there, make run FRESH=1 starts empty.")
    console.print("The events of calls:\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the local stack until Ctrl-C, show the events of calls, return the status."""
    parser = argparse.ArgumentParser(prog="python -m ops.local", description=__doc__)
    parser.add_argument("--fresh", action="store_true", help="forget the calls, the key and the ports of the last run")
    parser.add_argument("--directory", type=Path, default=LOCAL, help="where all of that is (.local)")
    arguments = parser.parse_args(argv)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    began = time.monotonic()
    try:
        with only_one(arguments.directory), _stack(arguments.directory, arguments.fresh) as stack:
            try:
                summarise(stack, time.monotonic() - began)
                events = CallEvents(stack.aws.log)
                while True:
                    for line in events.lines():
                        console.print(line, markup=False, soft_wrap=True)
                    time.sleep(SECONDS_BETWEEN_CHECKS)
                    stack.check()
            finally:
                # Only the cleanup is left, and no signal may stop it.
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    signal.signal(number, signal.SIG_IGN)
    except KeyboardInterrupt:
        console.print("stopped")
        return 0
    except RedialError as error:
        console.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        return 1


def _stack(directory: Path, fresh: bool) -> LocalStack:
    if fresh:
        forget(directory)
    return LocalStack(directory=directory, step=shown, kept=read_kept(directory))


def _shown_path(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
