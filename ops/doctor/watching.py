"""The doctor's check of the alarms: each is set and notifies somebody."""

from collections.abc import Iterator

from ops.deploying.alarms import described
from ops.deploying.operations import TOPIC
from ops.deploying.operations import alarms as every_alarm
from ops.doctor.deployment import Deployment
from ops.doctor.finding import Finding, amber, holds


def alarms(on: Deployment) -> Iterator[Finding]:
    """Check that every alarm is set, and that it notifies a topic."""
    names = [alarm.name(on.stage) for alarm in every_alarm(on.stage)]
    there = described(on.make_client("cloudwatch"), names)
    missing = [name for name in names if name not in there]
    silent = [name for name, alarm in there.items() if not alarm.get("AlarmActions") or not alarm["ActionsEnabled"]]
    advice = f"python -m ops alarms --stage {on.stage} --topic ARN, of an SNS topic"
    if on.stack is not None:
        advice = f"update the stack {on.stack} with --parameter-overrides {TOPIC}=ARN, of an SNS topic"
    yield holds(
        not missing,
        f"{len(names)} alarms are set",
        amber(f"{len(missing)} of {len(names)} alarms are not set", advice),
    )
    if there:
        yield holds(
            not silent,
            "each alarm notifies a topic",
            amber(f"{len(silent)} alarms notify nobody", advice),
        )
