"""The ports of the use cases for a command, with a stage's table and settings."""

import os

from chalicelib.clock import SystemClock
from chalicelib.runtime.services import build
from chalicelib.usecases.ports import Ports
from ops.data.table import table_name
from ops.deploying import chalice_config


def ports_of(stage: str, table: str | None = None) -> Ports:
    """Return the ports of a stage.

    ``table`` replaces the stage's own table. A variable of the shell overrides ``.chalice/config.json``, except for the
    stage and the table. Raises RedialError if a setting is wrong.
    """
    settings = {**chalice_config.environment(stage), **os.environ}
    return build(
        settings | {"REDIAL_STAGE": stage, "TABLE_NAME": table or table_name(stage)}, SystemClock(), None
    ).ports
