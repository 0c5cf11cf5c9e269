"""The settings of the simulated Redial and the length of a run. Seeds vary them."""

from datetime import UTC, datetime, timedelta

from ops.simulate.chance import Chance

PUBLIC_URL = "https://redial.example.com/api"
TABLE = "redial-dev"
REGION = "us-east-1"
ACCOUNT = "123456789012"
WORKSPACE = "acme"
#: The environment of every run. It has nothing in common with a real account.
ENV = {
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "TABLE_NAME": TABLE,
    "PUBLIC_URL": PUBLIC_URL,
    "REDIAL_STAGE": "dev",
    "REDIAL_ARN": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:redial-dev-redial",
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": "simulated-twilio",
    "TWILIO_ANSWER_URL": "https://example.com/answer.xml",
    "PLIVO_AUTH_ID": "MA" + "0" * 18,
    "PLIVO_AUTH_TOKEN": "simulated-plivo",
    "PLIVO_ANSWER_URL": "https://example.com/plivo.xml",
    "DIAL_POOL_SIZE": "1",
}
#: The timeout of each Lambda in seconds (.chalice/config.json)
TIMEOUT_SEC = {"api": 29.0, "redial": 120.0, "sweep": 55.0}
#: All calls of a run are requested within this time from its start.
SPAN = timedelta(hours=10)
#: Faults continue for this long after the last request for a call.
FAULTS_AFTER = timedelta(hours=14)
#: One more call of each provider is requested this long after the faults, to check that the call goes through.
LAST_AFTER = timedelta(hours=2)
#: The longest life of a call of the traffic: a start five hours ahead, then 48 hours. Its end may take longer.
MAX_LIFE = timedelta(hours=5 + 48)


#: The environment of a rush: only the account's slots, if it has a limit, stop calls from being dialled at once.
RUSH = {"TWILIO_CALLS_PER_SECOND": "", "WORKSPACE_CALLS_PER_SECOND": "", "WORKSPACE_MAX_CONCURRENT_CALLS": ""}


def environment(chance: Chance, *, rush: bool = False) -> dict[str, str]:
    """Draw the environment of a run."""
    drawn = ENV | {
        "TWILIO_CALLS_PER_SECOND": chance.pick([(3, ""), (3, "0.034"), (1, "0.1"), (1, "1"), (1, "3")], "pace"),
        "PLIVO_CALLS_PER_SECOND": "0.05",
        "WORKSPACE_CALLS_PER_SECOND": chance.pick([(4, ""), (1, "0.05"), (1, "1")], "workspace-pace"),
        "TWILIO_MAX_CONCURRENT_CALLS": chance.pick([(2, ""), (1, "1"), (2, "2"), (1, "5")], "account-slots"),
        "PLIVO_MAX_CONCURRENT_CALLS": chance.pick([(2, ""), (1, "2")], "plivo-slots"),
        "WORKSPACE_MAX_CONCURRENT_CALLS": chance.pick([(2, ""), (1, "2"), (1, "5")], "workspace-slots"),
        "RETRIES_FIRST": chance.pick([(2, "true"), (1, "false")], "first"),
        "DEFAULT_CAP": chance.pick([(4, "off"), (1, ""), (1, "2/6h")], "default-cap"),
        "MAX_CALL_SECONDS": chance.pick([(1, "600"), (1, "3600")], "longest"),
    }
    if not rush:
        return drawn
    slots = "" if own_limit(chance, rush=True) else "2" if chance.unit("rush") < chance.odds("rush-slots", 0.5) else ""
    return drawn | RUSH | {"TWILIO_MAX_CONCURRENT_CALLS": slots}


def own_limit(chance: Chance, *, rush: bool = False) -> int | None:
    """Draw the concurrency limit in the workspace's own settings; None for no limit."""
    if rush:
        return 8 if chance.unit("own-limit") < chance.odds("own-limit", 0.5) else None
    return chance.pick([(3, None), (1, 3), (1, 6)], "own-limit")


def start_of(chance: Chance) -> datetime:
    """Draw the start of a run in any minute of a year: some runs see a clock change."""
    minutes = int(chance.between(0, 364 * 24 * 60, "start"))
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)


def lowered_limit(chance: Chance, own: int | None, burst: datetime) -> tuple[datetime, int] | None:
    """Draw when an operator lowers the workspace's own limit, and the new limit.

    It happens just after a burst. The result is None if nobody lowers the limit.
    """
    if own is None or own < 3:
        return None
    return burst + timedelta(seconds=chance.between(1, 15, "lowered")), 2
