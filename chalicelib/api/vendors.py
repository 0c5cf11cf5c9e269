"""The routes for unchanged vendors' requests: Bolna's call and Exotel's campaign."""

from collections import Counter
from typing import Any

from chalice.app import Blueprint, Response

from chalicelib import ids
from chalicelib.api.current import services
from chalicelib.api.http import ANY_TYPE, answering, checked, may_place, public_url, signed_in
from chalicelib.api.paths import number_to_call
from chalicelib.api.policies import own_rules
from chalicelib.api.reading import idempotency_key, json_body
from chalicelib.domain.numbers import national_to_e164
from chalicelib.errors import FieldError, Invalid, NotSetUp
from chalicelib.runtime.services import Services
from chalicelib.storage.keys import Role
from chalicelib.usecases.calls.place_call import NewCall, check_call, place_call

blueprint = Blueprint(__name__)


@blueprint.route("/call", methods=["POST"], content_types=ANY_TYPE)
@answering
def bolna_call() -> dict[str, Any]:
    """Place a call by Bolna's request.

    The answer has Bolna's format. Its ``execution_id`` is the call's id.
    """
    from chalicelib.api import schemas
    from chalicelib.dialects import bolna

    request = blueprint.current_request
    parts = services()
    owner = signed_in(parts, request, Role.WRITE)
    body, request_hash = json_body(request)
    wanted = checked(bolna.BolnaCallIn, body)
    now = parts.ports.clock.now()
    new = NewCall(
        workspace=owner.workspace,
        to_number=_number(wanted.recipient_phone_number, "/recipient_phone_number"),
        to_pointer="/recipient_phone_number",
        from_number=_from_number(parts, wanted.from_phone_number),
        policy=wanted.retry_config.policy(),
        provider=_provider(parts, "bolna", wanted.provider),
        public_url=public_url(parts, request),
        agent_version_id=wanted.agent_id,
        variables={
            k: schemas.as_text(v) for k, v in wanted.user_data.items() if isinstance(v, str | int | float | bool)
        },
        metadata=wanted.user_data,
        start_at=schemas.start_within_reach(wanted.scheduled_at, now, "/scheduled_at"),
    )
    check_call(parts.ports, new)
    may_place(parts, owner)
    return bolna.accepted(place_call(parts.ports, new, idempotency_key(request.headers), request_hash))


@blueprint.route("/v1/Accounts/{sid}/Campaigns", methods=["POST"], content_types=ANY_TYPE)
@answering
def exotel_campaign(sid: str) -> Response:
    """Place a campaign by Exotel's request.

    Redial places one call for each number. All calls share one campaign id.
    """
    from chalicelib.api import schemas
    from chalicelib.dialects import exotel

    request = blueprint.current_request
    parts = services()
    owner = signed_in(parts, request, Role.WRITE)
    body, request_hash = json_body(request)
    wanted = checked(exotel.CampaignIn, body, own_rules(parts, owner.workspace))
    numbers = [_number(number, f"/numbers/{i}") for i, number in enumerate(wanted.numbers)]
    if len(set(numbers)) < len(numbers):
        twice = next(number for number, times in Counter(numbers).items() if times > 1)
        raise Invalid([FieldError("/numbers", f"{twice} is there twice; each number is called once")])
    now = parts.ports.clock.now()
    send_at = wanted.schedule.send_at if wanted.schedule else None
    start_at = schemas.start_within_reach(send_at, now, "/schedule/send_at")
    new = NewCall(
        workspace=owner.workspace,
        to_number="",
        from_number=_number(wanted.caller_id, "/caller_id"),
        policy=schemas.exotel_ending(wanted, max(start_at or now, now)),
        provider=_provider(parts, "exotel", wanted.provider),
        public_url=public_url(parts, request),
        agent_version_id=wanted.call_flow_id,
        metadata={"campaign": wanted.name},
        start_at=start_at,
        campaign_id=ids.sortable_id("camp", now),
        dial_now=False,
    )
    new_calls = [new.to(number, f"/numbers/{i}") for i, number in enumerate(numbers)]
    for each in new_calls:
        check_call(parts.ports, each)  # before any call is placed: Redial places all calls of a campaign, or none
    may_place(parts, owner)
    return _campaign(parts, wanted.name, new_calls, idempotency_key(request.headers), request_hash)


def _campaign(parts: Services, name: str, new_calls: list[NewCall], key: str | None, request_hash: str) -> Response:
    calls = []
    for new in new_calls:
        own_key = f"{key} {new.to_number}" if key else None
        calls.append(place_call(parts.ports, new, own_key, request_hash).call)
    view = {
        "id": calls[0].campaign_id,
        "campaign_sid": calls[0].campaign_id,
        "name": name,
        "status": "in-progress",
        "provider": calls[0].provider,
        "calls": [
            {"call_id": call.id, "number": call.to_number, "state": call.state, "summary_status": call.summary_status}
            for call in calls
        ],
    }
    return Response(view, status_code=201)


def _provider(parts: Services, vendor: str, named: str | None) -> str:
    """Return the provider to dial through.

    It is the provider that the request names, otherwise the vendor if it is set up, otherwise DEFAULT_PROVIDER.
    """
    if named is not None:
        return named
    try:
        parts.ports.provider(vendor)
    except NotSetUp:
        return parts.ports.settings.default_provider
    return vendor


def _from_number(parts: Services, given: str | None) -> str:
    number = given or parts.ports.settings.default_from_number
    if number is None:
        wanted = "give from_phone_number, or set DEFAULT_FROM_NUMBER to the number that calls are placed from"
        raise Invalid([FieldError("/from_phone_number", wanted)])
    return _number(number, "/from_phone_number")


def _number(text: str, pointer: str) -> str:
    return number_to_call(national_to_e164(text), pointer)
