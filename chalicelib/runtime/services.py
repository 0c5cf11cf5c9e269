"""The composition root: settings, botocore's clients, the ports of the use cases."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from typing import Any

import botocore.session
from botocore.config import Config

from chalicelib.clock import Clock
from chalicelib.errors import RedialError
from chalicelib.providers import Http
from chalicelib.runtime.ready_providers import ReadyProviders
from chalicelib.runtime.settings import APP_NAME, Settings, WakeBackend
from chalicelib.runtime.vault import Vault
from chalicelib.storage.adoption_tokens import AdoptionTokens
from chalicelib.storage.adoptions import AdoptionStore
from chalicelib.storage.budgets import BudgetStore
from chalicelib.storage.calls import CallStore
from chalicelib.storage.erasure import ErasureStore
from chalicelib.storage.gates import GateStore
from chalicelib.storage.health import HealthStore
from chalicelib.storage.history import HistoryStore
from chalicelib.storage.keys import KeyStore
from chalicelib.storage.notes import NoteStore
from chalicelib.storage.numbers import NumberStore
from chalicelib.storage.owners import OwnerStore
from chalicelib.storage.pace import PaceStore
from chalicelib.storage.policies import PolicyStore
from chalicelib.storage.rates import RateStore
from chalicelib.storage.retention import Retention
from chalicelib.storage.slots import SlotStore
from chalicelib.storage.wakes import WakeStore
from chalicelib.storage.workspaces import WorkspaceStore
from chalicelib.usecases.ports import Ports
from chalicelib.wheel import RuleTriggers, SchedulerTriggers, Triggers

#: The configuration of all clients but those of the triggers.
#:
#: Each request to AWS is idempotent or conditional, so botocore may repeat it. The timeouts are short because Redial
#: must answer a callback within 2 s.
AWS_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 4},
    connect_timeout=2,
    read_timeout=5,
    max_pool_connections=32,
)
#: The configuration of the clients of EventBridge and Scheduler: one attempt and short timeouts.
#:
#: The sweep dials a call that has no trigger, so Redial does not wait for a trigger that AWS refuses. Botocore would
#: repeat a LimitExceededException, but AWS answers it to each request while the quota is full.
TRIGGER_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 1},
    connect_timeout=1,
    read_timeout=1,
    max_pool_connections=32,
)
TRIGGER_SERVICES = ("events", "scheduler")
OTHER_BACKEND = {WakeBackend.RULE: WakeBackend.SCHEDULER, WakeBackend.SCHEDULER: WakeBackend.RULE}


@dataclass(frozen=True, slots=True)
class Services:
    """The ports and stores that the API and the Lambdas use."""

    ports: Ports
    keys: KeyStore
    history: HistoryStore
    policies: PolicyStore
    rates: RateStore


def build(env: Mapping[str, str], clock: Clock, own_arn: str | None, http: Http | None = None) -> Services:
    """Build the services of a deployment from its environment.

    ``own_arn`` is the ARN of the running Lambda. Redial derives the ARN of the redial Lambda from it if REDIAL_ARN is
    not set. Raises RedialError if a variable of the environment is wrong.
    """
    settings = Settings.from_env(env)
    dynamodb = client("dynamodb")
    table = settings.table_name
    workspaces = WorkspaceStore(dynamodb, table, clock.now)
    retention = Retention(workspaces, settings.retention_days, clock.now)
    ready = ReadyProviders(settings, Vault(client, clock.now), clock.now, http)
    policies = PolicyStore(dynamodb, table)
    ports = Ports(
        settings=settings,
        clock=clock,
        calls=CallStore(dynamodb, table, retention),
        notes=NoteStore(dynamodb, table, retention),
        owners=OwnerStore(dynamodb, table, retention),
        numbers=NumberStore(dynamodb, table, retention),
        gates=GateStore(dynamodb, table),
        slots=SlotStore(dynamodb, table),
        pace=PaceStore(dynamodb, table),
        budgets=BudgetStore(dynamodb, table),
        health=HealthStore(dynamodb, table),
        wakes=WakeStore(dynamodb, table),
        triggers=_LazyTriggers(settings, own_arn, settings.wake_backend),
        other_triggers=_LazyTriggers(settings, own_arn, OTHER_BACKEND[settings.wake_backend]),
        provider=ready,
        fresh_provider=ready.fresh,
        check_sender=ready.check_sender,
        workspaces=workspaces,
        erasure=ErasureStore(dynamodb, table, retention),
        policies=policies,
        adoption_tokens=AdoptionTokens(dynamodb, table),
        adoptions=AdoptionStore(dynamodb, table),
    )
    return Services(
        ports=ports,
        keys=KeyStore(dynamodb, table),
        history=HistoryStore(dynamodb, table, retention),
        policies=policies,
        rates=RateStore(dynamodb, table),
    )


@cache
def client(service: str) -> Any:
    """Return the botocore client of an AWS service.

    Each process makes a client once, because this costs a cold start tens of milliseconds.
    """
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    config = TRIGGER_CONFIG if service in TRIGGER_SERVICES else AWS_CONFIG
    return _session().create_client(service, region_name=region, config=config)


@cache
def _session() -> Any:
    return botocore.session.get_session()


class _LazyTriggers:
    """The triggers of a backend, with a client that is made on first use.

    Most callbacks set no trigger, so they need no client.
    """

    def __init__(self, settings: Settings, own_arn: str | None, backend: WakeBackend) -> None:
        self._settings = settings
        self._own_arn = own_arn
        self._backend = backend

    @cached_property
    def _triggers(self) -> Triggers:
        return self._make()

    def arm(self, wake: datetime) -> None:
        self._triggers.arm(wake)

    def disarm(self, wake: datetime) -> None:
        self._triggers.disarm(wake)

    def armed(self) -> Iterator[datetime]:
        return self._triggers.armed()

    def in_use(self) -> int | None:
        return self._triggers.in_use()

    def _make(self) -> Triggers:
        settings = self._settings
        prefix = f"{APP_NAME}-{settings.stage}-wake-"
        redial_arn = settings.redial_arn or _sibling_arn(self._own_arn, settings)
        if self._backend is WakeBackend.RULE:
            return RuleTriggers(client("events"), prefix, redial_arn)
        if settings.scheduler_role_arn is None and settings.wake_backend is WakeBackend.SCHEDULER:
            raise RedialError("WAKE_BACKEND=scheduler needs SCHEDULER_ROLE_ARN, a role that may invoke redial")
        return SchedulerTriggers(client("scheduler"), prefix, redial_arn, settings.scheduler_role_arn or "")


def _sibling_arn(own_arn: str | None, settings: Settings) -> str:
    """Return the ARN of the redial Lambda, derived from the running Lambda's ARN.

    Both are in the same region and account. Chalice names the redial Lambda ``<app>-<stage>-redial``. Raises
    RedialError if ``own_arn`` is not a Lambda's ARN.
    """
    if not own_arn or own_arn.count(":") < 6:
        raise RedialError("REDIAL_ARN is not set, and the running Lambda's ARN is not known to derive it from")
    return ":".join([*own_arn.split(":")[:6], f"{APP_NAME}-{settings.stage}-redial"])
