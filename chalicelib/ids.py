"""Identifiers: sortable ids for calls, unguessable tokens for callbacks, keys for the API."""

import hashlib
import re
import secrets
from datetime import datetime

_CALL_ID = re.compile(r"call_[0-9a-z]{1,64}")
_TOKEN = re.compile(r"(call_[0-9a-z]{1,64})\.([0-9]{1,6})\.([0-9a-f]{32})")
_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


def _base32(value: int, length: int) -> str:
    digits = []
    for _ in range(length):
        value, digit = divmod(value, 32)
        digits.append(_CROCKFORD[digit])
    return "".join(reversed(digits))


def sortable_id(prefix: str, now: datetime) -> str:
    """``<prefix>_`` and 26 characters that sort by time: 48 bits of milliseconds, 80 bits of chance (a ULID)."""
    millis = int(now.timestamp() * 1000)
    return f"{prefix}_{_base32(millis, 10)}{_base32(secrets.randbits(80), 16)}"


def is_call_id(text: str) -> bool:
    """True for what can be a call's id: nothing else needs to be looked up, or could be."""
    return _CALL_ID.fullmatch(text) is not None


def callback_token(call_id: str, attempt: int) -> str:
    """A token that names its attempt and cannot be guessed: 128 bits of chance. Safe in a URL path."""
    return f"{call_id}.{attempt}.{secrets.token_hex(16)}"


def split_callback_token(token: str) -> tuple[str, int] | None:
    """The call and attempt that a token names; None where it is no token of ours."""
    found = _TOKEN.fullmatch(token)
    return (found[1], int(found[2])) if found else None


def new_api_key() -> str:
    """A fresh API key; only its hash is ever stored."""
    return f"rdl_{secrets.token_urlsafe(32)}"


def new_adoption_token() -> str:
    """Return a fresh secret of an adoption address, 256 bits of chance; only its hash is ever stored."""
    return f"adp_{secrets.token_urlsafe(32)}"


def new_salt() -> str:
    """256 bits of chance, in hex, for hashes that nobody is to find in a list made beforehand."""
    return secrets.token_hex(32)


def hashed(secret: str) -> str:
    """The SHA-256, in hex, under which a key of full entropy is stored."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
