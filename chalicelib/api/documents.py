"""The routes of the OpenAPI document and of the page made from it.

Both load their modules on the first request for them, to keep cold starts short.
"""

import json
from functools import cache
from typing import Any

from chalice.app import Blueprint, Response

from chalicelib.api.current import services
from chalicelib.api.http import ANY_TYPE, answering, public_url
from chalicelib.errors import RedialError

blueprint = Blueprint(__name__)


@blueprint.route("/openapi.json", methods=["GET"], content_types=ANY_TYPE)
@answering
def openapi() -> Response:
    """Read this document, OpenAPI 3.1. The document has no secrets."""
    headers: dict[str, str | list[str]] = {"Content-Type": "application/json"}
    return Response(json.dumps(_document(_own_url())), headers=headers)


@blueprint.route("/docs", methods=["GET"], content_types=ANY_TYPE)
@answering
def docs() -> Response:
    """Read this document as a page. The page needs no script and loads nothing else."""
    from chalicelib.api import docs_page

    headers: dict[str, str | list[str]] = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": docs_page.CONTENT_SECURITY_POLICY,
    }
    return Response(docs_page.page(_document(_own_url())), headers=headers)


@cache
def _document(server_url: str) -> dict[str, Any]:
    from chalicelib.api.openapi import document

    return document(blueprint.current_app.routes, server_url)


def _own_url() -> str:
    try:
        return public_url(services(), blueprint.current_request)
    except RedialError:
        return "."  # relative to the address of the document
