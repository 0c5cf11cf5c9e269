"""The routes of policies: a preview of the attempts, and policies kept by name."""

from collections.abc import Callable
from functools import cache
from typing import Any

from chalice.app import Blueprint, Request, Response

from chalicelib.api import views
from chalicelib.api.current import services
from chalicelib.api.http import ANY_TYPE, answering, checked, public_url, signed_in
from chalicelib.api.paths import check_same, is_policy_name, policy_name_in
from chalicelib.api.reading import json_body
from chalicelib.domain.number_zones import contact_zones
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.preview import preview
from chalicelib.domain.rules import Rules
from chalicelib.errors import FieldError, Invalid, NotFound
from chalicelib.runtime.services import Services
from chalicelib.storage.keys import Role
from chalicelib.storage.policies import NamedPolicy
from chalicelib.usecases.calls.place_call import check_previewed
from chalicelib.wheel import plan

blueprint = Blueprint(__name__)
NamedRules = Callable[[str], Rules | None]


@blueprint.route("/policies/preview", methods=["POST"], content_types=ANY_TYPE)
@answering
def show() -> dict[str, Any]:
    """Preview the attempts that a policy would make for assumed outcomes.

    A preview dials nobody and writes nothing. It refuses a policy and a number that ``POST /calls`` refuses.
    """
    from chalicelib.api import schemas

    request = blueprint.current_request
    parts = services()
    owner = signed_in(parts, request, Role.READ)
    wanted = checked(schemas.PreviewIn, json_body(request)[0], own_rules(parts, owner.workspace))
    named = policy_named(parts, owner.workspace, wanted.policy_name)
    now = parts.ports.clock.now()
    start_at = schemas.start_of(wanted, now) or now
    policy = schemas.ending(wanted, start_at) or (named.policy if named else schemas.NO_RETRIES)
    check_previewed(parts.ports, owner.workspace, policy, wanted.to_number)
    policy = policy.held_to(wanted.to_number or "", parts.ports.settings.default_cap)
    zones = contact_zones(wanted.timezone, wanted.to_number or "")
    outcomes = [Outcome(word) for word in wanted.outcomes]
    lead = parts.ports.wake_lead
    shown = preview(
        policy,
        zones,
        max(start_at, now),
        outcomes,
        in_minute=lambda due_at, decided_at: plan.first_minute(due_at, decided_at, lead),
        placed_at=now,
    )
    return views.preview_view(shown, zones)


@blueprint.route("/policies", methods=["GET"], content_types=ANY_TYPE)
@answering
def names() -> dict[str, Any]:
    """List the named policies. The list is sorted by name."""
    parts = services()
    owner = signed_in(parts, blueprint.current_request, Role.READ)
    unreadable: list[str] = []
    found = parts.policies.all(owner.workspace, unreadable.append)
    since = parts.ports.adoption_tokens.since(owner.workspace)
    data = [views.named_policy_view(named, since.get(named.name)) for named in found]
    return {"data": data, "unreadable": unreadable}


@blueprint.route("/policies/{name}", methods=["PUT"], content_types=ANY_TYPE)
@answering
def put(name: str) -> dict[str, Any]:
    """Keep a policy under a name.

    Calls that were placed with an earlier policy of this name keep the earlier policy. The answer shows the adoption
    address of a new policy, once.
    """
    from chalicelib.api import schemas

    request = blueprint.current_request
    parts = services()
    owner = signed_in(parts, request, Role.WRITE)
    wanted = checked(schemas.NamedPolicyIn, json_body(request)[0], own_rules(parts, owner.workspace))
    in_path = policy_name_in(name)
    check_same("name", wanted.name, in_path)
    named = NamedPolicy(
        name=in_path,
        policy=schemas.stored_policy(wanted),
        updated_at=parts.ports.clock.now(),
        target_url=wanted.target.url if wanted.target else None,
        agent_version_id=wanted.agent_version_id,
    )
    parts.policies.put(owner.workspace, named)
    token = parts.ports.adoption_tokens.make(owner.workspace, named.name, named.updated_at)
    return _view(parts, request, owner.workspace, named, token)


@blueprint.route("/policies/{name}", methods=["GET"], content_types=ANY_TYPE)
@answering
def read(name: str) -> dict[str, Any]:
    """Read one named policy. ``PUT`` accepts the answer unchanged."""
    parts = services()
    owner = signed_in(parts, blueprint.current_request, Role.READ)
    named = parts.policies.load(owner.workspace, policy_name_in(name))
    if named is None:
        raise NotFound(f"there is no policy {name}")
    return _view(parts, blueprint.current_request, owner.workspace, named, None)


@blueprint.route("/policies/{name}", methods=["DELETE"], content_types=ANY_TYPE)
@answering
def delete(name: str) -> Response:
    """Delete a named policy.

    The adoption address of the policy ends. Calls that were placed with the policy keep it.
    """
    parts = services()
    owner = signed_in(parts, blueprint.current_request, Role.WRITE)
    parts.policies.delete(owner.workspace, policy_name_in(name))
    parts.ports.adoption_tokens.delete(owner.workspace, policy_name_in(name))
    return Response("", status_code=204)


@blueprint.route("/policies/{name}/adoption-token", methods=["POST"], content_types=ANY_TYPE)
@answering
def new_adoption_token(name: str) -> dict[str, Any]:
    """Replace a policy's adoption token.

    The old token stays valid for 24 hours, unless ``revoke_old`` is true.
    """
    from chalicelib.api import schemas

    request = blueprint.current_request
    parts = services()
    owner = signed_in(parts, request, Role.WRITE)
    body = json_body(request)[0] if request.raw_body else {}
    wanted = checked(schemas.AdoptionTokenIn, body)
    named = parts.policies.load(owner.workspace, policy_name_in(name))
    if named is None:
        raise NotFound(f"there is no policy {name}")
    now = parts.ports.clock.now()
    token = parts.ports.adoption_tokens.rotate(owner.workspace, named.name, now, revoke_old=wanted.revoke_old)
    return _view(parts, request, owner.workspace, named, token)


def _view(
    parts: Services, request: Request, workspace: str, named: NamedPolicy, new_token: str | None
) -> dict[str, Any]:
    """Return the answer for a policy, with the adoption address if the token is new.

    The address is shown only once: Redial stores only a hash of the token.
    """
    since = parts.ports.adoption_tokens.since(workspace).get(named.name)
    view = views.named_policy_view(named, since)
    if new_token is not None:
        provider = parts.ports.settings.default_provider
        view["adoption"]["address"] = f"{public_url(parts, request)}/callbacks/{provider}/adopt/{new_token}"
    return view


def own_rules(parts: Services, workspace: str) -> dict[str, NamedRules]:
    """Return the context for ``checked``, for a body whose presets may be policies.

    The context finds the rules of the workspace's policies by name, and reads each policy once.
    """
    from chalicelib.dialects.narrowing import NAMED_RULES

    @cache
    def find(name: str) -> Rules | None:
        named = parts.policies.load(workspace, name) if is_policy_name(name) else None
        return named.policy.rules if named else None

    return {NAMED_RULES: find}


def policy_named(parts: Services, workspace: str, name: str | None) -> NamedPolicy | None:
    """Return the policy that a request names, or None if it names none.

    Raises Invalid if the workspace has no policy of this name.
    """
    if name is None:
        return None
    named = parts.policies.load(workspace, name)
    if named is None:
        raise Invalid([FieldError("/policy_name", f"there is no policy {name!r}; PUT /policies/{name} makes one")])
    return named
