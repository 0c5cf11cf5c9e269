"""Identifiers: sortable ids of calls, secret tokens of callbacks, keys of the API."""

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
    """Return ``<prefix>_`` and 26 characters that sort by time (a ULID).

    The characters hold 48 bits of milliseconds since 1970 and 80 random bits.
    """
    millis = int(now.timestamp() * 1000)
    return f"{prefix}_{_base32(millis, 10)}{_base32(secrets.randbits(80), 16)}"


def is_call_id(text: str) -> bool:
    """Return whether a text has the form of a call's id.

    No call has an id of another form, and DynamoDB may reject a key of another form. So check a text before a look-up.
    """
    return _CALL_ID.fullmatch(text) is not None


def callback_token(call_id: str, attempt: int) -> str:
    """Return a token that names an attempt and ends with 128 random bits.

    Nobody can guess the token. It is safe in a URL path.
    """
    return f"{call_id}.{attempt}.{secrets.token_hex(16)}"


def split_callback_token(token: str) -> tuple[str, int] | None:
    """Return the call id and the attempt number in a token, or None for another text."""
    found = _TOKEN.fullmatch(token)
    return (found[1], int(found[2])) if found else None


def new_api_key() -> str:
    """Return a new API key of 256 random bits. Redial stores only its hash."""
    return f"rdl_{secrets.token_urlsafe(32)}"


def new_adoption_token() -> str:
    """Return a new secret for an adoption address, of 256 random bits.

    Redial stores only its hash.
    """
    return f"adp_{secrets.token_urlsafe(32)}"


def new_salt() -> str:
    """Return a salt for hashes: 256 random bits, in hex.

    Without a salt, somebody could find a hashed value in a list of precomputed hashes.
    """
    return secrets.token_hex(32)


def hashed(secret: str) -> str:
    """Return the SHA-256 of a secret, in hex, under which Redial stores the secret.

    The secret must be random: a fast hash does not protect a password.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
