"""What the resources of a stage are called, by whatever makes them, allows them or looks for them."""

from dataclasses import dataclass

APP_NAME = "redial"


@dataclass(frozen=True, slots=True)
class Lambda:
    """One of the app's Lambdas, as each document calls it.

    ``key`` is its name in ``.chalice/config.json``, ``policy`` what ``policy-<stage>-<policy>.json`` ends in,
    ``logical_id`` its name in the CloudFormation template, and ``suffix`` what follows ``<app>-<stage>`` in its own.
    """

    key: str
    policy: str
    logical_id: str
    suffix: str

    def name(self, stage: str) -> str:
        """The deployed name, the same by `chalice deploy` and by CloudFormation."""
        return f"{APP_NAME}-{stage}{self.suffix}"

    def log_group(self, stage: str) -> str:
        """The log group that Lambda writes to."""
        return f"/aws/lambda/{self.name(stage)}"


API = Lambda("api_handler", "api", "APIHandler", "")
REDIAL = Lambda("redial", "redial", "Redial", "-redial")
SWEEP = Lambda("sweep", "sweep", "Sweep", "-sweep")
LAMBDAS = (API, REDIAL, SWEEP)
#: Invoked by an event that nobody waits for, so that a failure would be heard of by nobody.
ASYNCHRONOUS = (REDIAL, SWEEP)


def stage_prefix(stage: str) -> str:
    """What the names of a stage's table, secrets and Lambdas begin with, where nobody chose another."""
    return f"{APP_NAME}-{stage}"


def wake_prefix(stage: str) -> str:
    """What the name of every wake's rule or schedule begins with."""
    return f"{APP_NAME}-{stage}-wake-"


def wake_rules(stage: str) -> str:
    """The resource part of the ARN that every wake's rule matches."""
    return f"rule/{wake_prefix(stage)}*"


def scheduler_role_name(stage: str) -> str:
    """The role with which EventBridge Scheduler invokes ``redial``, under ``WAKE_BACKEND=scheduler``."""
    return f"{APP_NAME}-{stage}-scheduler"


def dead_letters(stage: str) -> str:
    """The queue of the events that ``redial`` and ``sweep`` failed on."""
    return f"{APP_NAME}-{stage}-dead-letters"
