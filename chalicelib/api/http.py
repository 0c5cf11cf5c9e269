"""What every route shares: who is asking, the body as a model, errors as problem+json, the public URL."""

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

#: for routes that read their body themselves, whatever type it is said to be
ANY_TYPE = ["*/*"]

#: no more wrong fields than this are listed in one answer
MAX_ERRORS = 100
#: what an answer says of an error, in characters
MAX_DETAIL_CHARS = 2000

#: error -> HTTP status; the first that fits counts
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
#: what somebody is told who is not signed in, or whom the reason does not concern
NOT_TOLD = "this deployment is not set up for this request, or cannot read what it needs; its log says why"


#: the titles that Python 3.13 has under newer names (RFC 9110): an answer must not change with the runtime
TITLES = {413: "Request Entity Too Large", 422: "Unprocessable Entity"}


def title_of(status: int) -> str:
    """Return the title of an HTTP status, the same in every version of Python."""
    return TITLES.get(status) or HTTPStatus(status).phrase


def problem(status: int, detail: str, field_errors: tuple[errors.FieldError, ...] = ()) -> Response:
    """An RFC 9457 answer; ``errors`` points at each wrong field with a JSON pointer."""
    body: dict[str, Any] = {"type": "about:blank", "title": title_of(status), "status": int(status)}
    body["detail"] = detail if len(detail) <= MAX_DETAIL_CHARS else detail[: MAX_DETAIL_CHARS - 3] + "..."
    if field_errors:
        body["errors"] = [{"pointer": e.pointer, "detail": e.detail} for e in field_errors[:MAX_ERRORS]]
    headers: dict[str, str | list[str]] = {"Content-Type": "application/problem+json"}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = "1"
    return Response(json.dumps(body), headers=headers, status_code=int(status))


#: what every answer tells a browser, unless the route says otherwise: nothing of the API is to be kept or framed
SECURITY_HEADERS = {
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
PAGE_HEADERS = {"Content-Security-Policy": "frame-ancestors 'none'", "X-Frame-Options": "DENY"}


def secured(response: Response) -> Response:
    """Add the security headers that an answer does not set itself."""
    is_page = str(response.headers.get("Content-Type", "")).startswith("text/html")
    wanted = SECURITY_HEADERS | PAGE_HEADERS if is_page else SECURITY_HEADERS
    response.headers = {**wanted, **response.headers}
    return response


def in_our_form(response: Response) -> Response:
    """An answer that says what type it is; an error that Chalice made by itself as problem+json."""
    if "Content-Type" in response.headers or response.body == "":
        return response
    if response.status_code < HTTPStatus.BAD_REQUEST:
        response.headers["Content-Type"] = "application/json"
        return response
    answer = problem(response.status_code, _own_words(response))
    answer.headers |= response.headers
    return answer


def _own_words(response: Response) -> str:
    """Return what an error of Chalice's own means: its text is not for users."""
    if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return f"this path takes {response.headers['Allow']}, and no other method"
    return "the request cannot be read; GET /openapi.json lists what each route takes"


def answering(view: Callable[..., Any]) -> Callable[..., Any]:
    """A route's view whose errors are answered as problem+json; what is not ours is a 500 that says nothing.

    A decorator and no middleware, for Chalice turns an exception into its own 500 before any middleware sees it.
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
                tells = log.is_said("key") and not isinstance(error, errors.Unavailable)
                return problem(status or HTTPStatus.INTERNAL_SERVER_ERROR, str(error) if tells else NOT_TOLD)
            refused = problem(status, str(error), getattr(error, "errors", ()))
            if isinstance(error, errors.TooMany):
                refused.headers["Retry-After"] = str(ceil(error.wait_sec))
            return refused
        except errors.Unreadable as error:
            log.broken("broken", error, view=view.__name__)
            return problem(HTTPStatus.INTERNAL_SERVER_ERROR, str(error) if log.is_said("key") else NOT_TOLD)
        except Exception as error:
            log.broken("broken", error, view=view.__name__)
            return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "something broke here; it is logged")

    return answered


def signed_in(services: Services, request: Request, wanted: Role, query: Sequence[str] = ()) -> ApiKey:
    """Return whose request this is, and name the key in every further line. ``query`` names what a GET route reads.

    Raise NotSignedIn, NotYours, TooMany, and Invalid for other query parameters of a GET.
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
    log.say_from_here_on(key=owner.id)
    now = services.ports.clock.now()
    if owner.is_expired(now):
        text = f"this API key expired at {owner.expires_at:%Y-%m-%dT%H:%M:%SZ}; ask for a new one"
        raise _refused(request, "expired-key", errors.NotSignedIn(text))
    _within_rate(services, owner, services.rates.take)
    services.keys.record_use(owner, now)
    if not owner.role.allows(wanted):
        text = f"this key may {owner.role}, and this needs one that may {wanted}"
        raise _refused(request, "role", errors.NotYours(text))
    if request.method == "GET":
        known_query(request, query)
    return owner


def _refused(request: Request, reason: str, error: errors.RedialError) -> errors.RedialError:
    """Record a refused sign-in: a line, and a figure with an alarm."""
    source_ip = (request.context.get("identity") or {}).get("sourceIp")
    log.warn("sign-in-refused", reason=reason, method=request.method, source_ip=source_ip)
    metrics.count(metrics.SIGN_INS_REFUSED, Reason=reason)
    return error


def may_place(services: Services, owner: ApiKey) -> None:
    """Count a request that places calls with all processes together. Raise TooMany.

    Called once the request is known to be right: what is refused writes nothing. Requests of other kinds are counted by
    each process for itself, for a write would cost more than they do.
    """
    _within_rate(services, owner, services.rates.take_shared)


def _within_rate(services: Services, owner: ApiKey, take: Callable[[str, Rate, datetime], float]) -> None:
    rate = services.ports.settings.key_requests_per_second
    wait_sec = take(owner.id, Rate(rate), services.ports.clock.now())
    if wait_sec:
        log.warn("rate-limited", wait_sec=wait_sec)
        text = f"this API key sends more than {rate} requests a second; send the next one in {ceil(wait_sec)} s"
        raise errors.TooMany(text, wait_sec)


def _keys_sent(request: Request) -> list[str]:
    """Return what can be the API key: a bearer token, ``x-api-key`` as Gomobile's clients send it, or a half of Basic.

    Exotel's clients send a key and a token in Basic's two halves, and either may be ours.
    """
    return [key for key in _as_sent(request) if key]


def _as_sent(request: Request) -> list[str]:
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
    """Return the body as a model. Raise Invalid with a JSON pointer and a sentence for each wrong field.

    ``context`` is what the model's validators ask for beside the body.
    """
    try:
        return model.model_validate(body, context=dict(context or {}))
    except ValidationError as error:
        from chalicelib.api.wording import field_errors

        raise errors.Invalid(field_errors(model, error, body)) from error


def public_url(services: Services, request: Request) -> str:
    """Return the base URL under which the provider reaches this API: ``PUBLIC_URL``, else what API Gateway says.

    Raise RedialError where neither is there.
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
    return "/".join([f"https://{domain}", *_mapped_below(context)])


#: in the names that API Gateway gives its APIs itself; there the stage begins each path
API_GATEWAY = ".execute-api."


def _mapped_below(context: dict[str, Any]) -> list[str]:
    """Return the base path that a custom domain maps to the API, as its parts.

    Counted from the end, for API Gateway routes ``/calls/`` and ``//calls`` as it does ``/calls``.
    """
    parts = [part for part in context.get("path", "").split("/") if part]
    route = [part for part in context.get("resourcePath", "").split("/") if part]
    return parts[: max(0, len(parts) - len(route))]
