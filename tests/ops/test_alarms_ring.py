"""Each alarm can ring.

Its metric can pass the threshold: the app writes it, or AWS does.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from botocore.awsrequest import AWSResponse

from chalicelib.providers.http import AnswerLost
from chalicelib.runtime import metrics
from ops.deploying import rule_quota
from ops.deploying.operations import BELOW, FUNCTIONS, Alarm, Figure, alarms
from tests.support.app_output import emf
from tests.support.world import BODY, PUBLIC_URL, START, World, answer_json

ALARMS = {alarm.name("dev"): alarm for alarm in alarms("dev")}
OURS = [alarm for alarm in ALARMS.values() if all(f.namespace == metrics.NAMESPACE for f in alarm.figures.values())]
#: API Gateway's time limit for a Lambda
MAX_LATENCY_MS = 29_000


def late_calls(world: World) -> None:
    """Let sweeps dial eleven calls a quarter of an hour late, because no wake fires."""
    for number in range(11):
        world.place(to_number=f"+16505550{100 + number}", retry={**BODY["retry"], "wait_minutes": 10})
        world.end("busy")
    world.clock.turn(minutes=25)
    for _ in range(5):
        world.sweep()
        world.clock.turn(minutes=1)


def rules_of_others(world: World) -> None:
    for number in range(241):
        world.events.put_rule(Name=f"other-{number}", ScheduleExpression="cron(0 0 1 1 ? 2027)")
    world.sweep()


def refused_rules(world: World) -> None:
    def refuse(request: Any, **_: Any) -> AWSResponse:
        answer = AWSResponse(request.url, 400, {}, None)
        answer._content = json.dumps({"__type": "LimitExceededException", "message": "no"}).encode()
        return answer

    world.events.meta.events.register_first("before-send.events.PutRule", refuse)
    for number in range(3):
        world.place(to_number=f"+1650555010{number}")
        world.end("busy")


def lost_answers(world: World) -> None:
    for number in range(20):
        if number in (7, 15):
            world.twilio.answers.append(AnswerLost("timed out"))
        world.place(to_number=f"+16505550{100 + number}")


def no_balance(world: World) -> None:
    world.twilio.answers.append(answer_json(401, {"code": 20003}))
    world.place()


def wrong_signatures(world: World) -> None:
    world.place()
    path = world.twilio.placed[0].callback_url.removeprefix(PUBLIC_URL)
    headers = {"X-Twilio-Signature": "wrong", "Content-Type": "application/x-www-form-urlencoded"}
    for _ in range(21):
        world.client.http.post(path, headers=headers, body=b"CallSid=CA1")


def unknown_addresses(world: World) -> None:
    for _ in range(21):
        world.post_signed(f"{PUBLIC_URL}/callbacks/twilio/adopt/nobody", {"CallSid": "CA1"})


def replaced_address(world: World) -> None:
    policy = {"retry": {"max_retries": 2, "wait_minutes": 30}, "target": {"url": "https://example.com/a.xml"}}
    address = world.request("PUT", "/policies/adopted", policy).json_body["adoption"]["address"]
    world.request("POST", "/policies/adopted/adoption-token", {"revoke_old": True})
    world.post_signed(address, {"CallSid": "CA1", "CallStatus": "busy"})


def no_keys(world: World) -> None:
    for _ in range(21):
        world.request("GET", "/calls", key="wrong")


def broken_callback(world: World) -> None:
    world.place()
    with patch("chalicelib.storage.calls.CallStore.load", side_effect=ZeroDivisionError):
        world.callback(world.twilio.placed[0], "busy")


def broken_request(world: World) -> None:
    with patch("chalicelib.storage.calls.CallStore.load", side_effect=ZeroDivisionError):
        world.request("GET", "/calls/call_1")


STORIES: dict[str, Callable[[World], None]] = {
    "sweep-repairs": late_calls,
    "sweep-stopped": lambda world: None,
    "redials-late": late_calls,
    "rules-near-quota": rules_of_others,
    "wakes-not-set": refused_rules,
    "placements-unknown": lost_answers,
    "account-faults": no_balance,
    "breaker-opened": no_balance,
    "signatures-wrong": wrong_signatures,
    "callbacks-refused": unknown_addresses,
    "calls-not-adopted": replaced_address,
    "sign-ins-refused": no_keys,
    "callbacks-fail": broken_callback,
    "api-fail": broken_request,
}


def value_of(alarm: Alarm, out: str) -> float:
    """Return the value that CloudWatch computes from the lines of the app."""
    values = {id_: _statistic(figure, out) for id_, figure in alarm.figures.items()}
    if alarm.expression is None:
        (only,) = values.values()
        return only
    terms = {"IF": lambda test, yes, no: yes if test else no, "FILL": lambda value, _: value}
    return float(eval(alarm.expression, {"__builtins__": {}}, {**terms, **values}))  # noqa: S307 - our own table's


def _statistic(figure: Figure, out: str) -> float:
    by_dimensions = defaultdict(list)
    for line in emf(out):
        for directive in line["_aws"]["CloudWatchMetrics"]:
            if figure.name not in {each["Name"] for each in directive["Metrics"]}:
                continue
            value = line[figure.name]
            for names in directive["Dimensions"]:
                found = frozenset((name, line[name]) for name in names)
                by_dimensions[found] += value if isinstance(value, list) else [value]
    values = by_dimensions[frozenset(figure.dimensions.items())]
    # The 99th percentile of a few values is the largest.
    return float(sum(values) if figure.statistic == "Sum" else max(values, default=0))


@pytest.mark.parametrize("alarm", OURS, ids=lambda alarm: alarm.kind)
def test_the_app_writes_figures_that_make_the_alarm_ring(
    alarm: Alarm, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    STORIES[alarm.kind](world)
    value = value_of(alarm, capsys.readouterr().out)
    assert value < alarm.threshold if alarm.compares == BELOW else 0 <= alarm.threshold < value


@pytest.mark.parametrize("alarm", [a for a in ALARMS.values() if a not in OURS], ids=lambda a: a.name("dev"))
def test_aws_s_own_figures_can_pass_the_threshold(alarm: Alarm) -> None:
    # All other metrics count requests or messages, whose number has no bound.
    most = {
        "Latency": MAX_LATENCY_MS,
        "Duration": FUNCTIONS[alarm.part].timeout_sec * 1000 if alarm.part else 0,
    }
    for figure in alarm.figures.values():
        assert 0 <= alarm.threshold < most.get(figure.name, float("inf"))


@pytest.mark.parametrize(("region", "threshold"), [("us-east-1", 240), ("af-south-1", 80), ("eu-south-1", 80)])
def test_the_threshold_of_rules_is_the_regions(region: str, threshold: int) -> None:
    (alarm,) = (a for a in alarms("dev", rule_quota.of_region(region)) if a.kind == "rules-near-quota")
    assert alarm.threshold == threshold


def test_throttled_indexes_ring_as_the_table_does() -> None:
    (alarm,) = (a for a in ALARMS.values() if a.kind == "table-throttled")
    looked_at = {(f.name, f.dimensions.get("GlobalSecondaryIndexName")) for f in alarm.figures.values()}
    kinds = ("ReadThrottleEvents", "WriteThrottleEvents")
    assert looked_at == {(kind, index) for kind in kinds for index in (None, "due", "history")}
    assert set(re.findall(r"FILL\((\w+)", alarm.expression or "")) == set(alarm.figures)


def test_the_sweep_counts_the_rules_of_other_programs_too(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.place(retry={**BODY["retry"], "wait_minutes": 10})
    world.end("busy")
    world.events.put_rule(Name="other", ScheduleExpression="cron(0 0 1 1 ? 2027)")
    capsys.readouterr()
    world.clock.turn(to=START + timedelta(minutes=1))
    world.sweep()
    assert _statistic(ALARMS["redial-dev-rules-near-quota"].figures["m"], capsys.readouterr().out) == 2
