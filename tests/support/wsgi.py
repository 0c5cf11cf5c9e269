"""The app as a WSGI application. Each request goes through Chalice's test client."""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from chalice.test import Client

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]


def as_wsgi(client: Client, mounted_at: str = "") -> Callable[[Environ, StartResponse], Iterable[bytes]]:
    """Return a WSGI application whose paths begin with ``mounted_at``.

    This is like the app behind a stage of API Gateway.
    """

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        raw = environ.get("REQUEST_URI") or quote(environ["PATH_INFO"].encode("latin-1"))
        path = raw.partition("?")[0].removeprefix(mounted_at)
        query = environ.get("QUERY_STRING")
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        answer = client.http.request(
            environ["REQUEST_METHOD"], f"{path}?{query}" if query else path, headers=_headers(environ), body=body
        )
        start_response(f"{answer.status_code} {_phrase(answer.status_code)}", _pairs(answer.headers))
        return [answer.body]

    return application


def _headers(environ: Environ) -> dict[str, str]:
    headers = {name[5:].replace("_", "-").title(): text for name, text in environ.items() if name.startswith("HTTP_")}
    if environ.get("CONTENT_TYPE"):
        headers["Content-Type"] = environ["CONTENT_TYPE"]
    return headers


def _pairs(headers: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, str(one)) for name, many in headers.items() for one in (many if isinstance(many, list) else [many])]


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase
