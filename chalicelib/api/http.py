"""The parts that all routes share: sign-in, bodies, errors, the public URL."""

import base64
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from math import ceil
from typing import Any, TypeVar

from chalice.app import Request, Response
from pydantic import BaseModel, ValidationError

from chalicelib import errors
from chalicelib.api.reading import known_query
from chalicelib.providers import MalformedCallback, SignatureError
from chalicelib.runtime import log, metrics
from chalicelib.runtime.services import Services
from chalicelib.storage.keys import ApiKey, Role
from chalicelib.storage.rates import Rate

Model = TypeVar("Model", bound=BaseModel)

#: the ``content_types`` of routes that read their body themselves, whatever its Content-Type is
ANY_TYPE = ["*/*"]

#: the most characters of an error's ``detail``
MAX_DETAIL_CHARS = 2000

#: error -> HTTP status; the first row that matches counts
STATUS = (
    (errors.NotSignedIn, HTTPStatus.UNAUTHORIZED),
    (SignatureError, HTTPStatus.FORBIDDEN),
    (errors.NotYours, HTTPStatus.FORBIDDEN),
    (errors.NotFound, HTTPStatus.NOT_FOUND),
    (errors.UnknownProvider, HTTPStatus.NOT_FOUND),
    (errors.BadRequest, HTTPStatus.BAD_REQUEST),
    (errors.TooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (errors.NotJson, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    (MalformedCallback, HTTPStatus.BAD_REQUEST),
    (errors.Conflict, HTTPStatus.CONFLICT),
    (errors.Invalid, HTTPStatus.UNPROCESSABLE_ENTITY),
    (errors.TooMany, HTTPStatus.TOO_MANY_REQUESTS),
    (errors.TooBusy, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
)
#: the detail for a client that is not signed in, or that must not see the reason
WITHHELD = "this deployment is not set up for this request, or cannot read what it needs; its log says why"


#: the titles that Python 3.13 renamed (RFC 9110): an answer must not change with the version of Python
TITLES = {413: "Request Entity Too Large", 422: "Unprocessable Entity"}


def title_of(status: int) -> str:
    """Return the title of an HTTP status, the same in every version of Python."""
    return TITLES.get(status) or HTTPStatus(status).phrase


def problem(status: int, detail: str, field_errors: tuple[errors.FieldError, ...] = ()) -> Response:
    """Return an error as an RFC 9457 answer.

    ``errors`` in its body has a JSON pointer to each wrong field.
    """
    body: dict[str, Any] = {"type": "about:blank", "title": title_of(status), "status": int(status)}
    body["detail"] = detail if len(detail) <= MAX_DETAIL_CHARS else detail[: MAX_DETAIL_CHARS - 3] + "..."
    if field_errors:
        body["errors"] = [{"pointer": e.pointer, "detail": e.detail} for e in field_errors[: errors.MAX_ERRORS]]
    headers: dict[str, str | list[str]] = {"Content-Type": "application/problem+json"}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = "1"
    return Response(json.dumps(body), headers=headers, status_code=int(status))


#: headers of every answer, unless the route sets its own: a browser must use HTTPS and must not cache an answer
SECURITY_HEADERS = {
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
#: further headers of an HTML page: no other site may show the page in a frame
PAGE_HEADERS = {"Content-Security-Policy": "frame-ancestors 'none'", "X-Frame-Options": "DENY"}


def secured(response: Response) -> Response:
    """Add the security headers that the response does not set itself."""
    is_page = str(response.headers.get("Content-Type", "")).startswith("text/html")
    wanted = SECURITY_HEADERS | PAGE_HEADERS if is_page else SECURITY_HEADERS
    response.headers = {**wanted, **response.headers}
    return response


def normalized(response: Response) -> Response:
    """Return the response with a Content-Type; Chalice's errors become problem+json."""
    if "Content-Type" in response.headers or response.body == "":
        return response
    if response.status_code < HTTPStatus.BAD_REQUEST:
        response.headers["Content-Type"] = "application/json"
        return response
    answer = problem(response.status_code, _detail(response))
    answer.headers |= response.headers
    return answer


def _detail(response: Response) -> str:
    """Return Redial's text for an error that Chalice made.

    Chalice's own text is not written for users.
    """
    if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return f"this path takes {response.headers['Allow']}, and no other method"
    return "the request cannot be read; GET /openapi.json lists what each route takes"


def answering(view: Callable[..., Any]) -> Callable[..., Any]:
    """Return a route's view that answers its errors as problem+json.

    Any other exception than Redial's becomes a 500 without details. This is a decorator, not a middleware: Chalice
    turns an exception into its own 500 before a middleware sees it.
    """

    @functools.wraps(view)
    def answered(**path: str) -> Any:
        try:
            return view(**path)
        except errors.RedialError as error:
            status = next((status for kind, status in STATUS if isinstance(error, kind)), None)
            if isinstance(error, SignatureError):
                log.warn("signature-wrong", provider=path["provider"], error=str(error))
                metrics.count(metrics.SIGNATURE_FAILURES, Provider=path["provider"])
            if status is None or isinstance(error, errors.Unavailable):
                log.warn("not-set-up", error=str(error))
                may_see = log.has_field("key") and not isinstance(error, errors.Unavailable)
                return problem(status or HTTPStatus.INTERNAL_SERVER_ERROR, str(error) if may_see else WITHHELD)
            refused = problem(status, str(error), getattr(error, "errors", ()))
            if isinstance(error, errors.TooMany):
                refused.headers["Retry-After"] = str(ceil(error.wait_sec))
            return refused
        except errors.Unreadable as error:
            log.broken("broken", error, view=view.__name__)
            return problem(HTTPStatus.INTERNAL_SERVER_ERROR, str(error) if log.has_field("key") else WITHHELD)
        except Exception as error:
            log.broken("broken", error, view=view.__name__)
            return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "something broke here; it is logged")

    return answered


def signed_in(services: Services, request: Request, wanted: Role, query: Sequence[str] = ()) -> ApiKey:
    """Return the API key of the request, and add its id to every further log line.

    ``query`` names the query parameters that a GET route reads. Raises NotSignedIn if the key is missing, unknown or
    expired, NotYours if its role does not allow ``wanted``, TooMany above the rate limit, and Invalid if a GET has
    other query parameters.
    """
    keys = _keys_sent(request)
    if not keys:
        raise _refused(
            request,
            "no-key",
            errors.NotSignedIn("send an API key: 'Authorization: Bearer <key>' or 'x-api-key: <key>'"),
        )
    owner = next((found for each in keys if (found := services.keys.find(each)) is not None), None)
    if owner is None:
        raise _refused(request, "unknown-key", errors.NotSignedIn("this API key is not known"))
    log.add_fields(key=owner.id)
    now = services.ports.clock.now()
    if owner.is_expired(now):
        text = f"this API key expired at {owner.expires_at:%Y-%m-%dT%H:%M:%SZ}; ask for a new one"
        raise _refused(request, "expired-key", errors.NotSignedIn(text))
    _check_rate(services, owner, services.rates.take)
    services.keys.record_use(owner, now)
    if not owner.role.allows(wanted):
        text = f"this key has the role {owner.role}; this request needs the role {wanted}"
        raise _refused(request, "role", errors.NotYours(text))
    if request.method == "GET":
        known_query(request, query)
    return owner


def _refused(request: Request, reason: str, error: errors.RedialError) -> errors.RedialError:
    """Record a refused sign-in as a log line and a metric, and return the error.

    A CloudWatch alarm watches the metric.
    """
    source_ip = (request.context.get("identity") or {}).get("sourceIp")
    log.warn("sign-in-refused", reason=reason, method=request.method, source_ip=source_ip)
    metrics.count(metrics.SIGN_INS_REFUSED, Reason=reason)
    return error


def may_place(services: Services, owner: ApiKey) -> None:
    """Count a request that places calls, together with those of all other processes.

    Raises TooMany above the rate limit. Call this after the request is validated, so that an invalid request writes
    nothing. Each process counts other kinds of requests for itself: a shared count needs a write, and the write would
    cost more than the request.
    """
    _check_rate(services, owner, services.rates.take_shared)


def _check_rate(services: Services, owner: ApiKey, take: Callable[[str, Rate, datetime], float]) -> None:
    rate = services.ports.settings.key_requests_per_second
    wait_sec = take(owner.id, Rate(rate), services.ports.clock.now())
    if wait_sec:
        log.warn("rate-limited", wait_sec=wait_sec)
        text = f"this API key sends more than {rate} requests a second; send the next one in {ceil(wait_sec)} s"
        raise errors.TooMany(text, wait_sec)


def _keys_sent(request: Request) -> list[str]:
    """Return the texts in the request that can be its API key.

    They are the bearer token, ``x-api-key`` (Gomobile's clients send this header), or the two halves of Basic. Exotel's
    clients send a key and a token in the two halves, and either can be the API key.
    """
    return [key for key in _candidates(request) if key]


def _candidates(request: Request) -> list[str]:
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return [str(credentials.strip())]
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
        except ValueError:
            return []
        return [password, user]
    return [str(request.headers.get("x-api-key", ""))]


def checked(model: type[Model], body: dict[str, Any], context: Mapping[str, Any] | None = None) -> Model:
    """Return the body as a model.

    ``context`` has what the model's validators need beside the body. Raises Invalid with a JSON pointer and a sentence
    for each wrong field.
    """
    try:
        return model.model_validate(body, context=dict(context or {}))
    except ValidationError as error:
        from chalicelib.api.wording import field_errors

        raise errors.Invalid(field_errors(model, error, body)) from error


def public_url(services: Services, request: Request) -> str:
    """Return the base URL at which a provider reaches this API.

    The URL is ``PUBLIC_URL`` if it is set, otherwise the URL that API Gateway reports. Raises RedialError if both are
    missing.
    """
    configured = services.ports.settings.public_url
    if configured:
        return configured
    context = request.context
    domain = context.get("domainName")
    if not domain:
        raise errors.RedialError("PUBLIC_URL is not set, and the request does not say under what name it came")
    if API_GATEWAY in domain and context.get("stage"):
        return f"https://{domain}/{context['stage']}"
    return "/".join([f"https://{domain}", *_base_path(context)])


#: a part of the domain names that API Gateway assigns; under such a name each path begins with the stage
API_GATEWAY = ".execute-api."


def _base_path(context: dict[str, Any]) -> list[str]:
    """Return the parts of the base path that a custom domain maps to the API.

    The base path is what remains before the route. This counts parts from the end, without empty parts: API Gateway
    also routes ``/calls/`` and ``//calls`` to ``/calls``.
    """
    parts = [part for part in context.get("path", "").split("/") if part]
    route = [part for part in context.get("resourcePath", "").split("/") if part]
    return parts[: max(0, len(parts) - len(route))]
