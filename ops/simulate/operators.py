"""The operators' changes during a run: they remove credentials and lower a limit."""

import os
from collections.abc import Callable, Mapping
from datetime import datetime

from chalicelib.runtime import services as parts
from chalicelib.storage.workspaces import Workspace, WorkspaceStore
from ops.simulate import settings, traffic
from ops.simulate.chance import Chance
from ops.simulate.engine import Engine
from ops.simulate.evidence import Evidence, LimitSet
from ops.simulate.faults import Faults

#: The variable without which a provider is not set up
CREDENTIALS = {"twilio": "TWILIO_AUTH_TOKEN", "plivo": "PLIVO_AUTH_TOKEN"}


class Operators:
    """The operators, who change the environment and the workspace's settings.

    ``begin`` starts a process that uses the changed settings.
    """

    def __init__(
        self,
        engine: Engine,
        chance: Chance,
        faults: Faults,
        env: Mapping[str, str],
        evidence: Evidence,
        begin: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._chance = chance
        self._faults = faults
        self._env = env
        self._evidence = evidence
        self._begin = begin

    def expect(self, start: datetime) -> None:
        """Schedule all changes that this seed has."""
        for provider in CREDENTIALS:
            self._faults.lasts("credentials-removed", start, provider)
            for at in (at for span in self._faults.spans("credentials-removed", provider) for at in span):
                self._engine.at_time(at, lambda provider=provider: self._set_up(provider))  # type: ignore[misc]
        burst = min(traffic.bursts(self._chance, self._evidence.plan.calls, start, settings.SPAN))
        lowered = settings.lowered_limit(self._chance, self._evidence.own_limit, burst)
        if lowered is not None:
            self._engine.at_time(lowered[0], lambda: self._lower(lowered[1]))

    def lack_credentials(self) -> bool:
        """Return True while a provider's credentials are removed."""
        return any(not os.environ.get(name) for name in CREDENTIALS.values())

    def _set_up(self, provider: str) -> None:
        """Begin a process with the provider's credentials, or without removed ones."""
        removed = self._faults.lasts("credentials-removed", self._engine.at, provider)
        name = CREDENTIALS[provider]
        os.environ[name] = "" if removed else self._env[name]
        self._engine.say(None, f"the credentials of {provider} are {'removed' if removed else 'there again'}")
        self._begin()

    def _lower(self, most: int) -> None:
        store = WorkspaceStore(parts.client("dynamodb"), settings.TABLE, self._engine.now)
        store.put(Workspace(settings.WORKSPACE, max_concurrent_calls=most))
        self._evidence.lowered.append(LimitSet(self._engine.at, most))
        self._engine.say(None, f"the workspace may have {most} calls in flight from now on")
        self._begin()
