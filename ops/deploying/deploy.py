"""The two ways to deploy: ``deploy``, and ``package`` for a CloudFormation stack.

Chalice does both, for the runtime that is set.
"""

import argparse
import json
import tempfile
from pathlib import Path

from ops.deploying import chalice_config, environment_size, packaging, runtime
from ops.deploying.template import merge_template
from ops.names import stage_prefix


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register ``deploy`` and ``package``."""
    deploying = subparsers.add_parser(
        "deploy", help="deploy a stage with Chalice, on the runtime of .chalice/config.json"
    )
    deploying.add_argument("--stage", default="dev", help="the Chalice stage (default: dev)")
    deploying.set_defaults(run=_deploy)
    packing = subparsers.add_parser(
        "package", help="write the template and the code of a CloudFormation stack into a directory"
    )
    packing.add_argument("--stage", default="dev", help="the Chalice stage (default: dev)")
    packing.add_argument("out", type=Path, metavar="DIRECTORY", help="where to write sam.json and deployment.zip")
    packing.set_defaults(run=_package)


def _deploy(arguments: argparse.Namespace) -> int:
    _check_environment(arguments.stage)
    status = packaging.run_chalice(["--project-dir", str(_project()), "deploy", "--stage", arguments.stage])
    if status == 0:
        print(f"deployed on {runtime.wanted()}; next: python -m ops provision --stage {arguments.stage}")
    return status


def _package(arguments: argparse.Namespace) -> int:
    _check_environment(arguments.stage)
    backend = chalice_config.environment(arguments.stage).get("WAKE_BACKEND", "rule")
    with tempfile.TemporaryDirectory() as directory:
        extras = Path(directory, "extras.json")
        extras.write_text(json.dumps(merge_template(arguments.stage, wake_backend=backend)))
        project, out = str(_project()), str(arguments.out.resolve())
        options = ["--stage", arguments.stage, "--merge-template", str(extras), out]
        status = packaging.run_chalice(["--project-dir", project, "package", *options])
    if status == 0:
        print(f"wrote {arguments.out}/sam.json and deployment.zip, for {runtime.wanted()}")
    return status


def _check_environment(stage: str) -> None:
    environment_size.must_fit(chalice_config.environment(stage), stage_prefix(stage))


def _project() -> Path:
    return chalice_config.CHALICE.parent
