"""The watch of moto's table: due items, claimed attempts and waiting calls."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.dynamodb.models.dynamo_type import DynamoType, Item

from chalicelib.storage.calls import MAX_SET_BACK
from chalicelib.storage.codec import from_item
from chalicelib.storage.gates import COPIES
from ops.simulate.aws import Written
from ops.simulate.engine import Engine
from ops.simulate.evidence import Claimed, GateSeen, Misindexed, Paced, Waited

#: Two readings of a clock that is stepped may differ by this much.
SLACK = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A call that waits for its dial."""

    number: str
    since_tick: int
    due_at: datetime
    places: tuple[str, ...] = ()


class TableWatch:
    """Records the changes of the table: it reads each item that the app wrote.

    ``find`` returns moto's table.
    """

    def __init__(self, engine: Engine, find: Callable[[], Any]) -> None:
        self._engine = engine
        self._find = find
        self.due: dict[Written, datetime] = {}
        #: the shard of the due index that holds each of these items
        self._shards: dict[Written, str] = {}
        self.claims: list[Claimed] = []
        self.waited: list[Waited] = []
        self.waiting: dict[str, Waiting] = {}
        self.call_ids: dict[int, list[str]] = {}
        self.made_at: dict[str, int] = {}
        #: a call that has not ended -> when its policy ends
        self._ends_at: dict[str, datetime] = {}
        #: an hour of the wheel -> the places that are held in it, by scope and minute
        self._places: dict[Written, Counter[tuple[str, datetime]]] = {}
        #: the partition of a call -> its index, as text
        self.names: dict[str, str] = {}
        self.gates: list[GateSeen] = []
        self.paced: list[Paced] = []
        #: the latest stretch of a scope, and the calls started in it
        self._started: dict[str, tuple[int, int]] = {}
        self.settled: dict[str, int] = {}
        self.indexed_calls = 0
        self.misindexed: list[Misindexed] = []
        #: the item of a live attempt -> its token
        self._live: dict[Written, str] = {}
        self._tokens: set[str] = set()

    def touched(self, key: Written) -> None:
        """Record a write to a key."""
        item = self._read(key)
        self._note_due(key, item)
        if key.pk.startswith("WAKE#"):
            self._note_places(key, item)
        elif key.pk.startswith("GATE#"):
            self._note_gate(key.pk.removeprefix("GATE#"), self._closed_gate(key.pk))
        elif key.pk.startswith("PACE#") and item is not None:
            scope = key.pk.removeprefix("PACE#").partition(":")[0]
            self._note_pace(scope, int(item.attrs["stretch"].value), int(item.attrs["started"].value))
        elif key.pk.startswith("CALL#") and key.sk == "CALL" and item is not None:
            data = _plain(item)
            self._compare_index(key, data)
            self._note_call(key.pk.removeprefix("CALL#"), data)
        elif key.pk.startswith("CALL#") and key.sk.startswith("ATTEMPT#"):
            self._note_attempt(key, _plain(item) if item else {})

    def indexed(self, table: Any, index: str, _wanted: object) -> Iterator[Item]:
        """Return the items that the due index holds, or that another index may hold."""
        if index == "due":
            return (item for key in list(self.due) if (item := self._read(key)) is not None)
        return (item for partition in table.items.values() for item in partition.values())

    def has_due(self, shard: str) -> bool:
        """Return True if a shard of the due index holds an item."""
        return shard in self._shards.values()

    @property
    def live_until(self) -> datetime:
        """The time at which the policy of a call that has not ended expires first."""
        return min(self._ends_at.values(), default=self._engine.at)

    def has_ended(self, call_id: str, attempt: int) -> bool:
        """Return True if the table now shows the outcome of an attempt."""
        item = self._read(Written(f"CALL#{call_id}", f"ATTEMPT#{attempt:04d}"))
        return item is not None and _plain(item).get("outcome") is not None

    def misplaced(self, after: datetime) -> tuple[int, int]:
        """Count the places in later minutes without a call, and the calls without a place."""
        held = sum(self._places.values(), Counter[tuple[str, datetime]]())
        later = Counter({place: count for place, count in held.items() if place[1] > after})
        waiting = [each for each in self.waiting.values() if each.due_at > after]
        wanted = Counter((scope, each.due_at) for each in waiting for scope in each.places)
        return (later - wanted).total(), (wanted - later).total()

    def _note_places(self, key: Written, item: Item | None) -> None:
        hour, _, scope = key.sk.partition("#")
        begins = datetime.strptime(f"{key.pk.removeprefix('WAKE#')}{hour}", "%Y%m%d%H").replace(tzinfo=UTC)
        counters = item.attrs if item is not None else {}
        self._places[key] = Counter(
            {
                (scope, begins + timedelta(minutes=int(name[1:]))): int(counters[name].value)
                for name in counters
                if name[0] == "p" and name[1:].isdecimal()
            }
        )

    def _read(self, key: Written) -> Item | None:
        row: Item | None = self._find().items.get(DynamoType({"S": key.pk}), {}).get(DynamoType({"S": key.sk}))
        return row

    def _note_pace(self, scope: str, stretch: int, started: int) -> None:
        was_at, were_started = self._started.get(scope, (-1, 0))
        if was_at == stretch and started < were_started:
            given_back = max((p for p in self.paced if (p.scope, p.stretch) == (scope, stretch)), key=lambda p: p.tick)
            self.paced.remove(given_back)
        else:
            self.paced.append(Paced(scope, self._engine.tick, self._engine.at, stretch))
        self._started[scope] = stretch, started

    def _note_due(self, key: Written, item: Item | None) -> None:
        due_at = item.attrs.get("due_at") if item is not None else None
        if due_at is None:
            self.due.pop(key, None)
            self._shards.pop(key, None)
        elif item is not None:
            self._shards[key] = str(item.attrs["due_shard"].value)
            self.due[key] = datetime.fromtimestamp(int(due_at.value), UTC)

    def _compare_index(self, key: Written, data: dict[str, Any]) -> None:
        """Compare a call's own time with its time in the due index.

        The index may have a later time, but only if Redial set the call back after an error.
        """
        waits_until = data.get("due_at") if data["state"] == "scheduled" else data.get("deadline_at")
        due_at = datetime.fromisoformat(waits_until).replace(microsecond=0) if waits_until else None
        indexed_at = self.due.get(key)
        self.indexed_calls += 1
        if due_at is None or indexed_at is None:
            is_right = due_at == indexed_at
        else:
            is_right = due_at <= indexed_at <= max(due_at, self._engine.at + MAX_SET_BACK + SLACK)
        if not is_right:
            call_id = key.pk.removeprefix("CALL#")
            self.misindexed.append(Misindexed(call_id, self._engine.at, due_at, indexed_at))

    def _note_call(self, call_id: str, data: dict[str, Any]) -> None:
        # An erased call has lost its variables.
        index = int(self.names.get(f"CALL#{call_id}", data["variables"].get("n", -1)))
        if call_id not in self.call_ids.setdefault(index, []):
            self.call_ids[index].append(call_id)
            self.names[f"CALL#{call_id}"] = str(index)
            self.made_at[call_id] = self._engine.say(index, f"{call_id} is made for {data['to_number']}")
        if data["state"] == "final":
            self._ends_at.pop(call_id, None)
        else:
            self._ends_at[call_id] = datetime.fromisoformat(data["expires_at"])
        due_at = datetime.fromisoformat(data["due_at"]) if data.get("due_at") else None
        before = self.waiting.get(call_id)
        if before is not None and (data["state"] != "scheduled" or before.due_at != due_at):
            self.waited.append(Waited(call_id, before.due_at, self._engine.at, data["state"]))
        if data["state"] != "scheduled" or due_at is None:
            self.waiting.pop(call_id, None)
            if data["state"] == "final":
                self._say(index, f"{call_id} is final: {data['summary_status']} ({data['reason']})")
        elif before is None or before.due_at != due_at:
            self.waiting[call_id] = Waiting(data["to_number"], self._engine.tick, due_at, tuple(data["places"]))
            self._say(index, f"{call_id} waits until {due_at:%d %H:%M}")

    def _note_attempt(self, key: Written, data: dict[str, Any]) -> None:
        is_over = not data or data.get("outcome") is not None
        if is_over and key in self._live:
            self.settled[self._live.pop(key)] = self._engine.tick
        token = plain_token(data) if data else ""
        if not data or token in self._tokens:
            return
        self._tokens.add(token)
        self._live[key] = token
        call_id, number = key.pk.removeprefix("CALL#"), data["number"]
        tick = self._engine.say(int(self.names.get(key.pk, -1)), f"attempt {number} of {call_id} is claimed")
        at, app_at = self._engine.at, self._engine.now()
        self.claims.append(Claimed(call_id, number, token, tick, at, app_at, data["provider"], self._engine.began))

    def _closed_gate(self, pk: str) -> dict[str, Any]:
        """Return a gate's data while the gate and all its copies exist, else nothing."""
        gate = self._read(Written(pk, "GATE"))
        rows = self._find().items.get(DynamoType({"S": pk}), {})
        return _plain(gate) if gate is not None and len(rows) > COPIES else {}

    def _note_gate(self, scope: str, data: dict[str, Any]) -> None:
        until = datetime.fromisoformat(data["until"]) if data.get("until") else None
        state = (data.get("closed"), until)
        last = next((seen for seen in reversed(self.gates) if seen.scope == scope), None)
        if state == ((last.closed, last.until) if last else (None, None)):
            return
        words = f"is closed {data['closed']} until {until or 'it is opened'}" if data else "is open"
        self.gates.append(GateSeen(scope, self._engine.say(None, f"gate {scope} {words}"), *state))

    def _say(self, index: int, text: str) -> None:
        last = next((said.text for said in reversed(self._engine.trace) if said.call == index), "")
        if last != text:
            self._engine.say(index, text)


def plain_token(attempt: dict[str, Any]) -> str:
    """Return an attempt's token as it was before the erasure of its call."""
    return str(attempt["token"]).removeprefix("erased.")


def _plain(item: Item) -> dict[str, Any]:
    """Return the map ``data`` of an item as plain values."""
    data: dict[str, Any] = from_item(item.to_json()["Attributes"])["data"]
    return data
