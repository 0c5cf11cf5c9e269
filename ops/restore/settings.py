"""The settings that DynamoDB leaves out of a restored table.

They are TTL, point-in-time recovery, deletion protection, tags, streams and autoscaling.
"""

import time
from typing import Any

from chalicelib.errors import RedialError
from ops import aws
from ops.deploying.provision_table import provision_table
from ops.steps import Steps

#: DynamoDB makes a table of any size within some hours.
MAX_RESTORE_SEC = 6 * 3600
SECONDS_BETWEEN_LOOKS = 10
SCALED = "dynamodb"


def wait_for(dynamodb: Any, table: str, steps: Steps) -> dict[str, Any]:
    """Return the description of a table once it is active.

    Raises RedialError if there is no such table, or if it does not become active.
    """
    deadline = time.monotonic() + MAX_RESTORE_SEC
    while True:
        found = aws.find(lambda: dynamodb.describe_table(TableName=table))
        if found is None:
            raise RedialError(f"there is no table {table}: restore it first (docs/operating.md, Restoring)")
        described: dict[str, Any] = found["Table"]
        if described["TableStatus"] == "ACTIVE":
            return described
        if time.monotonic() > deadline:
            raise RedialError(f"the table {table} is still {described['TableStatus']}: run this again later")
        steps.note("waiting", f"the table {table} is {described['TableStatus']}")
        time.sleep(SECONDS_BETWEEN_LOOKS)


def set_settings(make_client: aws.MakeClient, new: dict[str, Any], old: dict[str, Any] | None, steps: Steps) -> None:
    """Set what a table of Redial must have, and the settings that a restore drops.

    The latter come from the old table.

    ``new`` and ``old`` are the two tables as described.
    """
    dynamodb = make_client("dynamodb")
    provision_table(dynamodb, new["TableName"], steps)
    if old is None:
        return
    _tags(dynamodb, new, old, steps)
    _stream(dynamodb, new, old, steps)
    # DynamoDB accepts autoscaling only for provisioned capacity, and a restore may choose another billing mode.
    if _is_provisioned(old) and _is_provisioned(new):
        _autoscaling(make_client("application-autoscaling"), new["TableName"], old["TableName"], steps)


def _is_provisioned(table: dict[str, Any]) -> bool:
    # DynamoDB omits the summary if a table was never on demand.
    return bool(table.get("BillingModeSummary", {}).get("BillingMode") != "PAY_PER_REQUEST")


def _tags(dynamodb: Any, new: dict[str, Any], old: dict[str, Any], steps: Steps) -> None:
    wanted, has = (_tags_of(dynamodb, each["TableArn"]) for each in (old, new))
    missing = {name: value for name, value in wanted.items() if has.get(name) != value}
    if wanted:
        steps.ensure(
            f"the tags {', '.join(sorted(wanted))}",
            not missing,
            lambda: dynamodb.tag_resource(
                ResourceArn=new["TableArn"], Tags=[{"Key": name, "Value": value} for name, value in missing.items()]
            ),
        )


def _tags_of(dynamodb: Any, arn: str) -> dict[str, str]:
    # CloudFormation's own tags may not be set by anybody else.
    listed = dynamodb.get_paginator("list_tags_of_resource").paginate(ResourceArn=arn)
    tags = {tag["Key"]: tag["Value"] for page in listed for tag in page["Tags"]}
    return {name: value for name, value in tags.items() if not name.startswith("aws:")}


def _stream(dynamodb: Any, new: dict[str, Any], old: dict[str, Any], steps: Steps) -> None:
    wanted = old.get("StreamSpecification")
    if wanted and wanted["StreamEnabled"]:
        steps.ensure(
            f"the stream of {wanted['StreamViewType']}",
            new.get("StreamSpecification") == wanted,
            lambda: dynamodb.update_table(TableName=new["TableName"], StreamSpecification=wanted),
        )


def _autoscaling(scaling: Any, new: str, old: str, steps: Steps) -> None:
    """Let the capacity of the new table and its indexes scale as the old table's."""
    targets = _listed(scaling, "describe_scalable_targets", "ScalableTargets")
    policies = _listed(scaling, "describe_scaling_policies", "ScalingPolicies")
    registered = {_place(target) for target in targets}
    has = {(_place(policy), policy["PolicyName"]) for policy in policies}
    for target in targets:
        if target["ResourceId"].split("/")[1] == old:
            place = (_renamed(target["ResourceId"], new), target["ScalableDimension"])
            own = [policy for policy in policies if _place(policy) == _place(target)]
            # A run that was killed may have registered the target, and set only some of its policies.
            missing = [policy for policy in own if (place, policy["PolicyName"]) not in has]
            _scale(scaling, place, None if place in registered else target, missing, steps)


def _scale(
    scaling: Any, place: tuple[str, str], target: dict[str, Any] | None, policies: list[dict[str, Any]], steps: Steps
) -> None:
    """Set what one scalable target lacks: the limits of ``target``, and policies."""
    resource, dimension = place
    what = f"autoscaling of {dimension} of {resource}"
    if target is None and not policies:
        steps.already(what)
        return
    named = {"ServiceNamespace": SCALED, "ResourceId": resource, "ScalableDimension": dimension}

    def scale() -> None:
        if target is not None:
            limits = {name: target[name] for name in ("MinCapacity", "MaxCapacity")}
            scaling.register_scalable_target(**named, **limits)
        for policy in policies:
            kept = ("PolicyName", "PolicyType", "TargetTrackingScalingPolicyConfiguration")
            scaling.put_scaling_policy(**named, **{name: policy[name] for name in kept if name in policy})

    steps.create(what, scale)


def _listed(scaling: Any, operation: str, key: str) -> list[dict[str, Any]]:
    pages = scaling.get_paginator(operation).paginate(ServiceNamespace=SCALED)
    return [each for page in pages for each in page[key]]


def _place(each: dict[str, Any]) -> tuple[str, str]:
    """Return the resource and the dimension of a scalable target or a policy."""
    return each["ResourceId"], each["ScalableDimension"]


def _renamed(resource: str, table: str) -> str:
    """Return a scalable resource (``table/<name>[/index/<name>]``) of another table."""
    parts = resource.split("/")
    return "/".join([parts[0], table, *parts[2:]])
