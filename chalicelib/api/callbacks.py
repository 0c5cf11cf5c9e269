"""The door for the providers' status callbacks."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from chalice.app import Blueprint, Request

from chalicelib.api.current import services
from chalicelib.api.http import ANY_TYPE, answering, public_url
from chalicelib.api.views import rfc3339
from chalicelib.errors import BadRequest, NotFound
from chalicelib.providers import CallbackRequest
from chalicelib.services import Services
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
    taken = take_callback(parts.ports, provider, token, _as_sent(parts, request, f"/callbacks/{provider}/{token}"))
    return {"events": [_view(t) for t in taken]}


@blueprint.route("/callbacks/{provider}", methods=["POST", "GET"], content_types=ANY_TYPE)
@answering
def account_callback(provider: str) -> dict[str, Any]:
    """The one callback address of an account. ``?policy=`` adopts calls that the user's own code placed."""
    parts = services()
    request = blueprint.current_request
    sent = _as_sent(parts, request, f"/callbacks/{provider}")
    taken = take_account_callback(parts.ports, provider, sent, lambda: _adoption(parts, request))
    return {"events": [_view(t) for t in taken]}


def _adoption(parts: Services, request: Request) -> Adoption | None:
    query: Mapping[str, str] = request.query_params or {}
    if "policy" not in query:
        return None
    workspace = query.get("workspace") or parts.ports.settings.default_workspace
    named = parts.policies.load(workspace, query["policy"])
    if named is None:
        raise NotFound(f"workspace {workspace!r} has no policy {query['policy']!r}; PUT /policies/{{name}} makes one")
    return Adoption(workspace, named.policy, named.target_url, named.agent_version_id, public_url(parts, request))


def _as_sent(parts: Services, request: Request, path: str) -> CallbackRequest:
    """The request as the provider sent and signed it: its URL is the one that we handed out."""
    body = request.raw_body
    body = body.encode() if isinstance(body, str) else body
    if len(body) > MOST_CALLBACK:
        raise BadRequest(f"the callback has {len(body)} bytes; at most {MOST_CALLBACK} are read")
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
