"""What the commands that ask AWS share: an answer or None, and errors in words that say what to do."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)

MakeClient = Callable[[str], Any]

NOT_THERE = (
    "NoSuchEntity",
    "NotFoundException",
    "QueueDoesNotExist",
    "AWS.SimpleQueueService.NonExistentQueue",
    "ResourceNotFoundException",
)
DENIED = ("AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation")
BAD_CREDENTIALS = (
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
)


def find(ask: Callable[[], Any]) -> Any:
    """The answer, or None where AWS has nothing by that name."""
    try:
        return ask()
    except ClientError as error:
        if code(error) in NOT_THERE:
            return None
        raise


def code(error: ClientError) -> str:
    """AWS's code of an error, as in ``ResourceNotFoundException``."""
    return str(error.response.get("Error", {}).get("Code", ""))


def in_words(error: BotoCoreError | ClientError) -> str:
    """What went wrong, and what would be right where that can be told."""
    match error:
        case NoCredentialsError() | PartialCredentialsError() | CredentialRetrievalError():
            return f"{error}: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        case ProfileNotFound():
            return f"{error}: AWS_PROFILE must name one of ~/.aws/config"
        case NoRegionError():
            return "no AWS region is set: set AWS_DEFAULT_REGION, or the region of your profile"
        case ClientError() if code(error) in DENIED:
            return f"{error}; your credentials need the permission for {error.operation_name}"
        case ClientError() if code(error) in BAD_CREDENTIALS:
            return f"{error}; AWS does not take these credentials: sign in again, or set others"
    return str(error)


def pages(ask: Callable[..., Any], key: str, **query: Any) -> Iterator[dict[str, Any]]:
    """Yield what all pages of an answer hold under ``key``."""
    while True:
        page = ask(**query)
        yield from page[key]
        if not page.get("NextToken"):
            return
        query["NextToken"] = page["NextToken"]


def queue_arn(queue_url: str, sqs: Any) -> str:
    """The ARN of a queue."""
    asked = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
    return str(asked["Attributes"]["QueueArn"])


def allows(policy: dict[str, Any] | None, *, service: str, source_arn: str) -> bool:
    """Whether a Lambda's resource policy lets a service invoke it for exactly this source (wildcards included)."""
    document = json.loads(policy["Policy"]) if policy else {}
    return any(
        statement.get("Effect") == "Allow"
        and statement.get("Principal", {}) == {"Service": service}
        and statement.get("Action") in ("lambda:InvokeFunction", "lambda:*")
        and source_arn in (test.get("AWS:SourceArn") for test in statement.get("Condition", {}).values())
        for statement in document.get("Statement", ())
    )


def as_json(document: Any) -> str:
    """A document in one form, so that two that say the same are equal."""
    return json.dumps(document, sort_keys=True)
