"""The role with which EventBridge Scheduler invokes redial.

It is needed with WAKE_BACKEND=scheduler.
"""

from typing import Any

from ops.names import scheduler_role_name

ROLE_POLICY_NAME = "InvokeRedial"


def scheduler_trust(account: Any) -> dict[str, Any]:
    """Return the role's trust policy.

    Only EventBridge Scheduler may assume the role, and only for the schedules of this account. See
    https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
    """
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "scheduler.amazonaws.com"},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"aws:SourceAccount": account}},
            }
        ],
    }


def scheduler_policy(redial_arn: Any) -> dict[str, Any]:
    """Return the role's permissions: it may invoke ``redial``."""
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": redial_arn}],
    }


def role_properties(stage: str, redial_arn: Any) -> dict[str, Any]:
    """Return the role as the properties of an ``AWS::IAM::Role``."""
    return {
        "RoleName": scheduler_role_name(stage),
        "AssumeRolePolicyDocument": scheduler_trust({"Ref": "AWS::AccountId"}),
        "Policies": [{"PolicyName": ROLE_POLICY_NAME, "PolicyDocument": scheduler_policy(redial_arn)}],
    }
