"""Values come back from DynamoDB's types as they went in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.storage.codec import from_attribute, from_item, to_attribute, to_item

plain = st.recursive(
    st.text() | st.booleans() | st.integers(-(10**15), 10**15) | st.floats(-1e15, 1e15, allow_nan=False),
    lambda inner: st.lists(inner | st.none(), max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(plain)
def test_what_is_stored_is_what_is_read(value: object) -> None:
    assert from_attribute(to_attribute(value)) == value


def test_an_attribute_that_is_none_is_left_out() -> None:
    assert to_item({"a": None, "b": 1}) == {"b": {"N": "1"}}
    assert from_item({"b": {"N": "1.5"}}) == {"b": 1.5}


def test_what_cannot_be_stored_is_named() -> None:
    with pytest.raises(TypeError, match="set cannot be stored"):
        to_attribute({1, 2})
