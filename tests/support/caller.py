"""A user of a running deployment, who scripts the mock carrier and places calls."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

#: A dial in the next minute, plus all cold starts on two busy cores
MAX_SECONDS = 180
RETRY = {"max_retries": 3, "strategy": {"type": "fixed", "wait_minutes": 0}}
#: A call that is placed later in a minute could be due before the test has looked at it.
LAST_SECOND_TO_PLACE = 45


@dataclass(frozen=True)
class Caller:
    """A user with a key.

    ``base_url`` and ``key`` are the API's. ``carrier_url`` is the mock carrier's.
    """

    base_url: str
    key: str
    carrier_url: str

    def place(self, number: str, outcomes: Sequence[Any]) -> str:
        """Place a call to a number whose outcomes are scripted, and return its id.

        ``outcomes`` are those of the attempts, in order.
        """
        self.ask("PUT", f"{self.carrier_url}/script/{quote(number)}", {"outcomes": outcomes})
        body = {"to_number": number, "from_number": "+14155550100", "retry": RETRY}
        return str(self.ask("POST", f"{self.base_url}/calls", body)["id"])

    def read(self, call_id: str) -> dict[str, Any]:
        return self.ask("GET", f"{self.base_url}/calls/{call_id}")

    def ended(self, call_id: str) -> dict[str, Any]:
        """Wait until the call is final, and return it."""
        deadline = time.monotonic() + MAX_SECONDS
        while (call := self.read(call_id))["state"] != "final":
            assert time.monotonic() < deadline, f"not final within {MAX_SECONDS} s: {call}"
            time.sleep(0.5)
        return call

    def requests(self, number: str) -> list[dict[str, Any]]:
        """Return the create-call requests that the mock carrier received for a number."""
        return list(self.ask("GET", f"{self.carrier_url}/calls?to={quote(number)}")["calls"])

    def requested(self, number: str, times: int) -> dict[str, Any]:
        """Wait for this number of create-call requests, and return the last one."""
        deadline = time.monotonic() + MAX_SECONDS
        while len(got := self.requests(number)) < times:
            assert time.monotonic() < deadline, f"{len(got)} requests for {number} within {MAX_SECONDS} s"
            time.sleep(0.1)
        return got[-1]

    def attempts_asked(self, number: str) -> list[int]:
        """Return the attempt of each create-call request, as its callback token names it."""
        tokens = [each["form"]["StatusCallback"].rpartition("/")[2] for each in self.requests(number)]
        return [int(token.split(".")[1]) for token in tokens]

    def ask(self, method: str, url: str, body: Any = None) -> dict[str, Any]:
        """Return the answer's JSON. Raises HTTPError if the answer is not a success."""
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(url, data, headers, method=method), timeout=60) as answer:
            return dict(json.load(answer))


def wait_to_place() -> None:
    """Wait for the next minute if this one is nearly over."""
    if time.time() % 60 > LAST_SECOND_TO_PLACE:
        time.sleep(60 - time.time() % 60)


def history(call: dict[str, Any]) -> list[tuple[int, str]]:
    """Return the number and the outcome of each attempt of a call."""
    return [(attempt["attempt"], attempt["outcome"]) for attempt in call["attempts"]]
