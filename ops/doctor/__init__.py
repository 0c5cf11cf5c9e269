"""The doctor: checks a live deployment and says for each fault what to do.

Run it with ``python -m ops doctor --stage dev``.
"""

import argparse
import json
from collections.abc import Iterator

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.table import Table

from chalicelib.errors import RedialError
from ops import aws
from ops.doctor import lambda_limits, outside, resources, watching, wheel
from ops.doctor.deployment import Deployment
from ops.doctor.finding import Check, Finding, Level, amber, red

#: The checks by name. A fault can explain the faults of later checks, so the order matters.
CHECKS: dict[str, Check] = {
    "clock": resources.clock,
    "zone rules": resources.zone_rules,
    "table": resources.table,
    "Lambdas": resources.lambdas,
    "environment": resources.same_environment,
    "environment size": lambda_limits.environment,
    "runtime": lambda_limits.runtimes,
    "permission": resources.permission,
    "concurrency": resources.concurrency,
    "account": lambda_limits.account_concurrency,
    "throttle": resources.throttle,
    "answers": resources.own_answers,
    "logs": resources.logs,
    "dead letters": resources.failures,
    "wakes": wheel.wakes,
    "overdue": wheel.overdue,
    "sweep": wheel.sweep,
    "API keys": wheel.keys,
    "alarms": watching.alarms,
    "secrets": outside.secrets,
    "public URL": outside.public_url,
    "providers": outside.provider_accounts,
}
MARKS = {Level.GREEN: "[green]✓[/]", Level.AMBER: "[yellow]![/]", Level.RED: "[red]✗[/]"}


def examine(on: Deployment) -> Iterator[tuple[str, Finding]]:
    """Yield every finding under the name of its check.

    A check that fails on an error from AWS or Redial yields an amber finding with the reason.
    """
    try:
        signed_in = list(resources.credentials(on))
    except (BotoCoreError, ClientError) as error:
        yield "credentials", red("AWS cannot be asked, so nothing else can be checked", aws.in_words(error))
        return
    for finding in signed_in:
        yield "credentials", finding
    for name, check in CHECKS.items():
        for finding in _findings_of(check, on):
            yield name, finding


def _findings_of(check: Check, on: Deployment) -> list[Finding]:
    found: list[Finding] = []
    try:
        for finding in check(on):
            # Append each finding at once, to keep those from before an error.
            found.append(finding)
    except (BotoCoreError, ClientError) as error:
        advice = "give your credentials that permission" if _is_denied(error) else "check that this AWS has the service"
        found.append(amber(f"could not be checked: {aws.in_words(error)}", advice))
    except RedialError as error:
        found.append(amber(f"could not be checked: {error}", "repair what is red first"))
    return found


def _is_denied(error: Exception) -> bool:
    return isinstance(error, ClientError) and aws.code(error) in aws.DENIED


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register ``doctor``."""
    parser = subparsers.add_parser("doctor", help="check a live deployment, and say what to do about each fault")
    parser.add_argument("--stage", default="dev", help="the Chalice stage (default: dev)")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    found = list(examine(Deployment(arguments.stage)))
    levels = [finding.level for _, finding in found]
    worst = next(level for level in reversed(Level) if level in (*levels, Level.GREEN))
    if arguments.json:
        listed = [
            {"check": name, "level": finding.level, "what": finding.what, "advice": finding.advice}
            for name, finding in found
        ]
        print(json.dumps({"stage": arguments.stage, "level": worst, "findings": listed}, indent=2))
    else:
        _show(arguments.stage, found)
    return 1 if worst is Level.RED else 0


def _show(stage: str, found: list[tuple[str, Finding]]) -> None:
    console = Console(highlight=False)
    table = Table(title=f"stage {stage}", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("", "check", "finding", "what to do"):
        table.add_column(heading, overflow="fold")
    last_name = ""
    for name, finding in found:
        table.add_row(MARKS[finding.level], name if name != last_name else "", finding.what, finding.advice)
        last_name = name
    console.print(table)
    counts = {level: sum(finding.level is level for _, finding in found) for level in Level}
    console.print(", ".join(f"{n} {level}" for level, n in counts.items() if n))
