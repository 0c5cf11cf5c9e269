"""The shared tests' assertions show their values when they fail."""

import pytest

pytest.register_assert_rewrite("tests.providers.dialing", "tests.providers.reading")
