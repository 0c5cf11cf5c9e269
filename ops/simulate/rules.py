"""EventBridge's rules in the simulation: each fires once in its minute.

A fault can make a rule fire late, twice or never.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from moto.events.models import EventBus, Rule, events_backends

from ops.simulate.chance import Chance
from ops.simulate.engine import Engine, Event
from ops.simulate.faults import Faults
from ops.simulate.settings import ACCOUNT, REGION
from ops.simulate.strict_aws import parse_cron

#: A rule that still exists after this time is left to the sweep.
STALE = timedelta(minutes=10, seconds=20)

#: The beginning of the name of a minute's rule
WAKE = "redial-dev-wake-"

Fire = Callable[[str, dict[str, Any]], None]


class Rules:
    """Fires each of moto's rules in its minute.

    It calls ``fire`` with the rule's name and its target's input.
    """

    def __init__(self, engine: Engine, faults: Faults, chance: Chance, fire: Fire) -> None:
        self._engine = engine
        self._faults = faults
        self._chance = chance
        self._fire = fire
        #: rule -> when it was first seen
        self._seen: dict[str, datetime] = {}
        self._fired: set[str] = set()
        self._bus: EventBus | None = None

    def next(self) -> Event | None:
        """Return the next event: the firing of the next rule."""
        rules = self._rules()
        self._seen = {name: self._seen.get(name, self._engine.at) for name in rules}
        self._fired &= rules.keys()
        ahead = [
            (minute, name)
            for name, rule in rules.items()
            # A rule that is created after its minute has begun never fires.
            if name not in self._fired and (minute := fires_at(rule.scheduled_expression)) >= self._seen[name]
        ]
        if not ahead:
            return None
        minute, name = min(ahead)
        return Event(max(minute, self._engine.at), -1, lambda: self._emit(rules[name]))

    @property
    def none_left(self) -> bool:
        """The bus has no rule."""
        return not self._rules()

    @property
    def stale_at(self) -> datetime | None:
        """The time at which the sweep takes over the oldest rule; None if no rule exists."""
        minutes = [fires_at(rule.scheduled_expression) for rule in self._rules().values()]
        return min(minutes) + STALE if minutes else None

    def fires_at(self, minute: datetime) -> datetime:
        """Return when the wake of a minute fires, if it exists and no fault happens."""
        return minute + timedelta(seconds=self._delay_sec(f"{WAKE}{minute:%Y%m%d%H%M}"))

    def _delay_sec(self, name: str) -> float:
        return self._chance.between(0, 5, "fires", name)

    def _rules(self) -> dict[str, Rule]:
        if self._bus is None:
            self._bus = events_backends[ACCOUNT][REGION].event_buses["default"]
        return self._bus.rules

    def _emit(self, rule: Rule) -> None:
        self._fired.add(rule.name)
        for target in list(rule.targets):
            payload = json.loads(target["Input"])
            delay_sec = self._delay_sec(rule.name)
            if self._hits("rule-never", rule.name):
                return
            if self._hits("rule-late", rule.name):
                delay_sec += self._chance.between(20, 300, "late", rule.name)
            self._engine.after(delay_sec, lambda payload=payload: self._fire(rule.name, payload))  # type: ignore[misc]
            if self._hits("rule-twice", rule.name):
                again_sec = delay_sec + self._chance.between(0, 1, "again", rule.name)
                self._engine.after(again_sec, lambda payload=payload: self._fire(f"{rule.name} again", payload))  # type: ignore[misc]

    def _hits(self, kind: str, name: str) -> bool:
        if not self._faults.hits(kind, self._engine.at, name):
            return False
        self._engine.say(None, f"fault {kind}: {name}")
        return True


@lru_cache(maxsize=4096)
def fires_at(expression: str | None) -> datetime:
    """Parse the minute of a one-shot cron expression."""
    minute, hour, day, month, year = parse_cron(expression or "")
    return datetime(year, month, day, hour, minute, tzinfo=UTC)
