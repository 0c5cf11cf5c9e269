"""Our requests and the vendors' documents, compared with the types of the SDKs."""

import json
import types
from functools import reduce
from operator import or_
from typing import Annotated, Any, Required, Union, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl, urlsplit

import pytest
from plivo.resources.calls import Calls
from pydantic import ConfigDict, TypeAdapter
from telnyx._types import SequenceNotStr
from telnyx.types.call_dial_params import CallDialParams
from telnyx.types.call_event_list_params import CallEventListParams, Filter
from telnyx.types.connection_list_active_calls_params import ConnectionListActiveCallsParams
from vonage_voice.models.requests import CreateCallRequest, ListCallsFilter

from chalicelib.providers import DialRequest
from ops.local.vendor_schemas import published
from tests.providers.cases import NOW, ListedCall, case
from tests.providers.test_requests import CONTROL_ID, UUID, Watched, dials, provider


class Kept(Watched):
    """Keeps the URL and the JSON of each request."""

    def __init__(self, name: str, listed: object = None) -> None:
        super().__init__(name, listed=listed)
        self.urls: list[str] = []
        self.bodies: list[dict[str, Any]] = []

    def request(self, method: str, url: str, **rest: Any) -> Any:
        self.urls.append(url)
        self.bodies.append(json.loads(rest.get("body") or b"{}"))
        return super().request(method, url, **rest)


def body_of(name: str, request: DialRequest) -> dict[str, Any]:
    http = Kept(name)
    provider(name, http).dial(request)
    return http.bodies[0]


def queries(name: str) -> list[dict[str, str]]:
    """Return the queries of each request of find and look-up."""
    listed = case(name).listed
    calls = [ListedCall(UUID, NOW)]
    http = Kept(name, listed=(lambda url: listed(url, calls)) if listed else None)
    provider(name, http).find("+16505550199", "+14155550100", NOW, NOW, UUID)
    return [dict(parse_qsl(urlsplit(url).query)) for url in http.urls]


def properties(name: str, operation: str = "create") -> set[str]:
    described = published(name)["operations"][operation]
    schema = described["body"]["schema"] if "body" in described else described["query"]
    return set(schema["properties"])


def plain(hint: Any) -> Any:
    """Convert a type of Telnyx's to one that pydantic checks: sequences are lists."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Required, Annotated):
        return plain(args[0])
    if origin is SequenceNotStr:
        return list[plain(args[0])]
    if origin in (Union, types.UnionType):
        return reduce(or_, map(plain, args))
    return dict[args[0], plain(args[1])] if origin is dict else hint


@pytest.mark.parametrize("request_", list(dials("telnyx")))
def test_telnyx_is_sent_what_its_sdk_would_send(request_: DialRequest):
    hints = get_type_hints(CallDialParams, include_extras=True)
    for name, value in body_of("telnyx", request_).items():
        TypeAdapter(plain(hints["from_" if name == "from" else name])).validate_python(value, strict=True)


def test_telnyxs_sdk_refuses_one_address_where_it_takes_an_array():
    hint = plain(get_type_hints(CallDialParams, include_extras=True)["webhook_urls"])
    with pytest.raises(ValueError, match="list"):
        TypeAdapter(hint).validate_python({"call.hangup": "https://example.com/"}, strict=True)


def test_telnyxs_document_has_the_fields_of_its_sdk():
    assert properties("telnyx") == {name.rstrip("_") for name in CallDialParams.__annotations__}
    pages = {"page[number]", "page[size]"}
    assert set(ConnectionListActiveCallsParams.__annotations__) == {"page_number", "page_size"}
    assert properties("telnyx", "look-up") == pages
    assert set(CallEventListParams.__annotations__) == {"filter", "page_number", "page_size"}
    filters = {name.removeprefix("filter[").split("]")[0] for name in properties("telnyx", "list") - pages}
    of_sdk = {name.replace("outbound_outbound", "outbound.outbound") for name in get_type_hints(Filter)}
    assert filters == of_sdk


def test_telnyxs_hang_up_has_no_field_that_is_not_its_sdks():
    http = Kept("telnyx")
    provider("telnyx", http).hang_up(CONTROL_ID)
    assert http.bodies == [{}]


class StrictCall(CreateCallRequest):
    model_config = ConfigDict(extra="forbid")


class StrictFilter(ListCallsFilter):
    model_config = ConfigDict(extra="forbid")


@pytest.mark.parametrize("request_", list(dials("vonage")))
def test_vonage_is_sent_what_its_sdk_would_send(request_: DialRequest):
    ours = body_of("vonage", request_)
    theirs = StrictCall(**{"from_" if name == "from" else name: value for name, value in ours.items()})
    assert json.loads(theirs.model_dump_json(by_alias=True, exclude_none=True)) == ours


def test_vonages_document_has_the_fields_of_its_sdk():
    assert properties("vonage") == {name.rstrip("_") for name in CreateCallRequest.model_fields}
    assert properties("vonage", "list") == set(ListCallsFilter.model_fields)
    asked = queries("vonage")
    assert asked
    for query in asked:
        StrictFilter(**query)


class PlivoClient:
    """The client to which Plivo's SDK gives its requests."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, tuple[str, ...], dict[str, Any]]] = []

    def request(self, method: str, path: tuple[str, ...], data: dict[str, Any], **_: object) -> None:
        self.sent.append((method, path, data))


@pytest.mark.parametrize("request_", list(dials("plivo")))
def test_plivo_is_sent_what_its_sdk_would_send(request_: DialRequest):
    ours, client = body_of("plivo", request_), PlivoClient()
    Calls(client).create(**{name + "_" * (name in ("from", "to")): value for name, value in ours.items()})
    ((method, path, theirs),) = client.sent
    assert (method, path) == ("POST", ("Call",))
    assert {name: theirs[name] for name in ours} == ours
    assert set(theirs) <= properties("plivo")


def test_plivos_lists_are_requested_as_its_sdk_does():
    for query in queries("plivo"):
        client = PlivoClient()
        numbers = {name: int(text) if name in ("limit", "offset") else text for name, text in query.items()}
        Calls(client).list(**numbers)
        ((method, path, theirs),) = client.sent
        assert (method, path) == ("GET", ("Call",))
        assert {name: theirs[name] for name in numbers} == numbers
