"""`python -m ops.local.demo`: shows Redial retry calls, and checks each call.

The exit status is 0 if every call's history, its end and the mock carrier's log are as the script says, else 1.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from chalicelib.errors import RedialError
from ops.local.__main__ import shown
from ops.local.demo_story import CALLS, ScriptedCall, SeenCall, SeenRule, Snapshot, differences, pending, read_call
from ops.local.demo_view import following, new_console, picture, print_history, print_verdict
from ops.local.package import LOCAL
from ops.local.stack import STAGE, LocalStack

FROM_NUMBER = "+14155550100"
WAKE_PREFIX = f"redial-{STAGE}-wake-"
#: The time limit after the calls are placed: two full minutes of waiting, and a reserve.
LIMIT_SECONDS = 150
SECONDS_BETWEEN_LOOKS = 0.25
REQUEST_SECONDS = 30
#: The last second of a minute in which the demo places calls. Redial may decide about a later call at the very end of
#: the minute, which leaves no time to set a rule.
LAST_SECOND_TO_PLACE = 50
INTERRUPTED = 130


class DemoError(RedialError):
    """A request of the demo that the stack refused or did not answer."""


class Demo:
    """A run of the demo: scripts the mock carrier, places the calls and watches them.

    The methods raise DemoError if the stack refuses a request.
    """

    def __init__(self, stack: LocalStack) -> None:
        self._stack = stack
        self._events = stack.aws.client("events")
        self._placed: list[tuple[ScriptedCall, str]] = []
        self._seen = Snapshot()

    def script(self) -> None:
        """Send the script of each number to the mock carrier."""
        for call in CALLS:
            self._ask("PUT", f"{self._stack.env['CARRIER_URL']}/script/{call.number}", call.script)

    def place(self) -> None:
        """Place every call."""
        for call in CALLS:
            body = {"to_number": call.number, "from_number": FROM_NUMBER, "retry": call.retry}
            answer = self._ask("POST", f"{self._stack.env['BASE_URL']}/calls", body)
            self._placed.append((call, answer["id"]))

    def look(self) -> Snapshot:
        """Return the current state of the calls and the rules.

        Raises LocalError if a part of the stack has died.
        """
        try:
            self._seen = Snapshot(self._look_at_calls(), self._look_at_rules())
        except DemoError:
            # A dead part of the stack explains more than the request that it left unanswered.
            self._stack.check()
            raise
        return self._seen

    def requests(self, call: ScriptedCall) -> list[dict[str, Any]]:
        """Return the create-call requests for a number from the mock carrier's log."""
        log = self._ask("GET", f"{self._stack.env['CARRIER_URL']}/calls?to={quote(call.number)}")
        return list(log["calls"])

    def _look_at_calls(self) -> tuple[SeenCall, ...]:
        due_at = {call.scripted.number: call.due_at for call in self._seen.calls}
        calls = []
        for call, call_id in self._placed:
            body = self._ask("GET", f"{self._stack.env['BASE_URL']}/calls/{call_id}")
            calls.append(read_call(call, body, due_at.get(call.number, {})))
        return tuple(calls)

    def _look_at_rules(self) -> tuple[SeenRule, ...]:
        now = datetime.now(UTC)
        try:
            there = {rule["Name"] for rule in self._events.list_rules(NamePrefix=WAKE_PREFIX)["Rules"]}
        except (BotoCoreError, ClientError) as error:
            raise DemoError(f"the rules could not be listed: {error}") from error
        known = {rule.name: rule for rule in self._seen.rules}
        for name in sorted(there | known.keys()):
            rule = known.get(name, SeenRule(name, since_at=now))
            known[name] = replace(rule, gone_at=None if name in there else rule.gone_at or now)
        return tuple(known.values())

    def _ask(self, method: str, url: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._stack.env['API_KEY']}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        try:
            with urlopen(Request(url, data, headers, method=method), timeout=REQUEST_SECONDS) as answer:
                document: dict[str, Any] = json.load(answer)
                return document
        except HTTPError as error:
            raise DemoError(f"{method} {url} was answered {error.code}: {error.read().decode()}") from error
        except (OSError, HTTPException, ValueError) as error:
            raise DemoError(f"{method} {url} was not answered: {error}") from error


def run(stack: LocalStack, console: Console, svg: Path | None = None) -> bool:
    """Place the calls, show them, and return whether all went as scripted.

    It shows them until all have ended or the time is up. If all went as scripted, it draws a picture into the file
    ``svg``.
    """
    demo = Demo(stack)
    with shown("script the mock carrier"):
        demo.script()
    if datetime.now(UTC).second > LAST_SECOND_TO_PLACE:
        with shown("let the next minute begin"):
            time.sleep(60 - time.time() % 60)
    with shown(f"place {len(CALLS)} calls (POST /calls)"):
        demo.place()
    console.print("\nThe next full minute dials again. Times are UTC.")
    deadline = time.monotonic() + LIMIT_SECONDS
    with following(console) as show:
        show(snapshot := demo.look())
        while pending(snapshot) and time.monotonic() < deadline:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            show(snapshot := demo.look())
    wrong = [differences(call, demo.requests(call.scripted)) for call in snapshot.calls]
    left = pending(snapshot)
    print_history(console, snapshot)
    print_verdict(console, snapshot, wrong, left)
    if left:
        console.print(f"\nstopped {LIMIT_SECONDS} s after the calls were placed", style="red")
    succeeded = not left and not any(wrong)
    if svg is not None and succeeded:
        svg.write_text(picture(snapshot, wrong, left))
    return succeeded


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m ops.local.demo", description="Watch calls being retried.")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the result into this file (default: no picture)")
    svg: Path | None = parser.parse_args(arguments).svg
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    began = time.monotonic()
    console = new_console()
    console.print("[bold]Redial[/] on 127.0.0.1: AWS and the mock carrier are stand-ins, the minutes are real\n")
    try:
        with LocalStack(directory=LOCAL / "demo", step=shown) as stack:
            try:
                succeeded = run(stack, console, svg)
            finally:
                # Only the cleanup is left, and no signal may stop it.
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    signal.signal(number, signal.SIG_IGN)
    except KeyboardInterrupt:
        console.print("stopped")
        return INTERRUPTED
    except RedialError as error:
        console.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    verdict = "[green bold]All as scripted[/]" if succeeded else "[red bold]Failed[/]"
    console.print(f"\n{verdict} after {time.monotonic() - began:.0f} s")
    return 0 if succeeded else 1


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
