"""The doors of Redial: the routes and the Lambdas. No logic lives here."""

import gc
from typing import Any

# What is loaded here stays. Looking through it for garbage while it is being loaded is a fifth of a cold start.
gc.disable()

from chalice.app import Chalice, CloudWatchEvent

from chalicelib.api import callbacks, calls, documents, numbers, pauses, policies, vendors
from chalicelib.api.current import running_as, services
from chalicelib.api.http import ANY_TYPE, in_our_form, secured
from chalicelib.api.watch import watched
from chalicelib.runtime import log, metrics
from chalicelib.usecases.calls.redial_due import TimeLeft, redial_due
from chalicelib.usecases.sweep import sweep as sweep_up
from chalicelib.wheel import plan

# Before Chalice, which else puts its own prefix before every line and drops those below ERROR.
log.set_up()
app = Chalice(app_name="redial", configure_logs=False)
app.register_blueprint(callbacks.blueprint)
app.register_blueprint(calls.blueprint)
app.register_blueprint(documents.blueprint)
app.register_blueprint(numbers.blueprint)
app.register_blueprint(pauses.blueprint)
app.register_blueprint(policies.blueprint)
app.register_blueprint(vendors.blueprint)


@app.middleware("all")
def accounting(event: Any, get_response: Any) -> Any:
    """What every invocation of every Lambda begins and ends with: who is running, and what came of it in numbers."""
    context = getattr(event, "lambda_context", None) or event.context
    running_as(context)
    with log.invocation(context), metrics.told():
        return watched(event, get_response)


@app.middleware("http")
def in_one_form(event: Any, get_response: Any) -> Any:
    """Every answer names its type, and Chalice's own refusals (405) are told like ours."""
    return secured(in_our_form(get_response(event)))


@app.route("/health", content_types=ANY_TYPE)
def health() -> dict[str, str]:
    """Answer while the API runs. Nothing else is asked, not even the table."""
    return {"status": "ok"}


@app.lambda_function(name="redial")
def redial(event: dict[str, str], context: Any) -> dict[str, int]:
    """A wake has fired: ``{"wake": "2026-01-26T10:30Z"}``."""
    wake = plan.from_wake_text(event["wake"])
    return redial_due(services().ports, wake, _time_left(context))


@app.schedule("rate(1 minute)", name="sweep")
def sweep(event: CloudWatchEvent) -> dict[str, int]:
    """Every minute: mend what the wheel missed."""
    return sweep_up(services().ports, _time_left(event.context))


def _time_left(context: Any) -> TimeLeft:
    return TimeLeft(lambda: float(context.get_remaining_time_in_millis()) / 1000)


gc.freeze()
gc.enable()
