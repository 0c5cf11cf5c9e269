"""The entry points of Redial: the routes and the Lambdas. No logic lives here."""

import gc
from typing import Any

# The modules that load here stay loaded. To search them for garbage while they load takes a fifth of a cold start.
gc.disable()

from chalice.app import Chalice, CloudWatchEvent

from chalicelib.api import callbacks, calls, documents, numbers, pauses, policies, vendors
from chalicelib.api.current import running_as, services
from chalicelib.api.http import ANY_TYPE, normalized, secured
from chalicelib.api.watch import watched
from chalicelib.runtime import log, metrics
from chalicelib.usecases.calls.redial_due import TimeLeft, redial_due
from chalicelib.usecases.sweep import sweep as sweep_up
from chalicelib.wheel import plan

# This runs before Chalice sets up logging. Chalice would prefix every line and drop the lines below ERROR.
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
    """Wrap every invocation of every Lambda with its log fields and its metrics.

    It also remembers the ARN of the running Lambda.
    """
    context = getattr(event, "lambda_context", None) or event.context
    running_as(context)
    with log.invocation(context), metrics.collected():
        return watched(event, get_response)


@app.middleware("http")
def normalize_response(event: Any, get_response: Any) -> Any:
    """Add the Content-Type and the security headers to every response.

    An error that Chalice makes by itself (405) becomes problem+json, like Redial's own errors.
    """
    return secured(normalized(get_response(event)))


@app.route("/health", content_types=ANY_TYPE)
def health() -> dict[str, str]:
    """Answer while the API runs. The route reads nothing, not even the table."""
    return {"status": "ok"}


@app.lambda_function(name="redial")
def redial(event: dict[str, str], context: Any) -> dict[str, int]:
    """Dial the due calls of the wake that fired: ``{"wake": "2026-01-26T10:30Z"}``."""
    wake = plan.from_wake_text(event["wake"])
    return redial_due(services().ports, wake, _time_left(context))


@app.schedule("rate(1 minute)", name="sweep")
def sweep(event: CloudWatchEvent) -> dict[str, int]:
    """Repair, every minute, what the timing wheel missed."""
    return sweep_up(services().ports, _time_left(event.context))


def _time_left(context: Any) -> TimeLeft:
    return TimeLeft(lambda: float(context.get_remaining_time_in_millis()) / 1000)


gc.freeze()
gc.enable()
