"""The sweep, every minute: repair what a wake or a callback missed.

The sweep removes spent triggers, dials overdue calls, looks into silent attempts and confirms adoptions.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import RedialError
from chalicelib.runtime.log import broken, log, warn
from chalicelib.storage.items import DEADLINE
from chalicelib.usecases import measure
from chalicelib.usecases.adoption.confirm_adoptions import confirm_adoptions
from chalicelib.usecases.calls.redial_due import WAKE_GRACE, TimeLeft, dial_due, disarm, pooled, set_back
from chalicelib.usecases.calls.silent import look_into
from chalicelib.usecases.ports import Ports

#: A trigger this long after its wake has fired already, or never will.
TRIGGER_STALE = timedelta(minutes=10)
#: Once an hour the sweep also removes the spent triggers of the backend that is not in use. After a switch of
#: WAKE_BACKEND the old backend's triggers still fire as planned, and nobody else removes them.
OTHERS_CLEARED_AT_MINUTE = 30
#: Each kind of work has a share of the sweep's time, so that no kind prevents another. The order is: remove triggers,
#: dial overdue calls, look into silent attempts. Adoptions have the rest of the time.
TRIGGERS_SHARE = 0.2
OVERDUE_SHARE = 0.5
SILENT_SHARE = 0.8


def sweep(ports: Ports, time_left: TimeLeft) -> dict[str, int]:
    """Repair what the engine missed. Return the number of repairs by kind."""
    now = ports.clock.now()
    counts: Counter[str] = Counter()
    counts["stale-wakes"], rules_live = _clear_triggers(ports, now - TRIGGER_STALE, time_left.share(TRIGGERS_SHARE))
    overdue = dial_due(ports, now - WAKE_GRACE, time_left.share(OVERDUE_SHARE))
    counts.update({f"overdue-{end}": n for end, n in overdue.items()})
    counts.update(_look_into_silent(ports, now, time_left.share(SILENT_SHARE)))
    counts.update({f"adoption-{end}": n for end, n in confirm_adoptions(ports, time_left).items()})
    repaired = {kind: n for kind, n in counts.items() if n}
    measure.swept(repaired, rules_live)
    if repaired:
        log("swept", **repaired)
    return repaired


def _look_into_silent(ports: Ports, now: datetime, time_left: TimeLeft) -> Counter[str]:
    """Look into all silent attempts, in a pool as large as the pool for dials.

    A provider may take ten seconds to answer each request. ``silent-left`` says that the time was over before all
    attempts were looked into.
    """
    left: list[str] = []

    def silent() -> Iterator[str]:
        for batch in ports.calls.due(DEADLINE, now):
            for call_id in batch:
                if not time_left.for_a_dial():
                    left.append(call_id)
                    return
                yield call_id

    ends = Counter(
        pooled(lambda call_id: _look_into_safely(ports, call_id, now), silent(), ports.settings.dial_pool_size)
    )
    return Counter({f"silent-{end}": n for end, n in ends.items()} | {"silent-left": len(left)})


def _clear_triggers(ports: Ports, before: datetime, time_left: TimeLeft) -> tuple[int, int | None]:
    """Remove the triggers of wakes before ``before``.

    Return how many triggers were removed, and how many rules all programs of the AWS account have (None if unknown).
    """
    clear_both = ports.clock.now().minute == OTHERS_CLEARED_AT_MINUTE
    removed = 0
    try:
        for triggers in (ports.triggers, ports.other_triggers) if clear_both else (ports.triggers,):
            for wake in list(triggers.armed()):
                removed += wake < before and time_left.for_a_dial() and disarm(triggers, wake)
        return removed, ports.triggers.in_use()
    except (ClientError, BotoCoreError) as error:
        warn("wakes-not-listed", error=str(error))
        return removed, None


def _look_into_safely(ports: Ports, call_id: str, now: datetime) -> str:
    """Look into one silent attempt, and return how that ended.

    After an error return ``broken``, and move the call behind the others.
    """
    try:
        return look_into(ports, call_id, now)
    except RedialError as error:
        warn("sweep-refused", call=call_id, error=str(error))
        set_back(ports, call_id, error)
    except Exception as error:  # an error of one call must not stop the sweep
        broken("sweep-broken", error, call=call_id)
        set_back(ports, call_id, error)
    return "broken"
