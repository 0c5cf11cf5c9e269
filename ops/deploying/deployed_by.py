"""The way in which a stage was deployed: Chalice and provision, or a stack.

A stack is one of CloudFormation. The same way brings the stage up to date.
"""

from botocore.exceptions import BotoCoreError, ClientError

from ops import aws
from ops.names import API

#: The tag that CloudFormation sets on the resources of a stack.
STACK_TAG = "aws:cloudformation:stack-name"


def stack_of(make_client: aws.MakeClient, stage: str) -> str | None:
    """Return the stack of the API's Lambda.

    Return None after `chalice deploy`, or if the Lambda's tags may not be read.
    """
    functions = make_client("lambda")
    try:
        found = aws.find(lambda: functions.get_function(FunctionName=API.name(stage)))
    except (BotoCoreError, ClientError):
        return None
    tags: dict[str, str] = (found or {}).get("Tags") or {}
    return tags.get(STACK_TAG)


def redeploy(stage: str, stack: str | None) -> str:
    """Return the command that deploys the code and its settings again."""
    if stack is None:
        return f"python -m ops deploy --stage {stage}"
    return (
        f"python -m ops package --stage {stage} out, then aws cloudformation package and deploy "
        f"--stack-name {stack}, as in docs/deploying.md"
    )


def repair(stage: str, stack: str | None) -> str:
    """Return the command that repairs the resources besides the Lambdas."""
    provision = f"python -m ops provision --stage {stage}"
    if stack is None:
        return provision
    # An update skips resources whose template is unchanged, even if somebody changed them by hand.
    return f"{provision}, for an update of the stack {stack} does not see what was changed by hand"
