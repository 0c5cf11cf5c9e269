"""What `.chalice/config.json` says of a stage: the one place where a Lambda's time and environment are set."""

import json
from pathlib import Path
from typing import Any

from ops.names import Lambda

CHALICE = Path(__file__).parents[1] / ".chalice"


def read(path: Path = CHALICE / "config.json") -> dict[str, Any]:
    """The whole document."""
    document: dict[str, Any] = json.loads(path.read_text())
    return document


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


def environment(stage: str) -> dict[str, str]:
    """What the Lambdas of a stage are told beside what the deployment itself sets."""
    document = read()
    told: dict[str, str] = dict(document.get("environment_variables", {}))
    told |= document["stages"].get(stage, {}).get("environment_variables", {})
    return told
