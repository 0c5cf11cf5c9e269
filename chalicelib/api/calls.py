"""The routes of calls: place, read, cancel, and the history in vendors' shapes."""

from typing import Any

from chalice.app import Blueprint, Response

from chalicelib.api import views
from chalicelib.api.current import services
from chalicelib.api.http import ANY_TYPE, answering, checked, may_place, public_url, signed_in
from chalicelib.api.paths import call_named
from chalicelib.api.policies import own_rules, policy_named
from chalicelib.api.reading import idempotency_key, json_body, page_limit, query_value
from chalicelib.domain.call import CallRecord
from chalicelib.errors import NotFound, NotYours
from chalicelib.storage.history import MAX_ENTRIES
from chalicelib.storage.keys import Role
from chalicelib.usecases.calls.cancel_call import cancel_call
from chalicelib.usecases.calls.place_call import NewCall, check_call, place_call

blueprint = Blueprint(__name__)

#: the entries of a page if the request has no ``limit``
PAGE = 25


@blueprint.route("/calls", methods=["POST"], content_types=ANY_TYPE)
@answering
def place() -> Response:
    """Place a call.

    Redial dials at once if the policy allows it. The answer shows the call after that.
    """
    from chalicelib.api import schemas

    request = blueprint.current_request
    parts = services()
    owner = signed_in(parts, request, Role.WRITE)
    body, request_hash = json_body(request)
    wanted = checked(schemas.CallIn, body, own_rules(parts, owner.workspace))
    named = policy_named(parts, owner.workspace, wanted.policy_name)
    now = parts.ports.clock.now()
    start_at = schemas.start_of(wanted, now)
    new = NewCall(
        workspace=owner.workspace,
        to_number=wanted.to_number,
        from_number=wanted.from_number,
        policy=schemas.ending(wanted, max(start_at or now, now)) or (named.policy if named else schemas.NO_RETRIES),
        provider=wanted.provider or parts.ports.settings.default_provider,
        public_url=public_url(parts, request),
        agent_version_id=wanted.agent_version_id or (named.agent_version_id if named else None),
        target_url=wanted.target.url if wanted.target else (named.target_url if named else None),
        variables=wanted.texts,
        metadata=wanted.metadata,
        timezone=wanted.timezone,
        start_at=start_at,
    )
    check_call(parts.ports, new)
    may_place(parts, owner)
    record = place_call(parts.ports, new, idempotency_key(request.headers), request_hash)
    return _created(record, new.public_url)


@blueprint.route("/calls", methods=["GET"], content_types=ANY_TYPE)
@answering
def history() -> dict[str, Any]:
    """List the call history, the newest attempt first.

    A row is an attempt. To get the next page, send ``next_cursor`` as ``cursor``.
    """
    request = blueprint.current_request
    parts = services()
    owner = signed_in(parts, request, Role.READ, query=("limit", "cursor"))
    limit = page_limit(request, PAGE, MAX_ENTRIES)
    page = parts.history.page(owner.workspace, limit, query_value(request, "cursor"))
    return {
        "data": [views.entry_view(e.call, e.attempt) for e in page.entries],
        "next_cursor": page.cursor,
        "unreadable": page.unreadable,
    }


@blueprint.route("/calls/{call_id}", methods=["GET"], content_types=ANY_TYPE)
@answering
def read(call_id: str) -> dict[str, Any]:
    """Read one call.

    The answer has all attempts of the call, and the policy that the call was placed with.
    """
    return views.call_view(_own(call_id, Role.READ))


@blueprint.route("/calls/{call_id}/cancel", methods=["POST"], content_types=ANY_TYPE)
@answering
def cancel(call_id: str) -> dict[str, Any]:
    """Stop retrying, and hang up if the provider can.

    A call that has ended stays as it is.
    """
    record = _own(call_id, Role.WRITE)
    return views.call_view(cancel_call(services().ports, record.call.id))


@blueprint.route("/calls/{call_id}/decisions", methods=["GET"], content_types=ANY_TYPE)
@answering
def decisions(call_id: str) -> dict[str, Any]:
    """Read why each attempt was made, rescheduled or refused.

    The decisions are in order, each with its steps.
    """
    record = _own(call_id, Role.READ)
    unreadable: list[str] = []
    found = services().ports.calls.decisions(record.call.id, unreadable.append)
    shown = [views.decision_view(record.call, decision) for decision in found]
    return {"call_id": record.call.id, "data": shown, "unreadable": unreadable}


@blueprint.route("/call-logs/{call_id}/retries", methods=["GET"], content_types=ANY_TYPE)
@answering
def retries(call_id: str) -> dict[str, Any]:
    """Read the retry history in DialNexa's shape. The attempts are in order."""
    return views.retries_view(_own(call_id, Role.READ))


@blueprint.route("/v1/call-logs/{call_id}/retries", methods=["GET"], content_types=ANY_TYPE)
@answering
def retries_v1(call_id: str) -> dict[str, Any]:
    """Read the retry history under DialNexa's own path.

    The answer is the same as that of ``GET /call-logs/{call_id}/retries``.
    """
    return views.retries_view(_own(call_id, Role.READ))


@blueprint.route("/executions/{call_id}", methods=["GET"], content_types=ANY_TYPE)
@answering
def execution(call_id: str) -> dict[str, Any]:
    """Read a call in the shape of Bolna's execution.

    ``POST /call`` answers the call's id as ``execution_id``.
    """
    from chalicelib.dialects import bolna

    return bolna.retry_state(_own(call_id, Role.READ))


@blueprint.route("/call-report/{call_id}", methods=["GET"], content_types=ANY_TYPE)
@answering
def report(call_id: str) -> dict[str, Any]:
    """Read the attempts in Gomobile's shape.

    Outcomes have Gomobile's spelling, such as ``no_answer``.
    """
    return views.report_view(_own(call_id, Role.READ))


def _own(call_id: str, role: Role) -> CallRecord:
    """Return the call with this id, or with an attempt of this id.

    Raises NotFound if no call has the id, and NotYours if the call belongs to another workspace.
    """
    parts = services()
    owner = signed_in(parts, blueprint.current_request, role)
    named = call_named(call_id)
    record = parts.ports.calls.load(named) if named else None
    if record is None:
        raise NotFound(f"there is no call {call_id[:80]}")
    if record.call.workspace != owner.workspace:
        raise NotYours(f"call {record.call.id} belongs to another workspace")
    return record


def _created(record: CallRecord, base_url: str) -> Response:
    """Return the answer for a new call.

    ``base_url`` has the API Gateway stage in its path; a relative ``Location`` would lose the stage.
    """
    headers: dict[str, str | list[str]] = {"Location": f"{base_url}/calls/{record.call.id}"}
    return Response(views.call_view(record), headers=headers, status_code=201)
