"""What the use cases work with, handed in by whoever calls them."""

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

#: How long after the longest possible call its last callback may still come.
CALLBACK_MARGIN = timedelta(minutes=2)
#: How much longer than an attempt can last its slots are leased: the sweep needs time to find its end.
SLOT_MARGIN = timedelta(minutes=30)
#: No provider's own ring timeout is longer.
MAX_DEFAULT_RING_SEC = 60


@dataclass(frozen=True, slots=True)
class Ports:
    """The collaborators of every use case. ``provider`` gives a ready provider by its name.

    ``other_triggers`` are those of the backend that is not in use, where a switch of ``WAKE_BACKEND`` left some behind.
    ``fresh_provider`` gives it with its secrets read again; None where that would be no other.
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
        """How far ahead a wake must lie to be effective."""
        return timedelta(seconds=self.settings.wake_lead_seconds)

    @property
    def longest_attempt(self) -> timedelta:
        """How long an attempt may take from its dial to its last callback."""
        ringing = self.settings.ring_timeout_seconds or MAX_DEFAULT_RING_SEC
        longest = ringing + self.settings.max_call_seconds
        return timedelta(seconds=longest) + CALLBACK_MARGIN

    @property
    def lease(self) -> timedelta:
        """How long an attempt may keep its slots at most: it has ended long before, unless nobody was there to see."""
        return self.longest_attempt + SLOT_MARGIN

    def pace_of(self, provider: str) -> Pace | None:
        """How fast calls may be started on the provider's account, where the deployment says so."""
        per_second = self.settings.calls_per_second(provider)
        return Pace.of(per_second) if per_second else None

    def workspace_pace(self, workspace: str) -> Pace | None:
        """How fast calls of the workspace may be started, on all accounts together, where anybody says so."""
        per_second = self.workspaces.load(workspace).calls_per_second or self.settings.workspace_calls_per_second
        return Pace.of(per_second) if per_second else None

    def limits_of(self, workspace: str) -> Limits:
        """Return what the workspace may dial and spend: each limit as it says itself, or as the deployment does."""
        own, default = self.workspaces.load(workspace).limits, self.settings.workspace_limits
        return Limits(
            allow=default.allow if own.allow is None else own.allow,
            daily_dials=own.daily_dials or default.daily_dials,
            daily_minutes=own.daily_minutes or default.daily_minutes,
        )

    def minute_capacity(self, provider: str) -> int:
        """How many dials one minute of the provider's account is planned with."""
        pace = self.pace_of(provider) or Pace.of(provider_class(provider).calls_per_second)
        return pace.a_minute
