"""The addresses from which an unsigned callback is accepted."""

import pytest

from chalicelib import providers
from chalicelib.errors import RedialError
from chalicelib.providers import CallbackRequest, SignatureError
from chalicelib.providers.allowlist import Allowlist
from tests.providers.cases import NOW


def request(source_ip: str | None) -> CallbackRequest:
    return CallbackRequest("POST", "https://a.example/x", {}, b"{}", source_ip)


def lets_through(setting: str | None, source_ip: str | None) -> bool:
    try:
        Allowlist(setting, "X_ALLOWED_IPS").check(request(source_ip))
    except SignatureError:
        return False
    return True


@pytest.mark.parametrize(
    ("setting", "source_ip"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("198.51.100.1, 203.0.113.7", "203.0.113.7"),
        ("203.0.113.0/24", "203.0.113.255"),
        ("203.0.113.9/24", "203.0.113.255"),
        ("203.0.113.7", "::ffff:203.0.113.7"),
        ("2001:db8::/32", "2001:db8::1"),
        (None, "198.51.100.1"),
        ("", None),
    ],
)
def test_a_listed_address_is_let_through_and_without_a_list_every_one(setting: str | None, source_ip: str | None):
    assert lets_through(setting, source_ip)


@pytest.mark.parametrize(
    "source_ip", [None, "", "203.0.113.8", "2001:db8::1", "localhost", "203.0.113.7, 1.1.1.1", "é"]
)
def test_any_other_is_refused(source_ip: str | None):
    assert not lets_through("203.0.113.7", source_ip)


@pytest.mark.parametrize("setting", [" , ", "bolna.ai", "203.0.113.7/33", "203.0.113.7;203.0.113.8"])
@pytest.mark.parametrize("name", ["exotel", "bolna"])
def test_an_unreadable_allowlist_stops_the_provider(name: str, setting: str):
    credentials = {"account_sid": "a", "api_key": "k", "api_token": "t", "allowed_ips": setting}
    with pytest.raises(RedialError, match=f"{name.upper()}_ALLOWED_IPS"):
        providers.load(name, credentials, now=lambda: NOW)
