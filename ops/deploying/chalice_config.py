"""The file `.chalice/config.json`, the one place of Lambdas' settings.

It sets their timeouts, their memory and their environment, for each stage.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chalicelib.errors import RedialError
from ops.names import Lambda

CHALICE = Path(__file__).parents[2] / ".chalice"


def read(path: Path = CHALICE / "config.json") -> dict[str, Any]:
    """Return the whole document.

    Raises RedialError if the file is missing, is not JSON, or has a part that is not an object.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RedialError(f"{path}: {error.strerror}; it comes with Redial: git checkout {path}") from error
    except ValueError as error:
        raise RedialError(f"{path} is not valid JSON: {error}") from error
    for what, part in _parts(document):
        if not isinstance(part, dict):
            raise RedialError(f"{path}: {what} must be a JSON object")
    return dict(document)


def write(document: dict[str, Any], path: Path = CHALICE / "config.json") -> None:
    """Write the whole document, in the format in which Redial ships it."""
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _parts(document: Any) -> Iterator[tuple[str, Any]]:
    """Yield each part that must be an object, the outer ones first."""
    yield "the document", document
    yield "environment_variables", document.get("environment_variables", {})
    yield "stages", document.get("stages")
    for name, stage in document["stages"].items():
        yield f"stages.{name}", stage
        yield f"stages.{name}.environment_variables", stage.get("environment_variables", {})


def stages() -> tuple[str, ...]:
    """Return the stages that can be deployed."""
    return tuple(read()["stages"])


def timeout_sec(function: Lambda, stage: str) -> int:
    """Return a Lambda's timeout in seconds.

    The stage's own setting has precedence over the setting of all stages. Chalice's default is 60.
    """
    document = read()
    for scope in (document["stages"].get(stage, {}), document):
        own = scope.get("lambda_functions", {}).get(function.key, {})
        if "lambda_timeout" in own:
            return int(own["lambda_timeout"])
    return 60


def memory_mb(function: Lambda) -> int:
    """Return a Lambda's memory in MB, for the stages that set no other.

    Chalice's default is 128.
    """
    return int(read()["lambda_functions"].get(function.key, {}).get("lambda_memory_size", 128))


def architecture(stage: str) -> str:
    """Return the processor architecture of a stage's Lambdas: ``x86_64`` or ``arm64``."""
    document = read()
    return str(
        document["stages"].get(stage, {}).get("lambda_architecture") or document.get("lambda_architecture", "x86_64")
    )


def environment(stage: str) -> dict[str, str]:
    """Return the environment variables of a stage's Lambdas.

    The deployment itself sets some more.
    """
    document = read()
    variables: dict[str, str] = dict(document.get("environment_variables", {}))
    variables |= document["stages"].get(stage, {}).get("environment_variables", {})
    return variables
