"""The queue of dead letters: the events that redial or sweep failed on, each time that they were tried."""

from typing import Any

from ops.names import dead_letters

#: The longest that SQS keeps a message.
KEPT_SEC = 14 * 24 * 3600
#: How long a replay may take over the messages that it has received.
REPLAY_SEC = 300


def queue_attributes() -> dict[str, str]:
    """The attributes of ``create_queue``: kept as long as SQS does, encrypted with its own key."""
    return {
        "MessageRetentionPeriod": str(KEPT_SEC),
        "VisibilityTimeout": str(REPLAY_SEC),
        "SqsManagedSseEnabled": "true",
    }


def queue_properties(stage: str) -> dict[str, Any]:
    """The same queue as the properties of an ``AWS::SQS::Queue``."""
    return {
        "QueueName": dead_letters(stage),
        "MessageRetentionPeriod": KEPT_SEC,
        "VisibilityTimeout": REPLAY_SEC,
        "SqsManagedSseEnabled": True,
    }
