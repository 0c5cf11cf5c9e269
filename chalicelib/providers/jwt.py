"""JSON Web Tokens (RFC 7519): read with HS256 and a shared secret, made by RS256."""

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from chalicelib.providers.base import SignatureError
from chalicelib.providers.forms import json_object
from chalicelib.providers.signing import matches_any

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

#: The three base64url parts of a token, without padding. No vendor's token comes near to these lengths.
_TOKEN = re.compile(r"([\w-]{1,1000})\.([\w-]{1,6000})\.([\w-]{1,1000})", re.ASCII)
#: The shortest key that is accepted. Shorter keys are broken, and no vendor issues them.
MIN_KEY_BITS = 2048


def read_hs256(token: str, secrets: Iterable[str]) -> Mapping[str, object]:
    """Return the claims of a token that one of the secrets signed with HS256.

    The algorithm is ours to choose, not the token's. ``none``, and RS256 with a public key as its secret, are refused
    (RFC 8725, 3.1). Raises SignatureError.
    """
    parts = _TOKEN.fullmatch(token)
    if parts is None:
        raise SignatureError("the token is no JWT")
    signed = f"{parts[1]}.{parts[2]}".encode()
    expected = [_encoded(hmac.new(secret.encode(), signed, hashlib.sha256).digest()) for secret in secrets]
    holds = matches_any(parts[3], expected)
    header, claims = _decoded(parts[1]), _decoded(parts[2])
    if header is None or header.get("alg") != "HS256" or claims is None or not holds:
        raise SignatureError("the JWT is not signed by HS256 with our secret; is it the sender's?")
    return claims


def sign_rs256(claims: Mapping[str, object], private_key: str) -> str:
    r"""Return a token with these claims, signed with RS256.

    ``private_key`` is PEM, PKCS#8 or PKCS#1. Its line breaks may be written ``\n``, as environment variables hold them.
    Raises ValueError unless it is an RSA key of at least MIN_KEY_BITS. The message holds no part of the key.
    """
    from cryptography.hazmat.primitives import hashes  # not at the top: callbacks must not wait for it
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

    signed = f"{_encoded(_json({'typ': 'JWT', 'alg': 'RS256'}))}.{_encoded(_json(claims))}"
    signature = _rsa_key(private_key).sign(signed.encode(), PKCS1v15(), hashes.SHA256())
    return f"{signed}.{_encoded(signature)}"


@lru_cache(maxsize=4)
def _rsa_key(text: str) -> "RSAPrivateKey":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    pem = text.replace("\\n", "\n").strip().encode()
    try:
        # The key is the user's own. To prove that its numbers are prime takes 40 ms of a dial, 300 ms with 4096 bits.
        key = load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("the private key is not an RSA key in PEM (PKCS#8 or PKCS#1, not encrypted)")
    if key.key_size < MIN_KEY_BITS:
        raise ValueError(f"the private key has {key.key_size} bits; at least {MIN_KEY_BITS} are required")
    return key


def _json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(text: str) -> dict[str, object] | None:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return None
    return json_object(raw)
