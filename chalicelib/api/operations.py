"""The table of operations: the facts of a route that its docstring does not have.

The OpenAPI document shows these facts. Each route and method has one row. A test fails if a route has no row, or if a
row has no route.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from chalicelib.api import answers
from chalicelib.api.calls import PAGE
from chalicelib.api.reading import MAX_KEY_CHARS
from chalicelib.api.schemas import AdoptionTokenIn, CallIn, ContactedIn, NamedPolicyIn, OptOutIn, PauseIn, PreviewIn
from chalicelib.dialects.bolna import BolnaCallIn
from chalicelib.dialects.exotel import CampaignIn
from chalicelib.providers import REGISTRY
from chalicelib.storage.history import MAX_CURSOR_CHARS, MAX_ENTRIES
from chalicelib.storage.keys import Role

#: the error statuses of a route that reads a JSON body
BODY = (400, 413, 415, 422)
#: the error statuses of a route that needs a key of any role
KEY = (401,)
#: the error statuses of a route that needs a key of a certain role
ROLE = (401, 403)
#: the error statuses of a route that reads or changes one call
CALL = (401, 403, 404)
#: the error status of a route whose write can fail because its record kept changing
BUSY = (503,)

#: media type -> schema, for content that has no model
Contents = Mapping[str, Mapping[str, Any]]

HTML: Contents = {"text/html": {"type": "string"}}
JSON_OBJECT: Contents = {"application/json": {"type": "object"}}
#: the content of callbacks: each provider has its own format
ANYTHING: Contents = {
    "application/x-www-form-urlencoded": {"type": "object"},
    "application/json": {"type": "object"},
    "multipart/form-data": {"type": "object"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One route and method.

    ``role`` is the role that the API key needs, None if the route needs no key. ``answer`` is None for an answer
    without content. ``others`` are further statuses with the same answer. ``problems`` are the error statuses.
    ``headers`` are the headers of the answer: name -> description and example.
    """

    tag: str
    role: Role | None
    answer: type[BaseModel] | Contents | None
    status: int = 200
    others: tuple[int, ...] = ()
    body: type[BaseModel] | Contents | None = None
    body_required: bool = True
    problems: tuple[int, ...] = ()
    parameters: tuple[str, ...] = ()
    headers: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    example: Mapping[str, Any] | None = None


#: tag -> the purpose of its routes, in the order of the page
TAGS: Mapping[str, str] = {
    "Calls": "Place a call with its retries, read how it goes, and stop it.",
    "Policies": "Keep retry policies by name, try them out, and adopt calls that your own code places.",
    "Numbers": "Opt a number out, say that the customer called back, and erase a number.",
    "Dialling": "Pause and resume every call of the workspace.",
    "Vendors' shapes": "Requests and answers of Bolna, Exotel, DialNexa and Gomobile, for their clients as they are.",
    "Callbacks": "Where providers report on calls. Only providers send requests to these addresses.",
    "The API": "Whether the API runs, and what it takes.",
}

#: name -> OpenAPI's parameter; a path names its parameters in braces
PARAMETERS: Mapping[str, Mapping[str, Any]] = {
    "call_id": {
        "in": "path",
        "description": "A call's id, or that of one of its attempts.",
        "schema": {"type": "string", "examples": ["call_01kfxyz0000000000000000000"]},
    },
    "number": {
        "in": "path",
        "description": "A phone number in E.164, its + encoded or not.",
        "schema": {"type": "string", "pattern": r"^\+[1-9][0-9]{6,14}$", "examples": ["+16505550199"]},
    },
    "name": {
        "in": "path",
        "description": "A policy's name: 1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", "examples": ["reminders"]},
    },
    "provider": {
        "in": "path",
        "description": "The provider that sends the callback.",
        "schema": {"type": "string", "enum": sorted(REGISTRY), "examples": ["twilio"]},
    },
    "token": {
        "in": "path",
        "description": "The unguessable part of an attempt's callback address, or of a policy's adoption address.",
        "schema": {"type": "string", "examples": ["a1b2c3"]},
    },
    "sid": {
        "in": "path",
        "description": "The account, as Exotel's address has it. The API key decides whose the calls are.",
        "schema": {"type": "string", "examples": ["acme1"]},
    },
    "limit": {
        "in": "query",
        "description": "The most entries of a page.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_ENTRIES, "default": PAGE, "examples": [PAGE]},
    },
    "cursor": {
        "in": "query",
        "description": "The next_cursor of the page before.",
        "schema": {"type": "string", "maxLength": MAX_CURSOR_CHARS, "examples": ["eyJwayI6IkNBTEwifQ"]},
    },
    "Idempotency-Key": {
        "in": "header",
        "description": "If you repeat a request with the same key within 24 hours, the answer is the first call.",
        "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_CHARS, "examples": ["order-7"]},
    },
}

_RETRY = {"max_retries": 3, "wait_minutes": 30, "retry_on_busy": True, "retry_on_no_answer": True}
_NUMBERS = {"from_number": "+14155550100", "to_number": "+16505550199"}


def _callback(*problems: int, parameters: tuple[str, ...] = ()) -> Mapping[str, Operation]:
    get = Operation(
        tag="Callbacks",
        role=None,
        answer=answers.CallbackTaken,
        problems=(400, 403, 404, 413, *problems, 503),
        parameters=parameters,
    )
    post = Operation(
        tag=get.tag,
        role=None,
        answer=get.answer,
        body=ANYTHING,
        body_required=False,
        problems=get.problems,
        parameters=parameters,
    )
    return {"GET": get, "POST": post}


#: route -> method -> operation, in the order of the page
OPERATIONS: Mapping[str, Mapping[str, Operation]] = {
    "/calls": {
        "POST": Operation(
            tag="Calls",
            role=Role.WRITE,
            answer=answers.Call,
            status=201,
            body=CallIn,
            problems=(*ROLE, *BODY, *BUSY),
            parameters=("Idempotency-Key",),
            headers={"Location": ("The address of the call.", "https://redial.example.com/api/calls/call_01kfxyz0")},
            example={**_NUMBERS, "agent_version_id": "av_01hx", "retry": _RETRY},
        ),
        "GET": Operation(
            tag="Calls",
            role=Role.READ,
            answer=answers.History,
            problems=(*KEY, 422),
            parameters=("limit", "cursor"),
        ),
    },
    "/calls/{call_id}": {"GET": Operation(tag="Calls", role=Role.READ, answer=answers.Call, problems=(*CALL, 422))},
    "/calls/{call_id}/cancel": {
        "POST": Operation(tag="Calls", role=Role.WRITE, answer=answers.Call, problems=(*CALL, *BUSY))
    },
    "/calls/{call_id}/decisions": {
        "GET": Operation(tag="Calls", role=Role.READ, answer=answers.Decisions, problems=(*CALL, 422))
    },
    "/policies/preview": {
        "POST": Operation(
            tag="Policies",
            role=Role.READ,
            answer=answers.Preview,
            body=PreviewIn,
            problems=(*KEY, *BODY),
            example={
                "to_number": "+919876543210",
                "outcomes": ["busy", "no-answer"],
                "retry": {**_RETRY, "window": {"preset": "in-trai"}},
            },
        )
    },
    "/policies": {"GET": Operation(tag="Policies", role=Role.READ, answer=answers.Policies, problems=(*KEY, 422))},
    "/policies/{name}": {
        "PUT": Operation(
            tag="Policies",
            role=Role.WRITE,
            answer=answers.NamedPolicy,
            body=NamedPolicyIn,
            problems=(*ROLE, *BODY),
            example={"retry": {"max_retries": 2, "wait_minutes": 30}, "target": {"url": "https://example.com/a.xml"}},
        ),
        "GET": Operation(tag="Policies", role=Role.READ, answer=answers.NamedPolicy, problems=(*KEY, 404, 422)),
        "DELETE": Operation(tag="Policies", role=Role.WRITE, answer=None, status=204, problems=(*ROLE, 422)),
    },
    "/policies/{name}/adoption-token": {
        "POST": Operation(
            tag="Policies",
            role=Role.WRITE,
            answer=answers.NamedPolicy,
            body=AdoptionTokenIn,
            body_required=False,
            problems=(*ROLE, *BODY, 404, 409),
            example={"revoke_old": False},
        )
    },
    "/numbers/{number}/opt-out": {
        "PUT": Operation(
            tag="Numbers",
            role=Role.WRITE,
            answer=answers.OptedOut,
            body=OptOutIn,
            body_required=False,
            problems=(*ROLE, *BODY, *BUSY),
            example={"reason": "asked on the phone"},
        ),
        "GET": Operation(tag="Numbers", role=Role.READ, answer=answers.OptOut, problems=(*KEY, 404, 422)),
        "DELETE": Operation(tag="Numbers", role=Role.WRITE, answer=None, status=204, problems=(*ROLE, 422, *BUSY)),
    },
    "/numbers/{number}/contacted": {
        "POST": Operation(
            tag="Numbers",
            role=Role.WRITE,
            answer=answers.Contacted,
            body=ContactedIn,
            body_required=False,
            problems=(*ROLE, *BODY, *BUSY),
            example={"postpone_minutes": 240},
        )
    },
    "/numbers/{number}": {
        "DELETE": Operation(
            tag="Numbers", role=Role.ADMIN, answer=answers.Erasure, others=(202,), problems=(*ROLE, 422, *BUSY)
        )
    },
    "/pause-all": {
        "POST": Operation(
            tag="Dialling",
            role=Role.ADMIN,
            answer=answers.Pause,
            body=PauseIn,
            body_required=False,
            problems=(*ROLE, *BODY, *BUSY),
            example={"reason": "the script is wrong"},
        ),
        "GET": Operation(tag="Dialling", role=Role.READ, answer=answers.Pause, problems=(*KEY, 422)),
    },
    "/resume-all": {
        "POST": Operation(tag="Dialling", role=Role.ADMIN, answer=answers.Resumed, problems=(*ROLE, *BUSY))
    },
    "/call": {
        "POST": Operation(
            tag="Vendors' shapes",
            role=Role.WRITE,
            answer=answers.BolnaAccepted,
            body=BolnaCallIn,
            problems=(*ROLE, *BODY, *BUSY),
            parameters=("Idempotency-Key",),
            example={
                "agent_id": "av_01hx",
                "recipient_phone_number": "+16505550199",
                "from_phone_number": "+14155550100",
                "retry_config": {"enabled": True, "max_retries": 3, "retry_intervals_minutes": [30, 60, 120]},
            },
        )
    },
    "/v1/Accounts/{sid}/Campaigns": {
        "POST": Operation(
            tag="Vendors' shapes",
            role=Role.WRITE,
            answer=answers.Campaign,
            status=201,
            body=CampaignIn,
            problems=(*ROLE, *BODY, *BUSY),
            parameters=("Idempotency-Key",),
            example={
                "name": "Payment_Reminders",
                "caller_id": "+918047112233",
                "call_flow_id": "flow-7",
                "numbers": ["+919876543210", "+919876543211"],
                "retry": {"max_attempts": 3, "interval_minutes": 60, "retry_on": ["busy", "no-answer", "failed"]},
                "schedule": {"daily_start": "09:00", "daily_end": "21:00"},
            },
        )
    },
    "/call-logs/{call_id}/retries": {
        "GET": Operation(tag="Vendors' shapes", role=Role.READ, answer=answers.DialNexaRetries, problems=(*CALL, 422))
    },
    "/v1/call-logs/{call_id}/retries": {
        "GET": Operation(tag="Vendors' shapes", role=Role.READ, answer=answers.DialNexaRetries, problems=(*CALL, 422))
    },
    "/executions/{call_id}": {
        "GET": Operation(tag="Vendors' shapes", role=Role.READ, answer=answers.BolnaExecution, problems=(*CALL, 422))
    },
    "/call-report/{call_id}": {
        "GET": Operation(tag="Vendors' shapes", role=Role.READ, answer=answers.GomobileReport, problems=(*CALL, 422))
    },
    "/callbacks/{provider}/{token}": _callback(),
    "/callbacks/{provider}/adopt/{token}": _callback(422),
    "/callbacks/{provider}": _callback(),
    "/health": {"GET": Operation(tag="The API", role=None, answer=answers.Health)},
    "/openapi.json": {"GET": Operation(tag="The API", role=None, answer=JSON_OBJECT)},
    "/docs": {"GET": Operation(tag="The API", role=None, answer=HTML)},
}
