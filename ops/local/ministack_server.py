"""Ministack with Redial's extensions, in a process that ends with its parent.

Run as ``python -m ops.local.ministack_server``; its settings are ministack's own environment variables.
"""

import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from importlib import import_module
from pathlib import Path
from typing import Any

Answer = tuple[int, dict[str, str], bytes]
Handler = Callable[[str, str, Any, bytes, dict[str, Any]], Awaitable[Answer]]

# Ministack looks for due rules every 10 s. AWS fires a rule within its minute too, but here somebody watches.
SECONDS_BETWEEN_LOOKS = 1
# AWS lets no invocation run longer.
MAX_INVOCATION_SEC = 900
#: The variable that names the file of the tables' items, if they are kept (see kept_items).
KEPT_ITEMS = "REDIAL_KEPT_ITEMS"


def main() -> None:
    """Extend ministack and run it until the parent ends."""
    threading.Thread(target=_die_with_parent, daemon=True).start()
    # The Lambdas inherit this environment. They must import the deployed code, not the code of this clone.
    os.environ.pop("PYTHONPATH", None)
    _keep_items(os.environ.pop(KEPT_ITEMS, None))
    _import_swagger(import_module("ministack.services.apigateway_v1"))
    _fire_young_rules(import_module("ministack.services.eventbridge"))
    _show_logs(import_module("ministack.services.lambda_svc"))
    _let_invocations_end(import_module("ministack.core.lambda_runtime"))
    _look_often(import_module("ministack.services.scheduler"))
    import_module("ministack.app").main()


def _die_with_parent() -> None:
    """Wait until the parent closes stdin or dies, then end ministack and its Lambdas."""
    sys.stdin.buffer.read()
    shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _keep_items(file: str | None) -> None:
    if file:
        handlers = import_module("ministack.services.cloudformation.provisioners")._RESOURCE_HANDLERS
        kept_items = import_module("ops.local.kept_items")
        kept_items.keep_items(import_module("ministack.services.dynamodb"), handlers, Path(file))


def _import_swagger(apigateway: Any) -> None:
    """Add ImportRestApi, PutRestApi and binary types to ministack.

    ``chalice deploy`` creates the routes with these operations.
    """
    handle: Handler = apigateway.handle_request
    import_api: Callable[..., str] = apigateway._import_rest_api

    def import_with_binary_types(spec: dict[str, Any], base: dict[str, Any] | None = None) -> str:
        api_id = import_api(spec, base)
        types = spec.get("x-amazon-apigateway-binary-media-types", [])
        apigateway._rest_apis[api_id]["binaryMediaTypes"] = types
        return api_id

    def overwrite(api_id: str, spec: dict[str, Any]) -> None:
        resources = apigateway._resources[api_id]
        root_id, root = next((key, each) for key, each in resources.items() if each["path"] == "/")
        apigateway._resources[api_id] = {root_id: root | {"resourceMethods": {}}}
        schemes = apigateway._import_security_schemes(api_id, spec)
        for path, item in spec["paths"].items():
            apigateway._import_path_item(api_id, path, item, schemes, spec.get("security"))

    async def handle_request(method: str, path: str, headers: Any, body: bytes, query: dict[str, Any]) -> Answer:
        match method, path.strip("/").split("/"):
            case "POST", ["restapis"] if "mode" in query:
                api_id, status = apigateway._import_rest_api(json.loads(body)), 201
            case "PUT", ["restapis", api_id] if api_id in apigateway._rest_apis:
                overwrite(api_id, json.loads(body))
                status = 200
            case _:
                return await handle(method, path, headers, body, query)
        answer: Answer = apigateway._v1_response(apigateway._rest_api_view(apigateway._rest_apis[api_id]), status)
        return answer

    apigateway._import_rest_api = import_with_binary_types
    apigateway.handle_request = handle_request


def _show_logs(lambdas: Any) -> None:
    """Write the logs of the Lambdas to this process's log too, one line each.

    CloudWatch gets them as before.
    """
    emit: Callable[..., None] = lambdas._emit_lambda_logs

    def emit_and_show(function: dict[str, Any], request_id: str, text: str, *rest: Any, **options: Any) -> None:
        name = function["config"]["FunctionName"]
        for line in (text or "").splitlines():
            print(f"[{name}] {line}", flush=True)
        emit(function, request_id, text, *rest, **options)

    lambdas._emit_lambda_logs = emit_and_show


def _let_invocations_end(runtime: Any) -> None:
    """Let an invocation end on the code that it started with, as AWS does.

    Ministack kills the invocation when its code is replaced.
    """
    kill: Callable[[list[Any]], None] = runtime.kill_workers

    def kill_once_idle(worker: Any) -> None:
        deadline = time.monotonic() + MAX_INVOCATION_SEC
        while worker.in_use and time.monotonic() < deadline:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        kill([worker])

    def kill_the_idle(workers: list[Any]) -> None:
        known = [worker for worker in workers if worker is not None]
        kill([worker for worker in known if not worker.in_use])
        for worker in known:
            if worker.in_use:
                threading.Thread(target=kill_once_idle, args=(worker,), daemon=True).start()

    runtime.kill_workers = kill_the_idle


def _look_often(scheduler: Any) -> None:
    scheduler._SCHEDULE_TICK_INTERVAL = SECONDS_BETWEEN_LOOKS


def _fire_young_rules(eventbridge: Any) -> None:
    """Fire a rule in its minute even if ministack has not seen the rule before.

    Ministack counts the occurrences of a cron rule from its first look at the rule. A rule that was made shortly before
    its only minute would never fire. This function makes ministack count from the rule's creation, as it does for
    rates.
    """
    tick: Callable[[], None] = eventbridge._tick_scheduled_rules

    def tick_from_creation() -> None:
        now = time.time()
        for key, rule in list(eventbridge._rules._data.items()):
            # CloudFormation's rules have no CreationTime.
            eventbridge._rule_last_fired.setdefault(key, rule.get("CreationTime", now))
        for gone in eventbridge._rule_last_fired.keys() - eventbridge._rules._data.keys():
            eventbridge._rule_last_fired.pop(gone, None)
        tick()

    eventbridge._tick_scheduled_rules = tick_from_creation
    eventbridge._SCHEDULER_TICK_INTERVAL = SECONDS_BETWEEN_LOOKS


if __name__ == "__main__":
    main()
