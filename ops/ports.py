"""The use cases' ports for a command: of a stage's table, with the settings of its Lambdas."""

import os

from chalicelib.clock import SystemClock
from chalicelib.runtime.services import build
from chalicelib.usecases.ports import Ports
from ops.data.table import table_name
from ops.deploying import chalice_config


def ports_of(stage: str, table: str | None = None) -> Ports:
    """Return the ports of a stage; of another table than the stage's where ``table`` is given.

    What is set in the shell goes before ``.chalice/config.json``, the stage and the table excepted. Raise RedialError.
    """
    settings = {**chalice_config.environment(stage), **os.environ}
    return build(
        settings | {"REDIAL_STAGE": stage, "TABLE_NAME": table or table_name(stage)}, SystemClock(), None
    ).ports
