"""Judge the items of the restored table.

End calls that were dialled after the restore point, erase numbers that were erased since, and remove revoked secrets.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from chalicelib.domain import lifecycle
from chalicelib.domain.call import Call, CallRecord, CallState
from chalicelib.domain.decide import Reason
from chalicelib.domain.events import CallEvent
from chalicelib.domain.outcome import SummaryStatus
from chalicelib.domain.transition import Transition
from chalicelib.errors import NotFound, RedialError
from chalicelib.ids import split_callback_token
from chalicelib.providers import Unanswered
from chalicelib.storage import items
from chalicelib.storage.adoptions import Pending
from chalicelib.storage.batch import get_items
from chalicelib.storage.codec import from_attribute
from chalicelib.storage.items import Item
from chalicelib.storage.reading import UNREADABLE
from chalicelib.storage.versions import Kind, data_of
from chalicelib.usecases.calls.schedule import change
from chalicelib.usecases.numbers.erase_number import erase_number
from chalicelib.usecases.ports import Ports
from ops.restore.carry import Evidence, Key, by_key, key_of, pages
from ops.restore.merge import Pass, kind, rank

#: The provider's clock and ours may differ by this much.
CLOCKS_APART = timedelta(seconds=5)
#: kinds of which an item that the old table lacks was taken away there -> the time in it at which it was made
TAKEN_AWAY = {"KEY": "created_at", "ADOPTION": "since", "PENDING": "since"}
#: those of them that are secrets
SECRETS = ("KEY", "ADOPTION")


class Verdict(StrEnum):
    """A call of the restored table that may still be dialled, and the evidence."""

    AS_CARRIED = "live, as in the old table"
    NOT_DIALLED = "live, not dialled since"
    DIALLED = "ended, dialled since"
    UNSURE = "ended, because nobody knows whether they were dialled since"
    KEPT_UNSURE = "live, although nobody knows whether they were dialled since"
    UNANSWERED = "not answered for by their provider"


@dataclass(slots=True, kw_only=True)
class Judging:
    """A walk over the restored table ``new``. ``old`` is None if that table is lost.

    Since ``stopped_at`` nothing was dialled. ``keep_unsure`` lets calls live of which nobody can tell whether they were
    dialled, ``keep_secrets`` the API keys and adoption tokens that the old table lacks.
    """

    dynamodb: Any
    old: Ports | None
    new: Ports
    when: Pass
    evidence: Evidence
    stopped_at: datetime
    keep_unsure: bool = False
    keep_secrets: bool = False
    dry_run: bool = False
    saw: Callable[[int], None] = lambda number: None

    def run(self) -> Counter[str]:
        """Judge every item, and return the counts of what was done.

        Raises RedialError if a provider did not answer and must be asked again.
        """
        counts: Counter[str] = Counter()
        last: tuple[str, str] | None = None
        for page in pages(self.dynamodb, self.new.settings.table_name, items.epoch(self.new.clock.now())):
            for workspace, number in sorted({each for item in page if (each := _number_of(item)) is not None}):
                if (workspace, number) != last and self.evidence.is_erased(workspace, number):
                    counts["numbers erased again"] += 1
                    self._erase(workspace, number)
                last = workspace, number
            counts.update(self._taken_away(page))
            if self.when.first_at is None:
                counts.update(self._calls(page))
            self.saw(len(page))
        if unanswered := counts[Verdict.UNANSWERED]:
            raise RedialError(f"{unanswered} calls were {Verdict.UNANSWERED}: run this again, once it answers")
        return counts

    def _erase(self, workspace: str, number: str) -> None:
        while not self.dry_run and not erase_number(self.new, workspace, number).complete:
            pass

    # -- what was taken away in the old table --------------------------------------------------------------------------

    def _taken_away(self, page: list[Item]) -> Iterator[str]:
        """Remove the items of these kinds that the old table lacks.

        Items that were made in the restored table itself stay.
        """
        doubtful = [item for item in page if kind(item) in TAKEN_AWAY and self._is_from_before(item)]
        there = self._of_old(doubtful)
        for item in doubtful:
            if key_of(item) in there or (self.keep_secrets and kind(item) in SECRETS):
                continue
            if self.old is None and kind(item) in SECRETS:
                yield f"{kind(item)} kept, although it may have been revoked since"
                continue
            if not self.dry_run:
                self._remove(item)
            yield f"removed {kind(item)}"

    def _is_from_before(self, item: Item) -> bool:
        at = from_attribute(item["data"]).get(TAKEN_AWAY[kind(item)])
        return self.when.first_at is None or at is None or datetime.fromisoformat(at) < self.when.first_at

    def _remove(self, item: Item) -> None:
        if kind(item) == "PENDING":
            # With the count of its workspace.
            self.new.adoptions.remove(_pending(item))
            return
        self.dynamodb.delete_item(TableName=self.new.settings.table_name, Key={"pk": item["pk"], "sk": item["sk"]})

    def _of_old(self, wanted: list[Item]) -> dict[Key, Item]:
        if self.old is None or not wanted:
            return {}
        keys = [items.key(*key) for key in sorted({key_of(item) for item in wanted})]
        return by_key(get_items(self.dynamodb, self.old.settings.table_name, keys))

    # -- calls ---------------------------------------------------------------------------------------------------------

    def _calls(self, page: list[Item]) -> Iterator[str]:
        """Yield the verdict on every call that may still be dialled."""
        stored = [item for item in page if kind(item) == "CALL CALL"]
        there = self._of_old(stored)
        for item in stored:
            try:
                call = items.read_call(item)
            except UNREADABLE:
                yield "CALL unreadable, and never dialled"
                continue
            if call.state is CallState.FINAL:
                continue
            verdict, step = self._verdict(call, there.get(key_of(item)))
            if verdict in (Verdict.DIALLED, Verdict.UNSURE) and not self.dry_run:
                self._end(call.id, step)
            yield verdict

    def _verdict(self, call: Call, old: Item | None) -> tuple[Verdict, str]:
        """Return the verdict on a call.

        The evidence is asked for in this order: the call's item, its number, its provider.

        With it comes the step of the decision that ends the call.
        """
        claimed = self.evidence.attempts.get(call.id, 0)
        if claimed > call.attempt:
            return Verdict.DIALLED, f"attempt {claimed} was dialled after the restore point"
        if old is not None and _is_as_new(old, call):
            return Verdict.AS_CARRIED, ""
        if self._number_speaks(call) or self._was_not_due(call):
            return Verdict.NOT_DIALLED, ""
        try:
            return self._asked(call)
        except Unanswered:
            return Verdict.UNANSWERED, ""

    def _number_speaks(self, call: Call) -> bool:
        """Return True if the old table has the call's number.

        The item of the number would name an attempt that was claimed.
        """
        if self.old is None:
            return False
        key = items.key(f"NUMBER#{call.workspace}#{call.to_number}", "NUMBER")
        found = self.dynamodb.get_item(TableName=self.old.settings.table_name, Key=key, ConsistentRead=True).get("Item")
        try:
            return found is not None and isinstance(data_of(Kind.NUMBER, found)["made"], dict)
        except UNREADABLE:
            return False

    def _was_not_due(self, call: Call) -> bool:
        return call.state is CallState.SCHEDULED and call.due_at is not None and call.due_at > self.stopped_at

    def _asked(self, call: Call) -> tuple[Verdict, str]:
        """Ask each provider that may have dialled the call.

        Raises Unanswered.
        """
        record = self.new.calls.load(call.id)
        lines = [(call.provider, call.from_number)]
        if failover := call.policy.failover:
            lines.append((failover.provider, failover.from_number or call.from_number))
        for name, from_number in lines:
            found = self._found(name, from_number, call)
            if found is None:
                step = f"{name} does not know whether the call was dialled after the restore point"
                return (Verdict.KEPT_UNSURE if self.keep_unsure else Verdict.UNSURE), step
            others = [event for event in found if record is None or _may_be_another(event, record)]
            if others:
                return Verdict.DIALLED, f"{name} lists a call to the number after the restore point"
        return Verdict.NOT_DIALLED, ""

    def _found(self, name: str, from_number: str, call: Call) -> list[CallEvent] | None:
        try:
            provider = self.new.provider(name)
        except RedialError:
            return None
        since, until = self.when.point - CLOCKS_APART, self.new.clock.now()
        return provider.find(call.to_number, from_number, since, until, call.agent_version_id)

    def _end(self, call_id: str, step: str) -> None:
        try:
            change(self.new, call_id, lambda record: _ended(record, step, self.new.clock.now()))
        except NotFound:
            return


def _is_as_new(old: Item, call: Call) -> bool:
    """Return True if the old item is readable and not older than the restored one.

    An item that is older than the restored one is damaged.
    """
    try:
        return rank(items.read_call(old)) >= rank(call)
    except UNREADABLE:
        return False


def _may_be_another(event: CallEvent, record: CallRecord) -> bool:
    """Return False for an attempt of the record, and for one of another call."""
    if event.provider_call_id in {attempt.provider_call_id for attempt in record.attempts}:
        return False
    named = split_callback_token(event.token) if event.token else None
    return named is None or (named[0] == record.call.id and record.attempt(named[1]) is None)


def _ended(record: CallRecord, step: str, now: datetime) -> Transition:
    """End a call so that no late callback opens it again."""
    closed = replace(record, call=replace(record.call, canceled_at=record.call.canceled_at or now))
    return lifecycle.end(closed, summary=SummaryStatus.CANCELED, reason=Reason.CANCELED, step=step, now=now)


def _number_of(item: Item) -> tuple[str, str] | None:
    pk, _ = key_of(item)
    if not pk.startswith("NUMBER#"):
        return None
    _, workspace, number = pk.split("#")
    return workspace, number


def _pending(item: Item) -> Pending:
    from chalicelib.storage.adapters import adapter

    return adapter(Pending).validate_python(from_attribute(item["data"]))
