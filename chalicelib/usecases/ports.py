"""The collaborators of the use cases. The caller of a use case passes them in."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from chalicelib.clock import Clock
from chalicelib.domain.limits import Limits
from chalicelib.providers import CallbackRequest, Provider, provider_class
from chalicelib.runtime.settings import Settings
from chalicelib.storage.adoption_tokens import AdoptionTokens
from chalicelib.storage.adoptions import AdoptionStore
from chalicelib.storage.budgets import BudgetStore
from chalicelib.storage.calls import CallStore
from chalicelib.storage.erasure import ErasureStore
from chalicelib.storage.gates import GateStore
from chalicelib.storage.health import HealthStore
from chalicelib.storage.notes import NoteStore
from chalicelib.storage.numbers import NumberStore
from chalicelib.storage.owners import OwnerStore
from chalicelib.storage.pace import Pace, PaceStore
from chalicelib.storage.policies import PolicyStore
from chalicelib.storage.slots import SlotStore
from chalicelib.storage.wakes import WakeStore
from chalicelib.storage.workspaces import WorkspaceStore
from chalicelib.wheel import Triggers

#: The last callback may arrive this long after the longest possible call has ended.
CALLBACK_MARGIN = timedelta(minutes=2)
#: The lease of a slot is this much longer than the longest attempt. The sweep needs that time to find the attempt's
#: end.
SLOT_MARGIN = timedelta(minutes=30)
#: The longest ring timeout that any provider uses by default.
MAX_DEFAULT_RING_SEC = 60


@dataclass(frozen=True, slots=True)
class Ports:
    """The collaborators of every use case.

    ``provider`` returns a provider by its name, ready to use. ``fresh_provider`` reads the provider's secrets again; it
    returns None if they have not changed.

    ``other_triggers`` are the triggers of the backend that is not in use. A switch of ``WAKE_BACKEND`` leaves some of
    them behind.
    """

    settings: Settings
    clock: Clock
    calls: CallStore
    notes: NoteStore
    owners: OwnerStore
    numbers: NumberStore
    gates: GateStore
    slots: SlotStore
    pace: PaceStore
    budgets: BudgetStore
    health: HealthStore
    wakes: WakeStore
    triggers: Triggers
    other_triggers: Triggers
    workspaces: WorkspaceStore
    erasure: ErasureStore
    policies: PolicyStore
    adoption_tokens: AdoptionTokens
    adoptions: AdoptionStore
    provider: Callable[[str], Provider]
    fresh_provider: Callable[[str], Provider | None]
    check_sender: Callable[[str, CallbackRequest], None]

    @property
    def wake_lead(self) -> timedelta:
        """The minimum time between now and a wake that EventBridge can still deliver."""
        return timedelta(seconds=self.settings.wake_lead_seconds)

    @property
    def longest_attempt(self) -> timedelta:
        """The longest time between the dial of an attempt and its last callback."""
        ringing = self.settings.ring_timeout_seconds or MAX_DEFAULT_RING_SEC
        longest = ringing + self.settings.max_call_seconds
        return timedelta(seconds=longest) + CALLBACK_MARGIN

    @property
    def lease(self) -> timedelta:
        """The time for which an attempt holds its slots, if nothing releases them earlier.

        Normally the attempt has ended long before. The lease ends the hold if nobody recorded that end.
        """
        return self.longest_attempt + SLOT_MARGIN

    def pace_of(self, provider: str) -> Pace | None:
        """Return the rate limit of the provider's account; None if none is set."""
        per_second = self.settings.calls_per_second(provider)
        return Pace.of(per_second) if per_second else None

    def workspace_pace(self, workspace: str) -> Pace | None:
        """Return the rate limit of a workspace over all accounts; None if none is set.

        The workspace's own setting has precedence over the deployment's default.
        """
        per_second = self.workspaces.load(workspace).calls_per_second or self.settings.workspace_calls_per_second
        return Pace.of(per_second) if per_second else None

    def limits_of(self, workspace: str) -> Limits:
        """Return what the workspace may dial and spend.

        Each limit is the workspace's own; if the workspace has none, it is the deployment's default.
        """
        own, default = self.workspaces.load(workspace).limits, self.settings.workspace_limits
        return Limits(
            allow=default.allow if own.allow is None else own.allow,
            daily_dials=own.daily_dials or default.daily_dials,
            daily_minutes=own.daily_minutes or default.daily_minutes,
        )

    def minute_capacity(self, provider: str) -> int:
        """Return how many dials Redial plans in one minute of the provider's account."""
        pace = self.pace_of(provider) or Pace.of(provider_class(provider).calls_per_second)
        return pace.a_minute
