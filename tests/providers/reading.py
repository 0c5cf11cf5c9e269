"""The tests of verify and parse that all providers share.

The conformance matrix has the tests over payload files. A vendor's file, ``test_<name>.py``, inherits CallbackTests and
gives it a CallbackCase.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.providers import CallbackRequest, MalformedCallback, Provider, SignatureError
from tests.support.shared import SharedTests, each_row

FORM_TYPE = {"Content-Type": "application/x-www-form-urlencoded"}
JSON_TYPE = {"Content-Type": "application/json"}
#: random values that JSON has
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
CONTENT_TYPES = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data", "")


def random_bodies(
    call: Mapping[str, str], names: Sequence[str], wrap: Callable[[dict[str, object]], object] = dict
) -> st.SearchStrategy[bytes]:
    """Return random bodies: bytes, and JSON and forms with a call.

    JSON and forms have the fields of ``call``, and random values of some of the ``names``. ``wrap`` makes the vendor's
    JSON of the fields.
    """
    fields = st.dictionaries(st.sampled_from(names), VALUES)
    form = st.dictionaries(st.sampled_from(names), st.text(max_size=40))
    return (
        st.binary(max_size=200)
        | fields.map(lambda values: json.dumps(wrap({**call, **values})).encode())
        | form.map(lambda values: urlencode({**call, **values}, errors="replace").encode())
    )


def request(
    body: bytes = b"",
    url: str = "https://retry.example.com/callbacks/provider/token",
    method: str = "POST",
    headers: Mapping[str, str] = FORM_TYPE,
) -> CallbackRequest:
    """Return an unsigned callback, by default a form that is posted."""
    return CallbackRequest(method=method, url=url, headers=headers, body=body)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackCase:
    """The callbacks of one provider over which the shared tests run."""

    provider: Callable[[], Provider]
    #: (a callback without a call, a part of the error that rejects it)
    malformed: Sequence[tuple[CallbackRequest, str]]
    #: callbacks with the same fields, in each way in which the vendor may send them
    alike: Sequence[CallbackRequest]
    #: random bodies, some of which name a call
    bodies: st.SearchStrategy[bytes]


class CallbackTests(SharedTests):
    """The shared tests of one provider's callbacks."""

    case: CallbackCase

    @each_row("malformed", "callback", "reason")
    def test_a_callback_that_names_no_call_is_rejected(self, callback: CallbackRequest, reason: str) -> None:
        with pytest.raises(MalformedCallback) as raised:
            self.case.provider().parse(callback)
        assert reason in str(raised.value)

    def test_the_same_fields_are_the_same_event_however_they_are_sent(self) -> None:
        first, *others = (self.case.provider().parse(callback) for callback in self.case.alike)
        assert first
        assert others == [first] * len(others)

    def test_random_callbacks_are_rejected_or_read(self) -> None:
        provider = self.case.provider()

        @settings(max_examples=300, deadline=None)
        @given(
            self.case.bodies,
            st.sampled_from(CONTENT_TYPES),
            st.sampled_from(["POST", "GET"]),
            st.text(max_size=40),
        )
        def check(body: bytes, content_type: str, method: str, text: str) -> None:
            headers = {"Content-Type": content_type} if content_type else {}
            headers |= {name: text for names in provider.signature_headers for name in names}
            callback = CallbackRequest(method, f"https://a.example/x?{text}", headers, body)
            if provider.signs_callbacks:
                with pytest.raises(SignatureError):
                    provider.verify(callback)
            try:
                events = provider.parse(callback)
            except MalformedCallback:
                return
            assert all(str(event).encode() and event.provider_call_id for event in events)

        check()
