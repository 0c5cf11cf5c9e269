"""The routes of the kill switch: pause every dial of a workspace, and resume."""

from typing import Any

from chalice.app import Blueprint

from chalicelib.api.current import services
from chalicelib.api.http import ANY_TYPE, answering, checked, signed_in
from chalicelib.api.reading import body_bytes, json_body
from chalicelib.api.views import rfc3339
from chalicelib.storage.gates import Gate, workspace_scope
from chalicelib.storage.keys import Role
from chalicelib.usecases.gates.pause import pause, paused, resume

blueprint = Blueprint(__name__)


@blueprint.route("/pause-all", methods=["POST"], content_types=ANY_TYPE)
@answering
def pause_all() -> dict[str, Any]:
    """Pause the workspace.

    After the answer no dial of the workspace can begin. Calls in flight continue.
    """
    from chalicelib.api import schemas

    request = blueprint.current_request
    parts = services()
    owner = signed_in(parts, request, Role.ADMIN)
    wanted = checked(schemas.PauseIn, json_body(request)[0] if body_bytes(request) else {})
    until = wanted.until_at(parts.ports.clock.now())
    return _view(pause(parts.ports, workspace_scope(owner.workspace), wanted.reason, until))


@blueprint.route("/resume-all", methods=["POST"], content_types=ANY_TYPE)
@answering
def resume_all() -> dict[str, Any]:
    """Resume the workspace.

    Redial dials postponed calls within minutes, if their policy still allows it.
    """
    parts = services()
    owner = signed_in(parts, blueprint.current_request, Role.ADMIN)
    return _view(None) | {"was_paused": resume(parts.ports, workspace_scope(owner.workspace))}


@blueprint.route("/pause-all", methods=["GET"], content_types=ANY_TYPE)
@answering
def get_pause() -> dict[str, Any]:
    """Read whether the workspace is paused. The answer has the start and the reason."""
    parts = services()
    owner = signed_in(parts, blueprint.current_request, Role.READ)
    return _view(paused(parts.ports, workspace_scope(owner.workspace)))


def _view(gate: Gate | None) -> dict[str, Any]:
    return {
        "paused": gate is not None,
        "reason": gate.reason if gate else None,
        "paused_at": rfc3339(gate.closed_at) if gate else None,
        "until": rfc3339(gate.until) if gate else None,
    }
