"""The loop, end to end on moto: place, callback, decision, rule, redial, history."""

from datetime import timedelta

from tests.support.world import START, World


def test_a_busy_line_is_redialled_after_the_wait_until_somebody_answers(world: World) -> None:
    call = world.place()
    assert world.history(call["id"]) == [(1, "placed")]

    world.end("busy", SipResponseCode="486")
    assert [r["ScheduleExpression"] for r in world.rules()] == ["cron(30 10 26 1 ? 2026)"]
    world.pump(START + timedelta(minutes=29))
    assert len(world.twilio.placed) == 1

    world.pump(START + timedelta(minutes=30))
    world.end("no-answer")
    world.pump(START + timedelta(minutes=60))
    world.end("completed", CallDuration="42")

    after = world.call(call["id"])
    assert world.history(call["id"]) == [(1, "busy"), (2, "no-answer"), (3, "completed")]
    assert [p.at for p in world.twilio.placed] == [START + timedelta(minutes=m) for m in (0, 30, 60)]
    assert (after["state"], after["summary_status"], after["next_attempt_at"]) == ("final", "completed", None)
    assert after["attempts"][2]["duration_sec"] == 42
    assert world.rules() == []
