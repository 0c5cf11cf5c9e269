"""The settings from the environment: defaults, and errors that name the variable."""

import pytest

from chalicelib.errors import RedialError
from chalicelib.runtime.settings import Settings, WakeBackend


def test_nothing_need_be_set() -> None:
    settings = Settings.from_env({})
    assert (settings.stage, settings.table_name, settings.public_url) == ("dev", "redial-dev", None)
    assert (settings.wake_backend, settings.wake_lead_seconds) == (WakeBackend.RULE, 120)
    assert settings.default_provider == "twilio"


def test_a_providers_variables_are_keyed_without_its_name() -> None:
    settings = Settings.from_env({"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "x", "PLIVO_AUTH_ID": "y"})
    assert settings.credentials("twilio") == {"account_sid": "AC1", "auth_token": "x"}


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("WAKE_BACKEND", "cron", "rule, scheduler"),
        ("WAKE_LEAD_SECONDS", "-1", "from 0 to 3600"),
        ("RING_TIMEOUT_SECONDS", "never", "from 5 to 600"),
        ("MACHINE_DETECTION", "maybe", "off, sync, async"),
        ("LOG_NUMBERS", "hidden", "masked, plain"),
        ("RETENTION_DAYS", "forever", "from 1 to 3650"),
    ],
)
def test_a_wrong_value_is_named_with_what_would_be_right(name: str, value: str, right: str) -> None:
    with pytest.raises(RedialError, match=f"{name} is '{value}'.*{right}"):
        Settings.from_env({name: value})


@pytest.mark.parametrize("value", ["0", "fast", "nan", "1e9"])
def test_a_wrong_rate_limit_is_named(value: str) -> None:
    with pytest.raises(RedialError, match="TWILIO_CALLS_PER_SECOND"):
        Settings.from_env({"TWILIO_CALLS_PER_SECOND": value}).calls_per_second("twilio")
