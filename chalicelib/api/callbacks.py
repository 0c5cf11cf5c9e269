"""The routes of the providers' status callbacks."""

from typing import Any
from urllib.parse import urlencode

from chalice.app import Blueprint, Request

from chalicelib.api.current import services
from chalicelib.api.http import ANY_TYPE, answering, public_url
from chalicelib.api.reading import body_bytes
from chalicelib.api.views import rfc3339
from chalicelib.errors import NotFound, NotSetUp
from chalicelib.providers import CallbackRequest
from chalicelib.runtime.services import Services
from chalicelib.usecases.adoption.take_adoption import refused, take_adoption_callback
from chalicelib.usecases.calls.take_callback import Taken, take_account_callback, take_callback

blueprint = Blueprint(__name__)

MAX_CALLBACK_BYTES = 256 * 1024


@blueprint.route("/callbacks/{provider}/{token}", methods=["POST", "GET"], content_types=ANY_TYPE)
@answering
def callback(provider: str, token: str) -> dict[str, Any]:
    """Take a callback about a call that Redial placed.

    The answer says what Redial decided. The provider's signature counts in place of an API key.
    """
    parts = services()
    request = blueprint.current_request
    sent = _callback_request(parts, request, f"/callbacks/{provider}/{token}")
    _check_sender(parts, provider, sent)
    try:
        taken = take_callback(parts.ports, provider, token, sent)
    except NotFound as error:
        raise refused(provider, "unknown-token", str(error)) from error
    return {"events": [_view(t) for t in taken]}


@blueprint.route("/callbacks/{provider}/adopt/{token}", methods=["POST", "GET"], content_types=ANY_TYPE)
@answering
def adoption_callback(provider: str, token: str) -> dict[str, Any]:
    """Take a callback about a call that the user's own code placed.

    Redial adopts the call, with the token's policy. The provider's signature counts in place of an API key.
    """
    parts = services()
    request = blueprint.current_request
    sent = _callback_request(parts, request, f"/callbacks/{provider}/adopt/{token}")
    _check_sender(parts, provider, sent)
    taken = take_adoption_callback(parts.ports, provider, token, sent, public_url(parts, request))
    return {"events": [_view(t) for t in taken]}


@blueprint.route("/callbacks/{provider}", methods=["POST", "GET"], content_types=ANY_TYPE)
@answering
def account_callback(provider: str) -> dict[str, Any]:
    """Take a callback at the one address of an account.

    It changes only calls that Redial placed. The provider's signature counts in place of an API key.
    """
    parts = services()
    request = blueprint.current_request
    sent = _callback_request(parts, request, f"/callbacks/{provider}")
    _check_sender(parts, provider, sent)
    try:
        taken = take_account_callback(parts.ports, provider, sent)
    except NotFound as error:
        raise refused(provider, "unknown-call", str(error)) from error
    return {"events": [_view(t) for t in taken]}


def _check_sender(parts: Services, provider: str, sent: CallbackRequest) -> None:
    """Raise an error if the callback has no signature or the provider is not set up.

    Raises UnknownProvider for a provider that Redial does not support, SignatureError for a callback without a
    signature, and NotFound for a provider without credentials. The signature comes first: an unsigned request must not
    learn what the deployment lacks, and must not cause a read of a secret.
    """
    parts.ports.check_sender(provider, sent)
    try:
        parts.ports.provider(provider)
    except NotSetUp as error:
        raise NotFound(f"{provider} is not set up here") from error


def _callback_request(parts: Services, request: Request, path: str) -> CallbackRequest:
    """Return the request as the provider sent and signed it.

    The URL is the address that Redial gave to the provider, not the address that the Lambda sees.
    """
    body = body_bytes(request, MAX_CALLBACK_BYTES)
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
