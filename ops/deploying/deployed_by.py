"""How a stage was deployed, and so what brings it up to date: Chalice and provision, or a CloudFormation stack."""

from botocore.exceptions import BotoCoreError, ClientError

from ops import aws
from ops.names import API

#: CloudFormation puts it on what a stack makes.
STACK_TAG = "aws:cloudformation:stack-name"


def stack_of(make_client: aws.MakeClient, stage: str) -> str | None:
    """Return the stack that the API's Lambda belongs to; None after `chalice deploy`, or where it may not be asked."""
    functions = make_client("lambda")
    try:
        found = aws.find(lambda: functions.get_function(FunctionName=API.name(stage)))
    except (BotoCoreError, ClientError):
        return None
    tags: dict[str, str] = (found or {}).get("Tags") or {}
    return tags.get(STACK_TAG)


def redeploy(stage: str, stack: str | None) -> str:
    """Return what deploys the code and its settings again."""
    if stack is None:
        return f"python -m ops deploy --stage {stage}"
    return (
        f"python -m ops package --stage {stage} out, then aws cloudformation package and deploy "
        f"--stack-name {stack}, as in docs/deploying.md"
    )


def repair(stage: str, stack: str | None) -> str:
    """Return what makes the resources beside the Lambdas as they should be."""
    provision = f"python -m ops provision --stage {stage}"
    if stack is None:
        return provision
    # An update leaves alone what the template says as before, however it was changed by hand.
    return f"{provision}, for an update of the stack {stack} does not see what was changed by hand"
