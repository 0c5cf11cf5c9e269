"""The size limit of a Lambda's environment: 4 KB of JSON, with names and values."""

import json
from collections.abc import Mapping

from chalicelib.errors import RedialError
from chalicelib.providers import REGISTRY

#: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MAX_BYTES = 4096
#: Above this size, the environment has no room for one more provider's credentials.
NEAR_BYTES = 3600


def size_bytes(environment: Mapping[str, str]) -> int:
    """Return the size that Lambda counts: the environment as compact JSON."""
    text = json.dumps(dict(environment), separators=(",", ":"), ensure_ascii=False)
    return len(text.encode())


def must_fit(environment: Mapping[str, str], prefix: str) -> None:
    """Raise RedialError if Lambda would refuse an environment.

    Otherwise the error would come only after minutes of packaging.
    """
    size = size_bytes(environment)
    if size > MAX_BYTES:
        raise RedialError(
            f"the environment in .chalice/config.json takes {size} bytes, and Lambda allows {MAX_BYTES}; "
            + to_move(environment, prefix)
        )


def to_move(environment: Mapping[str, str], prefix: str) -> str:
    """Return the commands that move the longest credential to Systems Manager."""
    # Only credentials may be references.
    credentials = [each for each in environment if _is_credential(each)]
    name = max(credentials or environment, key=lambda each: len(environment[each]))
    path = f"/{prefix}/{name.lower().replace('_', '-')}"
    return (
        f"keep the longest value elsewhere: aws ssm put-parameter --type SecureString --name {path} "
        f"--value file://FILE, then set {name} to ssm:{path}"
    )


def _is_credential(name: str) -> bool:
    return name.partition("_")[0].lower() in REGISTRY and not name.endswith("_URL")
