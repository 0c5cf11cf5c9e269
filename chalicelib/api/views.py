"""The answers about calls and attempts, in Redial's and in the vendors' shapes."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from chalicelib.domain.call import Attempt, Call, CallRecord
from chalicelib.domain.policy import Policy
from chalicelib.domain.preview import Preview
from chalicelib.domain.zones import zone
from chalicelib.storage.adapters import adapter
from chalicelib.storage.policies import NamedPolicy

_ZERO = timedelta()


def rfc3339(at: datetime | None) -> str | None:
    """Return a UTC time as RFC 3339 with a ``Z``, or None for None.

    The text has milliseconds if the time has a fraction of a second.
    """
    if at is None:
        return None
    text = at.isoformat(timespec="milliseconds" if at.microsecond else "seconds")
    return text.replace("+00:00", "Z")


def attempt_view(call: Call, attempt: Attempt) -> dict[str, Any]:
    """Return one attempt. All attempts of a call share the ``retry_group_id``."""
    return {
        "id": attempt.id,
        "call_id": call.id,
        "retry_group_id": call.retry_group_id,
        "attempt": attempt.number,
        "status": attempt.status,
        "outcome": attempt.outcome,
        "called_at": rfc3339(attempt.claimed_at),
        "answered_at": rfc3339(attempt.answered_at),
        "ended_at": rfc3339(attempt.ended_at),
        "duration_sec": attempt.duration_sec,
        "amd": attempt.amd,
        "cause": attempt.cause,
        "provider": attempt.provider,
        "provider_call_id": attempt.provider_call_id,
        "evidence": dict(attempt.evidence),
    }


def call_view(record: CallRecord) -> dict[str, Any]:
    """Return a call with all its attempts and the policy that it was placed with."""
    call = record.call
    return {
        "id": call.id,
        "call_id": call.id,
        **_call_fields(call),
        "retry_group_id": call.retry_group_id,
        "campaign_id": call.campaign_id,
        "to_number": call.to_number or None,
        "from_number": call.from_number,
        "erased_at": rfc3339(call.erased_at),
        "provider": call.provider,
        "agent_version_id": call.agent_version_id,
        "target": {"url": call.target_url} if call.target_url else None,
        "variables": dict(call.variables),
        "metadata": dict(call.metadata),
        "timezone": call.timezone,
        "timezones": list(call.zones),
        "timezones_note": _zones_note(call),
        "webhook_url": call.webhook_url,
        "created_at": rfc3339(call.created_at),
        "expires_at": rfc3339(call.expires_at),
        "policy_ends_at": rfc3339(call.policy_ends_at),
        "policy": adapter(Policy).dump_python(call.policy, mode="json"),
        "attempts": [attempt_view(call, attempt) for attempt in record.attempts],
    }


def _zones_note(call: Call) -> str | None:
    """Return a note about the hours of a number that may be in several zones.

    The result is None if the number has at most one zone.
    """
    if len(call.zones) < 2:
        return None
    west, *_, east = sorted(call.zones, key=lambda name: call.created_at.astimezone(zone(name)).utcoffset() or _ZERO)
    return (
        f"the number may be in {len(call.zones)} time zones, and every hour counts in all of them: {west} opens last"
        f" and {east} closes first; give timezone to count in one of them alone"
    )


def entry_view(call: Call, attempt: Attempt | None) -> dict[str, Any]:
    """Return one row of the call history.

    The row of the first attempt also has the state and the summary of the call. Every row has the same fields; a field
    without a value is null.
    """
    call_fields = _call_fields(call)
    if attempt is not None and attempt.number > 1:
        call_fields = dict.fromkeys(call_fields)
    row = _not_dialled(call) if attempt is None else attempt_view(call, attempt)
    numbers = {"to_number": call.to_number or None, "from_number": call.from_number}
    return row | numbers | {"metadata": dict(call.metadata)} | call_fields


def _not_dialled(call: Call) -> dict[str, Any]:
    """Return the row of a call without an attempt: a first attempt without results."""
    first = Attempt(call_id=call.id, number=1, token="", claimed_at=call.created_at, provider=call.provider)
    unknown = {"id": call.id, "status": call.summary_status or "scheduled", "called_at": None}
    return attempt_view(call, first) | unknown


def _call_fields(call: Call) -> dict[str, Any]:
    return {
        "state": call.state,
        "summary_status": call.summary_status,
        "reason": call.reason,
        "next_attempt_at": rfc3339(call.due_at),
        "finished_at": rfc3339(call.ended_at),
    }


def _milliseconds(at: datetime) -> str:
    """Return a UTC time as DialNexa writes it: ``2024-05-01T10:00:00.000Z``."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def retries_view(record: CallRecord) -> dict[str, Any]:
    """Return DialNexa's answer to ``GET /v1/call-logs/{id}/retries``.

    DialNexa's page shows both ``called_at`` and ``timestamp``, so the answer has both.
    """
    return {
        "call_id": record.call.id,
        "data": [
            {
                "attempt": attempt.number,
                "status": attempt.status,
                "duration_sec": attempt.duration_sec or 0,
                "called_at": _milliseconds(attempt.claimed_at),
                "timestamp": _milliseconds(attempt.claimed_at),
            }
            for attempt in record.attempts
        ],
    }


def gomobile_word(word: str | None) -> str | None:
    """Return an outcome or a status as Gomobile spells it: ``no_answer``."""
    return word.replace("-", "_") if word else None


def report_view(record: CallRecord) -> dict[str, Any]:
    """Return Gomobile's answer to ``GET /call-report/{id}``."""
    return {
        "attempts": [
            {
                "attempt": attempt.number,
                "outcome": gomobile_word(attempt.outcome),
                "call": {"status": gomobile_word(attempt.status)},
            }
            for attempt in record.attempts
        ]
    }


def decision_view(call: Call, decision: Mapping[str, Any]) -> dict[str, Any]:
    """Return one decision about a call: the reason, the steps and the result."""
    retry_at, due_at = _time(decision.get("retry_at")), _time(decision.get("due_at"))
    return {
        "attempt": decision["attempt"],
        "decided_at": rfc3339(_time(decision["at"])),
        "reason": decision["reason"],
        "steps": decision["steps"],
        "retry_at": rfc3339(retry_at),
        "due_at": rfc3339(due_at),
        "local": _local(due_at, call.zones),
        "summary_status": decision.get("summary_status"),
    }


def preview_view(shown: Preview, zones: Sequence[str]) -> dict[str, Any]:
    """Return the attempts that a policy would make, with their times in each zone."""
    return {
        "attempts": [
            {
                "attempt": attempt.attempt,
                "at": rfc3339(attempt.at),
                "local": _local(attempt.at, zones),
                "outcome": attempt.outcome,
                "reason": attempt.reason,
                "steps": list(attempt.steps),
            }
            for attempt in shown.attempts
        ],
        "summary_status": shown.summary_status,
        "reason": shown.reason,
        "steps": list(shown.steps),
        "timezones": list(zones),
        "expires_at": rfc3339(shown.expires_at),
    }


ADOPTION_HELP = (
    "the address is the status callback of the calls to adopt, and is shown once; another provider's name may stand in"
    " it; POST /policies/{name}/adoption-token makes a new one"
)


def named_policy_view(named: NamedPolicy, token_since: datetime | None) -> dict[str, Any]:
    """Return a named policy.

    ``token_since`` is the time at which its adoption token was made, None if the policy has no token.
    """
    policy = adapter(Policy).dump_python(named.policy, mode="json")
    target = {"url": named.target_url} if named.target_url else None
    return {
        "name": named.name,
        "policy": policy,
        "target": target,
        "agent_version_id": named.agent_version_id,
        "updated_at": rfc3339(named.updated_at),
        "adoption": {"token_since": rfc3339(token_since), "help": ADOPTION_HELP.replace("{name}", named.name)},
    }


def _local(at: datetime | None, zones: Sequence[str]) -> dict[str, str]:
    """Return zone -> the local time, for every zone that the number may be in."""
    return {name: at.astimezone(zone(name)).isoformat(timespec="minutes") for name in zones} if at else {}


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
