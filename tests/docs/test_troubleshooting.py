"""The troubleshooting page has every reason code.

The log events and messages that it names exist in the code.
"""

import re
from pathlib import Path

from chalicelib.domain.decide import Reason

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
CODE = "".join(path.read_text() for path in (ROOT / "chalicelib").rglob("*.py"))

#: reasons of decisions that are normal
AS_IT_SHOULD_BE = {Reason.STARTED, Reason.RETRY, Reason.DUE}


def test_each_reason_has_a_row() -> None:
    named = set(re.findall(r"`([a-z-]+)`", "\n".join(re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE))))
    missing = set(Reason) - AS_IT_SHOULD_BE - named
    assert missing - {Reason.WINDOW_NEVER_OPENS} == set()
    assert "`window-never-opens`" in PAGE


def test_each_log_event_is_one_that_the_code_writes() -> None:
    named = set(re.findall(r"log events? `([a-z-]+)`", PAGE))
    assert len(named) > 5
    assert {event for event in named if f'"{event}"' not in CODE} == set()


def test_each_message_that_is_quoted_is_in_the_code() -> None:
    messages = re.findall(r"^\| 4\d\d `([^`]+)`", PAGE, re.MULTILINE)
    assert len(messages) > 5
    for message in messages:
        # The words between the values of a raised message
        longest = max(re.split(r"…|\b(?:twilio|read|write|50)\b", message), key=len).strip(" :")
        assert longest in CODE, message
