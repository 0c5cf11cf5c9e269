"""The meaning of Exotel's callbacks and Call resources.

The customer's own leg says most.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from chalicelib.domain.events import CallEvent, Progress
from chalicelib.domain.numbers import e164_or_none
from chalicelib.domain.outcome import Amd, Outcome
from chalicelib.domain.reached import weighed
from chalicelib.providers.base import CallbackRequest, MalformedCallback
from chalicelib.providers.correlation import token_or_none
from chalicelib.providers.exotel_times import indian_instant
from chalicelib.providers.forms import excerpt, is_json, json_object, read_fields, scalars
from chalicelib.providers.multipart import decode_multipart, is_multipart
from chalicelib.providers.q850 import outcome_of_cause
from chalicelib.providers.words import call_id_or_none, leg_of, mapping, spelled, whole_seconds

COUNTRY_CODE = "91"

#: The progress of a call by its Status (developer.exotel.com/docs/references/error-codes#call-status-values)
PROGRESS = {
    "queued": Progress.QUEUED,
    "ringing": Progress.RINGING,
    # Exotel says so from the start: the answer to the create call has it, before any phone rings.
    "in-progress": Progress.INITIATED,
}

#: The progress of a call by EventType, which goes before Status. The other EventType is ``terminal``.
EVENTS = {"answered": Progress.IN_PROGRESS}

#: The outcome of a call by its Status. The callback page lists the first four, the status page ``canceled`` as well.
#: v3 has words of its own (developer.exotel.com/docs/voice-v3/api-reference/call-details).
ENDINGS = {
    "completed": Outcome.COMPLETED,
    "failed": Outcome.FAILED,
    "busy": Outcome.BUSY,
    "no-answer": Outcome.NO_ANSWER,
    "canceled": Outcome.CANCELED,
    "cancelled": Outcome.CANCELED,
    "from-leg-unanswered": Outcome.NO_ANSWER,  # in a call to a flow, this is the customer's leg
    "to-leg-unanswered": Outcome.NO_ANSWER,
    "from-leg-cancelled": Outcome.CANCELED,
    "to-leg-cancelled": Outcome.CANCELED,
    "from-leg-no-dial": Outcome.ERROR,  # the call never reached the network
    "to-leg-no-dial": Outcome.ERROR,
}

#: The Status of a leg that was never dialled
NOTHING_SAID = (None, "null", "none", "na")

#: The Status words that the customer's own leg may correct: both say little about who was reached
VAGUE = ("completed", "failed")

#: The fields with a leg's Q.850 cause: by name, and by code
#: (support.exotel.com/support/solutions/articles/3000087475-list-of-cause-codes-for-calls)
CAUSE_FIELDS = ("CauseCode", "Cause")

#: The AMD result by a leg's AnsweredBy. The table has ``Human``, the sample beside it ``HUMAN``. ``NA``: no detection.
ANSWERED_BY = {"human": Amd.HUMAN, "machine": Amd.MACHINE, "notsure": Amd.UNKNOWN, "not-sure": Amd.UNKNOWN}

#: The names of all other callbacks by the campaign callback's names (developer.exotel.com/docs/references/webhooks)
ALIASES = {"call_sid": "CallSid", "status": "Status", "date_updated": "DateUpdated", "number": "To"}

EVIDENCE = ("Status", "EventType", "ConversationDuration", "Duration", "Direction", "DateUpdated", "EndTime")

_LEG_FIELD = re.compile(r"Legs\[([0-9])\]\[(\w{1,32})\]")

Leg = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Report:
    """A callback or a Call resource, with the callback's names.

    ``legs`` are in the order in which Exotel dialled them.
    """

    fields: Mapping[str, str]
    legs: Sequence[Leg]

    @property
    def exophone(self) -> str | None:
        """The account's number that the call was made from."""
        return e164_or_none(self.fields.get("PhoneNumberSid"), COUNTRY_CODE)

    @property
    def joins_two_numbers(self) -> bool:
        """The kind of the call: True if From is the user's agent and To is the customer.

        A call to a flow has no To, or To is the ExoPhone.
        """
        to = e164_or_none(self.fields.get("To"), COUNTRY_CODE)
        return to is not None and to != self.exophone

    @property
    def customer(self) -> str | None:
        """The number of the person called."""
        return e164_or_none(self.fields.get("To" if self.joins_two_numbers else "From"), COUNTRY_CODE)

    @property
    def customer_leg(self) -> Leg:
        """The fields of the customer's own leg; empty if there are none."""
        index = 1 if self.joins_two_numbers else 0
        return self.legs[index] if index < len(self.legs) else {}

    @property
    def customer_talked(self) -> bool:
        """The proof of a conversation: True if a stated time shows one with the customer.

        The call's own Duration does not count, because it includes ringing.
        """
        stated = [self.customer_leg.get("OnCallDuration")]
        if self.joins_two_numbers or not self.legs:
            stated.append(self.fields.get("ConversationDuration"))
        return any(whole_seconds(text) for text in stated)

    @property
    def customer_cause(self) -> tuple[str, Outcome] | None:
        """The Q.850 cause of the customer's leg and its outcome; None if there is none."""
        leg = self.customer_leg or ({} if self.joins_two_numbers else self.fields)
        causes = ((leg.get(name), outcome_of_cause(leg.get(name))) for name in CAUSE_FIELDS)
        return next(((spelled(text) or "", outcome) for text, outcome in causes if outcome is not None), None)

    @property
    def never_rang_customer(self) -> bool:
        """The sign that the customer's phone never rang.

        True if a call that joins two numbers reports the agent's leg, and nothing of the customer's leg.
        """
        agent = spelled(self.legs[0].get("Status")) if self.legs else None
        customer = spelled(self.customer_leg.get("Status"))
        return self.joins_two_numbers and agent not in NOTHING_SAID and customer in NOTHING_SAID


def read_report(request: CallbackRequest) -> Report:
    """Return a callback as a report, from JSON, multipart or a form.

    Raises MalformedCallback.
    """
    if request.method.upper() != "GET" and is_multipart(request.body):
        try:
            fields = dict(reversed(decode_multipart(request.body)))
        except ValueError:
            raise MalformedCallback("the body is no multipart form in UTF-8 of a callback's size") from None
        return _report(fields, _legs_of_form(fields))
    if request.method.upper() != "GET" and is_json(request):
        value = json_object(request.body)
        if value is None:
            raise MalformedCallback("the body is no JSON object, though it looks or is said to be JSON")
        return _report(scalars(value), _legs(value.get("Legs")))
    fields = read_fields(request)
    return _report(fields, _legs_of_form(fields))


def _report(fields: Mapping[str, str], legs: Sequence[Leg]) -> Report:
    renamed = {ALIASES[name]: value for name, value in fields.items() if name in ALIASES}
    return Report({**renamed, **fields}, legs)


def _legs(value: object) -> Sequence[Leg]:
    """Return the legs of a JSON list.

    Each leg is an object or, in the Call resource, an object under ``Leg``.
    """
    each: Iterable[object] = value[:2] if isinstance(value, list) else ()
    return tuple(scalars(mapping(mapping(leg).get("Leg")) or mapping(leg)) for leg in each)


def _legs_of_form(fields: Mapping[str, str]) -> Sequence[Leg]:
    """Return the legs of a form.

    They are JSON in one field, or one field for each value (``Legs[0][Status]``).
    """
    try:
        whole = _legs(json.loads(fields.get("Legs") or "[]"))
    except (ValueError, RecursionError):
        whole = ()
    found: tuple[dict[str, str], dict[str, str]] = ({}, {})
    for name, value in fields.items():
        match = _LEG_FIELD.fullmatch(name)
        if match and int(match[1]) < len(found):
            found[int(match[1])][match[2]] = value
    return whole or (found if any(found) else ())


def read_event(report: Report) -> CallEvent:
    """Return the event that a report carries.

    Raises MalformedCallback if it names no call.
    """
    fields, leg = report.fields, report.customer_leg
    call_id = call_id_or_none(fields.get("CallSid"))
    if call_id is None:
        raise MalformedCallback("CallSid is missing; expected the call's id, 1 to 128 visible characters")
    status, event = spelled(fields.get("Status")), spelled(fields.get("EventType"))
    amd = ANSWERED_BY.get(spelled(leg.get("AnsweredBy") or fields.get("AnsweredBy")) or "")
    outcome, cause = (None, None) if event in EVENTS else _ending(status, report, amd)
    if amd is Amd.UNKNOWN and outcome is not Outcome.COMPLETED:
        amd = None  # NotSure on a leg that was never connected is not a detection
    return CallEvent(
        event_id=f"{call_id}:{event or 'terminal'}:{status or ''}",
        provider_call_id=call_id,
        status=status,
        progress=EVENTS.get(event or "") or PROGRESS.get(status or ""),
        outcome=outcome,
        occurred_at=_occurred_at(fields),
        duration_sec=_duration_sec(fields, leg),
        amd=amd,
        cause=cause,
        to_number=report.customer,
        from_number=report.exophone,
        token=token_or_none(fields.get("CustomField")),
        leg=leg_of(fields.get("Direction")),
        evidence=excerpt(fields, EVIDENCE) | _leg_evidence(report.legs),
    )


def _ending(status: str | None, report: Report, amd: Amd | None) -> tuple[Outcome | None, str | None]:
    """Return the customer's outcome and, if their own leg says it, the cause.

    A detection, or a time that the customer was on the line, counts more than any word.
    """
    stated = ENDINGS.get(status or "")
    if stated is None:
        return None, None
    if report.customer_talked or amd not in (None, Amd.UNKNOWN):
        return weighed(stated, answered=report.customer_talked, amd=amd), None
    leg_status = spelled(report.customer_leg.get("Status"))
    of_leg = ENDINGS.get(leg_status or "")
    if status in VAGUE and of_leg is not None and leg_status not in VAGUE:
        return of_leg, f"exotel:leg-{leg_status}"
    cause = report.customer_cause
    if cause and cause[1] is not Outcome.COMPLETED and status in VAGUE and leg_status in (*NOTHING_SAID, "failed"):
        return cause[1], f"exotel:leg-{cause[0]}"
    if stated is Outcome.COMPLETED and leg_status == "failed":
        return Outcome.FAILED, "exotel:leg-failed"
    if stated is Outcome.COMPLETED and report.never_rang_customer:
        return Outcome.NO_ANSWER, "exotel:customer-not-connected"
    return stated, None


def _occurred_at(fields: Mapping[str, str]) -> datetime | None:
    """Return the time of the call's end or last change, in UTC.

    A time without a zone is Indian time.
    """
    return indian_instant(fields.get("EndTime") or fields.get("DateUpdated"))


def _duration_sec(fields: Mapping[str, str], leg: Leg) -> int | None:
    """Return how long the customer was on the line, in seconds, or None.

    A call to a flow joins no two parties, so its conversation may be 0.
    """
    stated = (leg.get("OnCallDuration"), fields.get("ConversationDuration"), fields.get("Duration"))
    return next((seconds for text in stated if (seconds := whole_seconds(text)) is not None), None)


def _leg_evidence(legs: Sequence[Leg]) -> dict[str, str]:
    names = ("Status", "AnsweredBy", "OnCallDuration", *CAUSE_FIELDS)
    fields = {f"Leg{n}.{name}": leg.get(name, "") for n, leg in enumerate(legs, 1) for name in names}
    return excerpt(fields, fields)


def call_event(resource: Mapping[str, object], call_sid: str) -> CallEvent | None:
    """Return a Call resource as an event; None if its id differs or it has no status."""
    raw, details = scalars(resource), mapping(resource.get("Details"))
    if raw.get("Sid") != call_sid or not raw.get("Status"):
        return None
    words = scalars(details)
    legs = _legs(details.get("Legs")) or ({}, {})
    stated_legs = [{**leg, "Status": words.get(f"Leg{n}Status", "")} for n, leg in enumerate(legs, 1)]
    event = read_event(Report({**raw, **excerpt(words, ("ConversationDuration",)), "CallSid": call_sid}, stated_legs))
    return replace(event, event_id=f"{call_sid}:lookup:{event.status}:{raw.get('AnsweredBy', '')[:64].lower()}")
