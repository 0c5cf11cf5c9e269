"""The role with which EventBridge Scheduler invokes redial, under WAKE_BACKEND=scheduler."""

from typing import Any

from ops.names import scheduler_role_name

ROLE_POLICY_NAME = "InvokeRedial"


def scheduler_trust() -> dict[str, Any]:
    """Who may take the role: EventBridge Scheduler."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "scheduler.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }


def scheduler_policy(redial_arn: Any) -> dict[str, Any]:
    """What the role may do: invoke ``redial``."""
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": redial_arn}],
    }


def role_properties(stage: str, redial_arn: Any) -> dict[str, Any]:
    """The role as the properties of an ``AWS::IAM::Role``."""
    return {
        "RoleName": scheduler_role_name(stage),
        "AssumeRolePolicyDocument": scheduler_trust(),
        "Policies": [{"PolicyName": ROLE_POLICY_NAME, "PolicyDocument": scheduler_policy(redial_arn)}],
    }
