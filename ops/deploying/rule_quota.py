"""EventBridge's quota of rules: what a region allows, and what Redial needs of it.

An alarm rings when too little is left.
"""

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import RedialError
from ops import aws
from ops.deploying import chalice_config

#: The quota "Number of rules" per event bus, and its default.
#: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
RULES_QUOTA = "L-244521F2"
DEFAULT_RULES = 300
FEWER_RULES = {"af-south-1": 100, "eu-south-1": 100}
#: The most wakes that are set at the same time, for any number of calls: 60 minutes, 48 hours, 60 days.
MAX_WAKES = 168
#: The alarm rings above this share of the quota.
NEAR = 0.8
SETTING = "EVENTBRIDGE_RULES_QUOTA"


def of_setting(stage: str) -> int | None:
    """Return the quota that `.chalice/config.json` sets; None if it sets none.

    Raises RedialError if the setting is wrong.
    """
    text = chalice_config.environment(stage).get(SETTING)
    if not text:
        return None
    if not text.isdecimal() or not 1 <= int(text) <= 100_000:
        raise RedialError(f"{SETTING} is {text!r}; it must be a whole number from 1 to 100000")
    return int(text)


def of_region(region: str) -> int:
    """Return the default quota of a region."""
    return FEWER_RULES.get(region, DEFAULT_RULES)


def of_account(make_client: aws.MakeClient, region: str) -> int:
    """Return the quota that Service Quotas has for the account.

    Return the region's default if Service Quotas may not be read.
    """
    try:
        quotas: Any = make_client("service-quotas")
        return int(quotas.get_service_quota(ServiceCode="events", QuotaCode=RULES_QUOTA)["Quota"]["Value"])
    except (BotoCoreError, ClientError, KeyError):
        return of_region(region)


def near(quota: int) -> int:
    """Return the threshold of the alarm ``rules-near-quota``, in rules."""
    return int(quota * NEAR)
