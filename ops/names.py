"""The names of a stage's AWS resources.

The deployment creates resources by these names, the policies allow them, and the doctor looks for them.
"""

from dataclasses import dataclass

from chalicelib.runtime import settings

APP_NAME = settings.APP_NAME


@dataclass(frozen=True, slots=True)
class Lambda:
    """One of the app's Lambdas, and its name in each document.

    ``key`` is its name in ``.chalice/config.json``. ``policy`` is the end of its file ``policy-<stage>-<policy>.json``.
    ``logical_id`` is its name in the CloudFormation template. ``suffix`` is what its deployed name has after
    ``<app>-<stage>``.
    """

    key: str
    policy: str
    logical_id: str
    suffix: str

    def name(self, stage: str) -> str:
        """Return the deployed name, the same for `chalice deploy` and CloudFormation."""
        return f"{APP_NAME}-{stage}{self.suffix}"

    def log_group(self, stage: str) -> str:
        """Return the name of the log group that Lambda writes to."""
        return f"/aws/lambda/{self.name(stage)}"


API = Lambda("api_handler", "api", "APIHandler", "")
REDIAL = Lambda("redial", "redial", "Redial", "-redial")
SWEEP = Lambda("sweep", "sweep", "Sweep", "-sweep")
LAMBDAS = (API, REDIAL, SWEEP)
#: The Lambdas that events invoke. Nobody waits for their answer, so nobody would notice a failure.
ASYNCHRONOUS = (REDIAL, SWEEP)


def stage_prefix(stage: str) -> str:
    """Return the default prefix of the names of a stage's table, secrets and Lambdas."""
    return f"{APP_NAME}-{stage}"


def wake_prefix(stage: str) -> str:
    """Return the prefix of the name of every wake's rule or schedule."""
    return f"{APP_NAME}-{stage}-wake-"


def wake_rules(stage: str) -> str:
    """Return the resource part of the ARN that matches the rules of all wakes."""
    return f"rule/{wake_prefix(stage)}*"


def scheduler_role_name(stage: str) -> str:
    """Return the name of the role with which EventBridge Scheduler invokes ``redial``.

    Redial uses the role only with ``WAKE_BACKEND=scheduler``.
    """
    return f"{APP_NAME}-{stage}-scheduler"


def dead_letters(stage: str) -> str:
    """Return the name of the queue of events that ``redial`` or ``sweep`` failed on."""
    return f"{APP_NAME}-{stage}-dead-letters"
