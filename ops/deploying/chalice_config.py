"""What `.chalice/config.json` says of a stage: the one place where a Lambda's time and environment are set."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chalicelib.errors import RedialError
from ops.names import Lambda

CHALICE = Path(__file__).parents[2] / ".chalice"


def read(path: Path = CHALICE / "config.json") -> dict[str, Any]:
    """Return the whole document. Raise RedialError where the file is missing or is not such a document."""
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
    """Write the whole document, formatted as it comes with Redial."""
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _parts(document: Any) -> Iterator[tuple[str, Any]]:
    """Yield each part that must be an object, the outer one before those inside it."""
    yield "the document", document
    yield "environment_variables", document.get("environment_variables", {})
    yield "stages", document.get("stages")
    for name, stage in document["stages"].items():
        yield f"stages.{name}", stage
        yield f"stages.{name}.environment_variables", stage.get("environment_variables", {})


def stages() -> tuple[str, ...]:
    """The stages that can be deployed."""
    return tuple(read()["stages"])


def timeout_sec(function: Lambda, stage: str) -> int:
    """How long a Lambda may run; the stage's word goes before that of all stages. Chalice's own default is 60."""
    document = read()
    for scope in (document["stages"].get(stage, {}), document):
        own = scope.get("lambda_functions", {}).get(function.key, {})
        if "lambda_timeout" in own:
            return int(own["lambda_timeout"])
    return 60


def memory_mb(function: Lambda) -> int:
    """Return how much memory a Lambda has in every stage that does not say otherwise. Chalice's own default is 128."""
    return int(read()["lambda_functions"].get(function.key, {}).get("lambda_memory_size", 128))


def architecture(stage: str) -> str:
    """Return the processors that a stage's Lambdas run on: ``x86_64`` or ``arm64``."""
    document = read()
    return str(
        document["stages"].get(stage, {}).get("lambda_architecture") or document.get("lambda_architecture", "x86_64")
    )


def environment(stage: str) -> dict[str, str]:
    """What the Lambdas of a stage are told beside what the deployment itself sets."""
    document = read()
    told: dict[str, str] = dict(document.get("environment_variables", {}))
    told |= document["stages"].get(stage, {}).get("environment_variables", {})
    return told
