"""The HTTP API: routes, request models, answers, and the OpenAPI document."""
