"""The dead-letter queue: the events that redial or sweep failed on at every try."""

from typing import Any

from ops.names import dead_letters

#: SQS keeps a message at most this long.
KEPT_SEC = 14 * 24 * 3600
#: A replay has this much time for the messages that it received.
REPLAY_SEC = 300


def queue_attributes() -> dict[str, str]:
    """Return the attributes for ``create_queue``.

    SQS keeps the messages for its longest time, and encrypts them with its own key.
    """
    return {
        "MessageRetentionPeriod": str(KEPT_SEC),
        "VisibilityTimeout": str(REPLAY_SEC),
        "SqsManagedSseEnabled": "true",
    }


def queue_properties(stage: str) -> dict[str, Any]:
    """Return the same queue as the properties of an ``AWS::SQS::Queue``."""
    return {
        "QueueName": dead_letters(stage),
        "MessageRetentionPeriod": KEPT_SEC,
        "VisibilityTimeout": REPLAY_SEC,
        "SqsManagedSseEnabled": True,
    }
