"""Switch a stage to another table.

The switch changes the table's name in `.chalice/config.json`, and the IAM policies that follow from it.
"""

from chalicelib.errors import RedialError
from ops import aws
from ops.data.table import table_name
from ops.deploying import chalice_config, policies
from ops.deploying.deployed_by import redeploy, stack_of
from ops.names import LAMBDAS
from ops.steps import Steps

NEXT = """next: {deploy}
two minutes later, when no old Lambda is still running:
  python -m ops restore --stage {stage} --from {table} --finish"""


def what_next(make_client: aws.MakeClient, stage: str, table: str) -> str:
    """Return the command that deploys the stage as before, and the next one."""
    return NEXT.format(deploy=redeploy(stage, stack_of(make_client, stage)), stage=stage, table=table)


def switch(stage: str, table: str, steps: Steps) -> None:
    """Name the table in the stage's configuration, and write its policies again.

    Raises RedialError.
    """
    document = chalice_config.read()
    if stage not in document["stages"]:
        known = ", ".join(document["stages"])
        raise RedialError(f".chalice/config.json has no stage {stage!r}; it has {known}")
    variables = document["stages"][stage].setdefault("environment_variables", {})

    def name_it() -> None:
        variables["TABLE_NAME"] = table
        chalice_config.write(document)

    steps.ensure(f"TABLE_NAME {table} of stage {stage} in .chalice/config.json", table_name(stage) == table, name_it)
    if steps.dry_run:
        return
    for path, text in policies.documents().items():
        current = path.exists() and path.read_text() == text
        if not current and path.name.startswith(f"policy-{stage}-"):
            steps.create(path.name, lambda path=path, text=text: path.write_text(text))  # type: ignore[misc]


def check_deployed(make_client: aws.MakeClient, stage: str, table: str) -> None:
    """Raise RedialError if the configuration or a Lambda names another table."""
    if table_name(stage) != table:
        raise RedialError(f"stage {stage!r} still has the table {table_name(stage)}: run this with --switch first")
    functions = make_client("lambda")
    for each in LAMBDAS:
        name = each.name(stage)
        found = aws.find(lambda name=name: functions.get_function_configuration(FunctionName=name))  # type: ignore[misc]
        used = (found or {}).get("Environment", {}).get("Variables", {}).get("TABLE_NAME")
        if found is not None and used != table:
            raise RedialError(f"{name} still uses the table {used}: deploy stage {stage!r} first, then run this again")
