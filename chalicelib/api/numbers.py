"""The routes of phone numbers: opt-out, the customer called back, and erasure."""

from dataclasses import asdict
from typing import Any

from chalice.app import Blueprint, Request, Response

from chalicelib.api.current import services
from chalicelib.api.http import ANY_TYPE, answering, checked, signed_in
from chalicelib.api.paths import check_same, number_in
from chalicelib.api.reading import body_bytes, json_body
from chalicelib.api.views import rfc3339
from chalicelib.errors import NotFound
from chalicelib.storage.keys import Role
from chalicelib.storage.numbers import Number
from chalicelib.usecases.numbers.contacted import contacted
from chalicelib.usecases.numbers.erase_number import erase_number
from chalicelib.usecases.numbers.opt_out import opt_in, opt_out

blueprint = Blueprint(__name__)


@blueprint.route("/numbers/{number}/opt-out", methods=["PUT"], content_types=ANY_TYPE)
@answering
def put_opt_out(number: str) -> dict[str, Any]:
    """Opt a number out.

    After the answer no dial to the number can begin, and its pending calls have ended.
    """
    from chalicelib.api import schemas

    request = blueprint.current_request
    parts = services()
    owner = signed_in(parts, request, Role.WRITE)
    wanted = checked(schemas.OptOutIn, _body(request))
    in_path = number_in(number)
    check_same("number", wanted.number, in_path)
    known, ended = opt_out(parts.ports, owner.workspace, in_path, wanted.reason)
    return _view(known) | {"calls_ended": ended}


@blueprint.route("/numbers/{number}/opt-out", methods=["GET"], content_types=ANY_TYPE)
@answering
def get_opt_out(number: str) -> dict[str, Any]:
    """Read when and why a number opted out.

    If the number has not opted out, the answer is 404.
    """
    parts = services()
    owner = signed_in(parts, blueprint.current_request, Role.READ)
    known = parts.ports.numbers.load(owner.workspace, number_in(number))
    if known.opted_out_at is None:
        raise NotFound(f"{known.number} has not opted out")
    return _view(known)


@blueprint.route("/numbers/{number}/opt-out", methods=["DELETE"], content_types=ANY_TYPE)
@answering
def delete_opt_out(number: str) -> Response:
    """Take an opt-out back.

    New calls to the number may be placed. The calls that the opt-out ended stay ended.
    """
    parts = services()
    owner = signed_in(parts, blueprint.current_request, Role.WRITE)
    opt_in(parts.ports, owner.workspace, number_in(number))
    return Response("", status_code=204)


@blueprint.route("/numbers/{number}/contacted", methods=["POST"], content_types=ANY_TYPE)
@answering
def post_contacted(number: str) -> dict[str, Any]:
    """Say that the customer called back.

    Pending redials end. If the body has a time or a number of minutes, they wait instead.
    """
    from chalicelib.api import schemas

    request = blueprint.current_request
    parts = services()
    owner = signed_in(parts, request, Role.WRITE)
    until = checked(schemas.ContactedIn, _body(request)).until(parts.ports.clock.now())
    changed = contacted(parts.ports, owner.workspace, number_in(number), until)
    return {"number": number_in(number), "calls_changed": changed, "postpone_until": rfc3339(until)}


@blueprint.route("/numbers/{number}", methods=["DELETE"], content_types=ANY_TYPE)
@answering
def delete_number(number: str) -> Response:
    """Erase the data of a number.

    If one request cannot erase all of it, the answer is 202: send the request again.
    """
    parts = services()
    owner = signed_in(parts, blueprint.current_request, Role.ADMIN)
    erased = number_in(number)
    done = erase_number(parts.ports, owner.workspace, erased)
    view = {"number": erased} | asdict(done) | {"erased_at": rfc3339(done.erased_at)}
    return Response(view, status_code=200 if done.complete else 202)


def _body(request: Request) -> dict[str, Any]:
    """Return the JSON body, or an empty one if the request has no body."""
    return json_body(request)[0] if body_bytes(request) else {}


def _view(known: Number) -> dict[str, Any]:
    return {
        "number": known.number,
        "opted_out": known.opted_out_at is not None,
        "opted_out_at": rfc3339(known.opted_out_at),
        "reason": known.opt_out_reason,
    }
