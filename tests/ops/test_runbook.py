"""The runbook is right: its figures, its commands and its links."""

import re
from pathlib import Path

from chalicelib.runtime import metrics

ROOT = Path(__file__).parent.parent.parent
RUNBOOK = (ROOT / "docs/operating.md").read_text()
DOCS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


def test_its_table_of_figures_is_the_code_s() -> None:
    rows = re.findall(r"^\|( `[A-Z].*?)\|(.*?)\|(.*?)\|$", RUNBOOK, re.MULTILINE)
    told = {name: tuple(re.findall(r"`(\w+)`", by)) for names, by, _ in rows for name in re.findall(r"`(\w+)`", names)}
    assert told == {metric.name: metric.by for metric in metrics.METRICS}


def test_its_links_within_the_page_lead_somewhere() -> None:
    headings = {
        re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", RUNBOOK, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#(.+?)\)", RUNBOOK)) - headings == set()


def test_every_event_that_it_asks_the_logs_for_is_one_that_the_code_writes() -> None:
    code = "".join(path.read_text() for path in (ROOT / "chalicelib").rglob("*.py"))
    written = set(re.findall(r'(?:log|warn|broken)\(\s*"([a-z-]+)"', code))
    asked = set(re.findall(r'event (?:= |in \[)"([a-z-]+)"', RUNBOOK))
    assert len(asked) >= 6
    assert asked - written == set()


def test_its_commands_work_in_the_shell_of_a_mac_too() -> None:
    commands = re.findall(r"```sh\n(.*?)```", "".join(path.read_text() for path in DOCS), re.DOTALL)
    assert len(commands) >= 20
    # GNU's date has -d, and a Mac's date does not; sed -i, readlink -f and grep -P differ as well.
    gnu_only = r"\bdate\b[^\n|;)]*\s-d\b|\bsed -i\b|\breadlink -f\b|\bgrep -\w*P"
    assert [found for each in commands for found in re.findall(gnu_only, each)] == []
