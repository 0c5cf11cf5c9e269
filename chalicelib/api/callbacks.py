"""The door for the providers' status callbacks."""

from typing import Any
from urllib.parse import urlencode

from chalice.app import Blueprint, Request

from chalicelib.api.current import services
from chalicelib.api.http import ANY_TYPE, answering, public_url
from chalicelib.api.paths import policy_name_in
from chalicelib.api.reading import body_bytes, query_value
from chalicelib.api.views import rfc3339
from chalicelib.errors import NotFound, NotSetUp
from chalicelib.providers import CallbackRequest
from chalicelib.services import Services
from chalicelib.storage.keys import is_workspace
from chalicelib.usecases.adopt_call import Adoption
from chalicelib.usecases.take_callback import Taken, take_account_callback, take_callback

blueprint = Blueprint(__name__)

MOST_CALLBACK = 256 * 1024


@blueprint.route("/callbacks/{provider}/{token}", methods=["POST", "GET"], content_types=ANY_TYPE)
@answering
def callback(provider: str, token: str) -> dict[str, Any]:
    """Take in a callback; the answer says what was decided, for whoever reads the provider's request log."""
    parts = services()
    request = blueprint.current_request
    _set_up(parts, provider)
    taken = take_callback(parts.ports, provider, token, _as_sent(parts, request, f"/callbacks/{provider}/{token}"))
    return {"events": [_view(t) for t in taken]}


@blueprint.route("/callbacks/{provider}", methods=["POST", "GET"], content_types=ANY_TYPE)
@answering
def account_callback(provider: str) -> dict[str, Any]:
    """The one callback address of an account. ``?policy=`` adopts calls that the user's own code placed."""
    parts = services()
    request = blueprint.current_request
    _set_up(parts, provider)
    sent = _as_sent(parts, request, f"/callbacks/{provider}")
    taken = take_account_callback(parts.ports, provider, sent, lambda: _adoption(parts, request))
    return {"events": [_view(t) for t in taken]}


def _set_up(parts: Services, provider: str) -> None:
    """Nobody who is not signed in is told what a deployment lacks. Raises NotFound, UnknownProvider."""
    try:
        parts.ports.provider(provider)
    except NotSetUp as error:
        raise NotFound(f"{provider} is not set up here") from error


def _adoption(parts: Services, request: Request) -> Adoption | None:
    policy = query_value(request, "policy")
    if policy is None:
        return None
    workspace = query_value(request, "workspace") or parts.ports.settings.default_workspace
    known = is_workspace(workspace)
    named = parts.policies.load(workspace, policy_name_in(policy)) if known else None
    if named is None:
        raise NotFound(f"workspace {workspace[:80]!r} has no policy {policy!r}; PUT /policies/{{name}} makes one")
    return Adoption(workspace, named.policy, named.target_url, named.agent_version_id, public_url(parts, request))


def _as_sent(parts: Services, request: Request, path: str) -> CallbackRequest:
    """The request as the provider sent and signed it: its URL is the one that we handed out."""
    body = body_bytes(request, MOST_CALLBACK)
    query = request.query_params
    pairs = [(name, value) for name in query for value in query.getlist(name)] if query else []
    url = public_url(parts, request) + path
    identity = request.context.get("identity") or {}
    return CallbackRequest(
        method=request.method,
        url=f"{url}?{urlencode(pairs)}" if pairs else url,
        headers=dict(request.headers),
        body=body,
        source_ip=identity.get("sourceIp"),
    )


def _view(taken: Taken) -> dict[str, Any]:
    view = {
        "decision": taken.effect,
        "call_id": taken.call_id,
        "attempt": taken.attempt,
        "reason": taken.reason,
        "retry_at": rfc3339(taken.retry_at),
        "summary_status": taken.summary_status,
    }
    return {name: value for name, value in view.items() if value is not None}
