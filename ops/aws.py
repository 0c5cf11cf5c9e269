"""Helpers of the commands that call AWS: lookups, lists, and error messages."""

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
    """Return the answer of ``ask``, or None if AWS has no resource of that name."""
    try:
        return ask()
    except ClientError as error:
        if code(error) in NOT_THERE:
            return None
        raise


def code(error: ClientError) -> str:
    """Return AWS's code of an error, for example ``ResourceNotFoundException``."""
    return str(error.response.get("Error", {}).get("Code", ""))


def in_words(error: BotoCoreError | ClientError) -> str:
    """Return what went wrong and, if it is known, what would be right."""
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
    """Yield the items under ``key`` on all pages of an answer."""
    while True:
        page = ask(**query)
        yield from page[key]
        if not page.get("NextToken"):
            return
        query["NextToken"] = page["NextToken"]


def queue_arn(queue_url: str, sqs: Any) -> str:
    """Return the ARN of a queue, which SQS knows by its URL."""
    answer = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
    return str(answer["Attributes"]["QueueArn"])


def allows(policy: dict[str, Any] | None, *, service: str, source_arn: str) -> bool:
    """Return whether a Lambda's policy lets a service invoke it for ``source_arn``.

    The policy must name exactly this ARN, wildcards included.
    """
    document = json.loads(policy["Policy"]) if policy else {}
    return any(
        statement.get("Effect") == "Allow"
        and statement.get("Principal", {}) == {"Service": service}
        and statement.get("Action") in ("lambda:InvokeFunction", "lambda:*")
        and source_arn in (test.get("AWS:SourceArn") for test in statement.get("Condition", {}).values())
        for statement in document.get("Statement", ())
    )


def as_json(document: Any) -> str:
    """Return a document as JSON with sorted keys: equal documents give equal texts."""
    return json.dumps(document, sort_keys=True)
