"""The events of API Gateway's REST APIs, as in AWS's proxy integration example."""

from collections.abc import Mapping
from typing import Any

#: the domain name that API Gateway gives an API
OWN_DOMAIN = "abcde12345.execute-api.eu-central-1.amazonaws.com"


def rest_event(
    method: str,
    route: str,
    path: str,
    *,
    params: Mapping[str, str] | None = None,
    query: Mapping[str, list[str]] | None = None,
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
    domain: str = OWN_DOMAIN,
    base_path: str = "/api",
) -> dict[str, Any]:
    """Return the event of a request to ``path`` that API Gateway routed to ``route``.

    ``base_path`` comes before the route: it is the stage, or the path that a custom domain maps to the API. Values of
    one name in the query come in one list, from any position.
    """
    sent = {"Host": domain, **(headers or {})}
    return {
        "resource": route,
        "path": path,
        "httpMethod": method,
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": {name: values[-1] for name, values in query.items()} if query else None,
        "multiValueQueryStringParameters": dict(query) if query else None,
        "pathParameters": dict(params) if params else None,
        "stageVariables": None,
        "requestContext": {
            "resourceId": "2gxmpl",
            "resourcePath": route,
            "httpMethod": method,
            "extendedRequestId": "JJbxmplHYosFVYQ=",
            "requestTime": "26/Jan/2026:10:00:00 +0000",
            "path": base_path + path,
            "accountId": "123456789012",
            "protocol": "HTTP/1.1",
            "stage": "api",
            "domainPrefix": domain.partition(".")[0],
            "requestTimeEpoch": 1769421600000,
            "requestId": "77375676-xmpl-4b79-853a-f982474efe18",
            "identity": {"sourceIp": "203.0.113.7", "userAgent": "curl/8.5.0"},
            "domainName": domain,
            "apiId": "abcde12345",
        },
        "body": body,
        "isBase64Encoded": False,
    }
