"""EventBridge's quota of rules: what a region allows, what Redial needs of it, and when too little is left."""

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import RedialError
from ops import aws
from ops.deploying import chalice_config

#: "Number of rules" per event bus, and what it is where nobody has raised it.
#: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
RULES_QUOTA = "L-244521F2"
DEFAULT_RULES = 300
FEWER_RULES = {"af-south-1": 100, "eu-south-1": 100}
#: Wakes that are set at once, for any number of calls: 60 minutes, 48 hours, 60 days.
MAX_WAKES = 168
#: Past this share of the quota it is time to look.
NEAR = 0.8
SETTING = "EVENTBRIDGE_RULES_QUOTA"


def of_setting(stage: str) -> int | None:
    """Return the quota that `.chalice/config.json` names, None without one. Raise RedialError if it is wrong."""
    text = chalice_config.environment(stage).get(SETTING)
    if not text:
        return None
    if not text.isdecimal() or not 1 <= int(text) <= 100_000:
        raise RedialError(f"{SETTING} is {text!r}; it must be a whole number from 1 to 100000")
    return int(text)


def of_region(region: str) -> int:
    """Return the quota of a region where nobody has raised it."""
    return FEWER_RULES.get(region, DEFAULT_RULES)


def of_account(make_client: aws.MakeClient, region: str) -> int:
    """Return the quota as Service Quotas has it, or the region's default where that may not be read."""
    try:
        quotas: Any = make_client("service-quotas")
        return int(quotas.get_service_quota(ServiceCode="events", QuotaCode=RULES_QUOTA)["Quota"]["Value"])
    except (BotoCoreError, ClientError, KeyError):
        return of_region(region)


def near(quota: int) -> int:
    """Return how many rules are too many: the threshold of the alarm ``rules-near-quota``."""
    return int(quota * NEAR)
