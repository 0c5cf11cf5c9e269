"""Move a stage to a restored table: ``python -m ops restore``.

For example: ``python -m ops restore --stage prod --from redial-prod-restored``.

A restored table is as it was at the restore point, so by itself it calls people a second time. Each step can be
repeated: the same command finishes a run that was stopped. Nothing is dialled from the closing of the gates until
``python -m ops start``.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.progress import Progress

from chalicelib.errors import RedialError
from chalicelib.runtime.services import client
from chalicelib.storage import items
from chalicelib.storage.codec import to_item
from chalicelib.storage.gates import EVERYTHING
from chalicelib.storage.query import query_items
from chalicelib.usecases.gates.pause import pause, paused
from chalicelib.usecases.ports import Ports
from ops import aws
from ops.data.table import table_name
from ops.deploying.provision_table import OtherShape, wrong_shape
from ops.names import stage_prefix
from ops.ports import ports_of
from ops.restore import marker, settings, switch
from ops.restore.carry import Carrying, Evidence
from ops.restore.judge import Judging
from ops.restore.marker import Marker
from ops.restore.merge import Pass
from ops.steps import Steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The options of the command.

    ``table`` is the restored table. ``old`` and ``point`` are None if the user does not give them.
    """

    stage: str
    table: str
    old: str | None = None
    without_old: bool = False
    point: datetime | None = None
    keep_unsure: bool = False
    keep_secrets: bool = False


@dataclass(slots=True)
class Restore:
    """The steps of a restore, in their order.

    ``watch`` returns a function that is called with the number of items of each page.
    """

    wanted: Wanted
    steps: Steps
    watch: Callable[[str, int], Any]
    dynamodb: Any = field(default_factory=lambda: client("dynamodb"))

    def run(self) -> Marker:
        """Close the gates, set the settings of the restored table, and carry over.

        Raises RedialError and botocore's errors.
        """
        described = settings.wait_for(self.dynamodb, self.wanted.table, self.steps)
        if wrong := wrong_shape(described):
            raise OtherShape(f"the table {self.wanted.table} is none of Redial's: {'; '.join(wrong)}")
        begun = marker.load(self.dynamodb, self.wanted.table)
        if begun is not None and begun.finished_at is not None:
            raise RedialError(
                f"the restore of {self.wanted.table} is finished since {begun.finished_at:%Y-%m-%dT%H:%MZ}"
            )
        old = self._old(begun)
        new_ports = ports_of(self.wanted.stage, self.wanted.table)
        old_ports = ports_of(self.wanted.stage, old["TableName"]) if old else None
        # The restored table's gate first: whatever happens next, nothing is dialled from it.
        self._stop(new_ports, begun)
        if old_ports is not None:
            self._stop(old_ports, begun)
        begun = begun or Marker(
            table=self.wanted.table,
            old=old["TableName"] if old else None,
            point=self._point(described),
            stopped_at=new_ports.clock.now(),
        )
        self._save(begun)
        settings.set_settings(client, described, old, self.steps)
        return self._carry(begun, old_ports, new_ports)

    def _old(self, begun: Marker | None) -> dict[str, Any] | None:
        """Return the description of the old table, or None if that table is lost."""
        if self.wanted.without_old or (begun is not None and begun.old is None):
            return None
        configured = table_name(self.wanted.stage)
        default = configured if configured != self.wanted.table else stage_prefix(self.wanted.stage)
        name = self.wanted.old or (begun.old if begun else None) or default
        if name == self.wanted.table:
            raise RedialError(f"{name} cannot be both the old table and the restored one: name the old one with --old")
        found = aws.find(lambda: self.dynamodb.describe_table(TableName=name))
        if found is None:
            raise RedialError(
                f"there is no table {name}; name the old one with --old, or where it is lost say --without-old: the "
                "providers are asked then what was dialled"
            )
        table: dict[str, Any] = found["Table"]
        return table

    def _point(self, described: Mapping[str, Any]) -> datetime:
        point: datetime | None = self.wanted.point or described.get("RestoreSummary", {}).get("RestoreDateTime")
        if point is None:
            raise RedialError(
                f"nobody says to which time {self.wanted.table} was restored: say --at 2026-01-26T10:00:00Z"
            )
        return point.astimezone(UTC)

    def _stop(self, ports: Ports, begun: Marker | None) -> None:
        """Close the gate of everything.

        Close it even if it seems closed: a run that was killed may have closed only a part of its copies.
        """
        table = ports.settings.table_name
        reason = f"{self.wanted.table} is being restored"
        self.steps.ensure(
            f"no dial begins from {table}",
            begun is not None and paused(ports, EVERYTHING) is not None,
            lambda: pause(ports, EVERYTHING, reason, None),
        )

    def _carry(self, begun: Marker, old: Ports | None, new: Ports) -> Marker:
        when, began_at = Pass(begun.point, begun.carried_at), new.clock.now()
        evidence = Evidence()
        if old is not None:
            with self.watch(f"carrying over from {begun.old}", self._size(str(begun.old))) as saw:
                carrying = Carrying(self.dynamodb, old, new, when, self.steps.dry_run, saw, evidence)
                self._say(carrying.run())
        with self.watch(f"judging {self.wanted.table}", self._size(self.wanted.table)) as saw:
            judging = Judging(
                dynamodb=self.dynamodb,
                old=old,
                new=new,
                when=when,
                evidence=evidence,
                stopped_at=begun.stopped_at,
                keep_unsure=self.wanted.keep_unsure,
                keep_secrets=self.wanted.keep_secrets,
                dry_run=self.steps.dry_run,
                saw=saw,
            )
            self._say(judging.run())
        if when.first_at is None and not self.steps.dry_run:
            self._count_pending()
        carried = replace(begun, carried_at=begun.carried_at or began_at)
        self._save(carried)
        return carried

    def _count_pending(self) -> None:
        """Count again how many calls of each workspace wait to be adopted."""
        keys = {":pending": {"S": "PENDING"}}
        table = self.wanted.table
        asked = {"TableName": table, "KeyConditionExpression": "pk = :pending", "ExpressionAttributeValues": keys}
        counts = Counter(item["sk"]["S"].partition("#")[0] for item in query_items(self.dynamodb, **asked))
        for workspace, waiting in counts.items():
            item = items.key(f"PENDINGCOUNT#{workspace}", "PENDINGCOUNT") | to_item({"waiting": waiting})
            self.dynamodb.put_item(TableName=table, Item=item)

    def finish(self, carried: Marker) -> None:
        """Record that the restore is finished, so that ``start`` may dial."""
        self._save(replace(carried, finished_at=datetime.now(UTC)))

    def _save(self, state: Marker) -> None:
        if not self.steps.dry_run:
            marker.save(self.dynamodb, self.wanted.table, state)

    def _size(self, table: str) -> int:
        return int(self.dynamodb.describe_table(TableName=table)["Table"].get("ItemCount") or 0)

    def _say(self, counts: Counter[str]) -> None:
        for what, number in sorted(counts.items()):
            self.steps.note("would be" if self.steps.dry_run else "counted", f"{number:>7}  {what}")


def add_parser(subparsers: Any) -> None:
    """Register ``restore``."""
    parser = subparsers.add_parser(
        "restore", help="move a stage to a restored table, without calling anybody a second time"
    )
    parser.add_argument("--stage", default="dev", help="the Chalice stage (default: dev)")
    parser.add_argument("--from", dest="table", required=True, metavar="TABLE", help="the restored table")
    old = parser.add_mutually_exclusive_group()
    old.add_argument(
        "--old", metavar="TABLE", help="the table that the stage had (default: the table in .chalice/config.json)"
    )
    old.add_argument(
        "--without-old", action="store_true", help="the old table is lost: look for its calls at the providers"
    )
    parser.add_argument(
        "--at", type=_time, metavar="TIME", help="the restore point (default: the time that DynamoDB reports)"
    )
    parser.add_argument("--keep-unsure", action="store_true", help="keep a call if nobody knows whether it was dialled")
    parser.add_argument(
        "--keep-secrets",
        action="store_true",
        help="keep API keys and adoption tokens that are missing in the old table",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    end = parser.add_mutually_exclusive_group()
    end.add_argument(
        "--switch", action="store_true", help="write the table's name into .chalice/config.json and the IAM policies"
    )
    end.add_argument(
        "--finish", action="store_true", help="after the deployment: copy what the old Lambdas wrote meanwhile"
    )
    parser.set_defaults(run=_run)


def _time(text: str) -> datetime:
    at = None
    with suppress(ValueError):
        at = datetime.fromisoformat(text)
    if at is None or at.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time with its zone (example: 2026-01-26T10:00:00Z)")
    return at.astimezone(UTC)


def _run(args: argparse.Namespace) -> int:
    stage, table, steps = args.stage, args.table, Steps(print, args.dry_run)
    wanted = Wanted(
        stage=stage,
        table=table,
        old=args.old,
        without_old=args.without_old,
        point=args.at,
        keep_unsure=args.keep_unsure,
        keep_secrets=args.keep_secrets,
    )
    if args.finish:
        switch.check_deployed(client, stage, table)
    print(f"stage {stage}, from {table}:")
    restore = Restore(wanted, steps, _watched)
    carried = restore.run()
    if args.switch:
        switch.switch(stage, table, steps)
    if args.dry_run:
        print("nothing was changed")
    elif args.finish:
        restore.finish(carried)
        print("every call, opt-out and secret is in the restored table. To dial again:")
        print(f"  python -m ops alarms --stage {stage} --topic ARN   # they watch the table by its name")
        print(f"  python -m ops doctor --stage {stage}")
        print(f"  python -m ops start --stage {stage}")
    elif args.switch:
        print(switch.what_next(client, stage, table))
    else:
        print(f"next: python -m ops restore --stage {stage} --from {table} --switch")
    return 0


@contextmanager
def _watched(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar while a table is read."""
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total or None)
        yield lambda number: progress.advance(task, number)
