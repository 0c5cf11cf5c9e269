"""The doctor's checks of Lambda's own limits.

The limits are the end of a runtime's support, the size of the environment, and the account's concurrency.
"""

from collections.abc import Iterator
from datetime import timedelta

from ops import aws
from ops.deploying import capacity, chalice_config, environment_size, runtime
from ops.doctor.deployment import Deployment, environment_of
from ops.doctor.finding import Finding, amber, green, holds, red
from ops.names import LAMBDAS, stage_prefix

#: enough time to test an upgrade and to deploy it
SOON = timedelta(days=180)
#: Nobody can reserve the last hundred concurrent invocations of an account. A new account has ten in all.
MIN_UNRESERVED = 100
#: the code of "Concurrent executions" in Service Quotas
CONCURRENCY_QUOTA = "L-B99A9384"


def runtimes(on: Deployment) -> Iterator[Finding]:
    """Check that AWS supports the Lambdas' runtime, and that it is the configured one."""
    wanted = runtime.wanted()
    running = sorted({str(on.function(each)["Runtime"]) for each in LAMBDAS})
    for name in running:
        yield _support(on, name)
    yield holds(
        running == [wanted],
        f"the Lambdas run what {runtime.SETTING} names",
        amber(f"the Lambdas run {', '.join(running)}, and {runtime.SETTING} is {wanted}", on.redeploy),
    )
    actual = {each for function in LAMBDAS for each in on.function(function).get("Architectures", ["x86_64"])}
    configured = chalice_config.architecture(on.stage)
    if actual != {configured}:
        yield amber(
            f"the Lambdas run on {', '.join(sorted(actual))}, and lambda_architecture is {configured}", on.redeploy
        )


def _support(on: Deployment, name: str) -> Finding:
    ends_on = runtime.ENDS_ON.get(name)
    advice = f"set {runtime.SETTING} to a later one in .chalice/config.json, then {on.redeploy}"
    if ends_on is None:
        return red(f"{name} is not a runtime that AWS supports", advice)
    left = ends_on - on.now().date()
    if left <= timedelta(0):
        return red(f"AWS has not supported {name} since {ends_on}", advice)
    return holds(left > SOON, f"AWS supports {name} until {ends_on}", amber(f"AWS ends {name} on {ends_on}", advice))


def environment(on: Deployment) -> Iterator[Finding]:
    """Check that the variables of each Lambda stay below Lambda's size limit."""
    configured = chalice_config.environment(on.stage)
    largest = max((environment_of(on.function(each)) | configured for each in LAMBDAS), key=environment_size.size_bytes)
    size, most = environment_size.size_bytes(largest), environment_size.MAX_BYTES
    what = f"the environment takes {size} of the {most} bytes that Lambda allows"
    advice = environment_size.to_move(largest, stage_prefix(on.stage))
    if size > most:
        yield red(f"{what}: the next deployment fails", advice)
    else:
        yield holds(size <= environment_size.NEAR_BYTES, what, amber(what, advice))


def account_concurrency(on: Deployment) -> Iterator[Finding]:
    """Check that the account's concurrency covers what the stage reserves."""
    settings = aws.find(lambda: on.make_client("lambda").get_account_settings())
    if settings is None:
        yield green("this AWS sets no limit on concurrent invocations")
        return
    limit = int(settings["AccountLimit"]["ConcurrentExecutions"])
    needed = MIN_UNRESERVED + sum(capacity.reserved(each, on.stage) for each in capacity.RESERVED)
    yield holds(
        limit >= needed,
        f"the account may run {limit} Lambdas at once",
        amber(
            f"the account may run {limit} Lambdas at once: too few for a peak of callbacks, and none can be reserved",
            f"ask for 1000 (Service Quotas, AWS Lambda, {CONCURRENCY_QUOTA}); "
            f"it takes {needed} to reserve what .chalice/config.json says",
        ),
    )
