"""The botocore clients and service descriptions that tests reuse.

Making a client costs more CPU than most requests of a test. Half of that is the parsing of descriptions.
"""

import os
from functools import cache, cached_property, partial
from types import SimpleNamespace
from typing import Any

import botocore.loaders
import botocore.session
import botocore.useragent

from ops.simulate import short_way
from ops.simulate.settings import REGION


def keep_descriptions() -> None:
    """Let botocore parse each JSON file of its data once in a process.

    Without this, botocore parses the files again in each session.
    botocore adds its own extras to a description that it has loaded. A second addition changes nothing.
    """
    load, parse = botocore.loaders.JSONFileLoader.load_file, botocore.loaders.JSONFileLoader()
    kept = cache(lambda path: load(parse, path))  # type: ignore[no-untyped-call]
    botocore.loaders.JSONFileLoader.load_file = lambda self, path: kept(path)


def keep_user_agent() -> None:
    """Let botocore clean each part of its User-Agent header once in a process.

    Without this, botocore cleans every part for each request.
    """
    botocore.useragent.sanitize_user_agent_string_component = cache(
        botocore.useragent.sanitize_user_agent_string_component
    )


class KeptClients:
    """A stand-in for a botocore session. A client with a test's handler is not reused."""

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], Any] = {}
        self._changed: set[tuple[object, ...]] = set()

    def create_client(self, service: str, *, region_name: str | None, config: Any) -> Any:
        key = (service, region_name, id(config), os.environ.get("AWS_ENDPOINT_URL"))
        if key not in self._kept:
            self._kept[key] = self._session.create_client(service, region_name=region_name, config=config)
            if service in ("dynamodb", "events") and region_name == REGION:
                self._kept[key].meta.events.register_last(f"before-call.{service}", partial(self._past_http, key))
            self._watch(key, self._kept[key].meta.events)
        return self._kept[key]

    @cached_property
    def _session(self) -> Any:
        # Made late, because the handlers of all sessions are set when the tests begin.
        return botocore.session.get_session()

    def begin(self) -> None:
        """Count handlers that are registered from now on as the test's own."""
        self._changed.clear()

    def take_back(self) -> None:
        """Drop the clients that the test has changed."""
        for key in self._changed:
            del self._kept[key]
        self._changed.clear()

    def _past_http(self, key: tuple[object, ...], model: Any, params: Any, **_: Any) -> tuple[Any, Any] | None:
        """Answer a request without HTTP.

        A client with a test's handler sends HTTP, because the handler may wait for the HTTP request.
        botocore calls this as ``before-call``, and takes the result as the answer of a request that it does not send.
        """
        answer = None if key in self._changed else short_way.of_request(params["body"], model.name)
        return None if answer is None else (SimpleNamespace(status_code=200), answer)

    def _watch(self, key: tuple[object, ...], events: Any) -> None:
        for name in ("register", "register_first", "register_last"):
            setattr(events, name, self._noting(key, getattr(events, name)))

    def _noting(self, key: tuple[object, ...], register: Any) -> Any:
        def noted(*args: Any, **kwargs: Any) -> None:
            self._changed.add(key)
            register(*args, **kwargs)

        return noted
