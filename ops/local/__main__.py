"""`python -m ops.local`: the local stack until Ctrl-C."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console

from chalicelib.errors import RedialError
from ops.local.call_events import CallEvents
from ops.local.single import only_one
from ops.local.stack import LocalStack

SECONDS_BETWEEN_CHECKS = 0.5

console = Console(highlight=False)


@contextmanager
def shown(what: str) -> Iterator[None]:
    """Show that something is being done, then how long it took."""
    began = time.monotonic()
    with console.status(what):
        yield
    console.print(f"  [green]✓[/] {what} [dim]{time.monotonic() - began:.1f} s[/]")


def summarise(stack: LocalStack, seconds: float) -> None:
    """Show what is running, and a first thing to do with it."""
    console.print(f"\n[bold]Redial runs[/] after {seconds:.1f} s:\n")
    for name, value in stack.env.items():
        console.print(f"  [bold]{name:<18}[/]{value}", soft_wrap=True)
    console.print(f"\n  [dim]the same, to source:[/]  {_shown_path(stack.directory / 'env')}", soft_wrap=True)
    console.print(f"  [dim]what the Lambdas log:[/] {_shown_path(stack.aws.log)}", soft_wrap=True)
    console.print(f"  [dim]the API, to read:[/]     {stack.env['BASE_URL']}/docs", soft_wrap=True)
    console.print("\nCtrl-C stops everything. What happens to calls:\n")


def main() -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    began = time.monotonic()
    stack = LocalStack(step=shown)
    try:
        with only_one(stack.directory), stack:
            try:
                summarise(stack, time.monotonic() - began)
                events = CallEvents(stack.aws.log)
                while True:
                    for line in events.lines():
                        console.print(line, markup=False, soft_wrap=True)
                    time.sleep(SECONDS_BETWEEN_CHECKS)
                    stack.check()
            finally:
                # From here on only the cleaning up is left, and nothing may cut it short.
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    signal.signal(number, signal.SIG_IGN)
    except KeyboardInterrupt:
        console.print("stopped")
        return 0
    except RedialError as error:
        console.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        return 1


def _shown_path(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
