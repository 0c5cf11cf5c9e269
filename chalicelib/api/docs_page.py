"""The OpenAPI document as one page of HTML, without scripts, fonts or other files."""

import json
from collections.abc import Iterator
from html import escape
from typing import Any

Json = dict[str, Any]

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


#: the most levels of objects within each other whose fields the page lists
MAX_DEPTH = 5
#: the most characters of an example beside its field; a longer example is above the fields of its object
MAX_EXAMPLE = 160
#: keyword of a schema -> the text on the page
LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "maxProperties": "at most {} fields",
    "pattern": "of the form `{}`",
    "default": "default `{}`",
}

STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --line: #dde2e9; --paper: #fff; --pane: #f5f7fa;
  --link: #0b5cad; --get: #0b6e4f; --post: #0b5cad; --put: #9a5b00; --delete: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --soft: #9aa5b4; --line: #2f3845; --paper: #12161c;
  --pane: #1a2029; --link: #7db7f5; --get: #5ecfa5; --post: #7db7f5; --put: #e5b062; --delete: #f2938c; } }
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0; color: var(--ink); background: var(--paper); font: 16px/1.55 system-ui, sans-serif; }
a { color: var(--link); }
code, pre { font: .875em/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
pre { background: var(--pane); border: 1px solid var(--line); border-radius: 6px; padding: .75rem; overflow-x: auto; }
.page { display: grid; grid-template-columns: 21rem minmax(0, 1fr); max-width: 84rem; margin: 0 auto; }
nav { position: sticky; top: 0; height: 100vh; overflow-y: auto; padding: 1.5rem 1rem; border-right: 1px solid
  var(--line); font-size: .875rem; }
nav summary { display: block; padding: .25rem 0; }
nav ul, .fields { list-style: none; margin: 0; padding: 0; }
nav h2 { font-size: .75rem; text-transform: uppercase; letter-spacing: .06em; color: var(--soft); margin: 1.25rem 0
  .25rem; }
nav a { display: flex; gap: .5rem; padding: .2rem 0; text-decoration: none; color: var(--ink); overflow-wrap: anywhere;
  }
nav a:hover, nav a:focus { color: var(--link); text-decoration: underline; }
main { padding: 2rem; }
h1 { font-size: 2rem; margin: 0 0 .5rem; }
main > h2 { margin: 3rem 0 0; padding-bottom: .25rem; border-bottom: 2px solid var(--line); }
section { padding: 1.25rem 0; border-bottom: 1px solid var(--line); }
h3 { margin: 0 0 .25rem; font-size: 1.05rem; overflow-wrap: anywhere; }
h4 { margin: 1.25rem 0 .25rem; font-size: .875rem; color: var(--soft); }
p { margin: .25rem 0; max-width: 46rem; }
.method { display: inline-block; min-width: 3.6rem; font-weight: 700; font-size: .8em; letter-spacing: .03em; }
nav .method { min-width: 3.2rem; flex: none; font-size: .7rem; padding-top: .15rem; }
.get { color: var(--get); } .post { color: var(--post); } .put, .patch { color: var(--put); }
.delete { color: var(--delete); }
.note, .soft { color: var(--soft); font-size: .875rem; }
.fields .fields { margin-left: .25rem; padding-left: .9rem; border-left: 2px solid var(--line); }
.fields > li { padding: .4rem 0; overflow-wrap: anywhere; }
.fields > li + li { border-top: 1px solid var(--line); }
.fields p { margin: 0; }
.fields p.kind, .kind { margin: .75rem 0 0; font-size: .875rem; }
.example { color: var(--soft); font-size: .875rem; overflow-wrap: anywhere; }
.example code, .soft code { color: var(--ink); }
.must { color: var(--delete); font-size: .8rem; }
details > summary { cursor: pointer; color: var(--link); font-size: .875rem; }
@media (max-width: 52rem) {
  .page { display: block; }
  nav { position: static; height: auto; border-right: 0; border-bottom: 1px solid var(--line); padding: .75rem 1rem; }
  main { padding: 1.25rem 1rem; }
  h1 { font-size: 1.6rem; }
}
/* Beside the text the list of routes is always open, where the browser supports that. */
@supports selector(::details-content) { @media (min-width: 52.01rem) {
  nav summary { display: none; }
  nav details::details-content { content-visibility: visible; display: block; }
} }
"""


def page(document: Json) -> str:
    """Return the page of an OpenAPI document."""
    info = document["info"]
    server = document["servers"][0]["url"]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])} API</title><style>{STYLE}</style></head><body>"
        f'<div class="page"><nav aria-label="Routes"><details><summary>Routes</summary>'
        f"{''.join(_links(document))}</details></nav><main>"
        f"<h1>{escape(info['title'])} API</h1><p>{escape(info['description'])}</p>"
        f'<p>Base URL: <code>{escape(server)}</code>. For machines: <a href="openapi.json">openapi.json</a>.</p>'
        f"<h2>Signing in</h2>{_signing_in(document)}{''.join(_groups(document))}</main></div></body></html>"
    )


def _by_tag(document: Json) -> Iterator[tuple[str, list[tuple[str, str, Json]]]]:
    for tag in (tag["name"] for tag in document["tags"]):
        yield (
            tag,
            [
                (path, method, operation)
                for path, methods in document["paths"].items()
                for method, operation in methods.items()
                if tag in operation["tags"]
            ],
        )


def _links(document: Json) -> Iterator[str]:
    for tag, operations in _by_tag(document):
        yield f"<h2>{escape(tag)}</h2><ul>"
        for path, method, operation in operations:
            yield f'<li><a href="#{operation["operationId"]}">{_badge(method)}<code>{_breakable(path)}</code></a></li>'
        yield "</ul>"


def _breakable(path: str) -> str:
    """Return a path that a browser can break after a slash if the line is too short."""
    return escape(path).replace("/", "/<wbr>")


def _badge(method: str) -> str:
    return f'<span class="method {method}">{method.upper()}</span>'


def _signing_in(document: Json) -> str:
    schemes = document["components"]["securitySchemes"].items()
    rows = "".join(f"<li><code>{escape(name)}</code> {escape(scheme['description'])}</li>" for name, scheme in schemes)
    return f'<p>Any one of these:</p><ul class="fields">{rows}</ul>'


def _groups(document: Json) -> Iterator[str]:
    schemas = document["components"]["schemas"]
    about = {tag["name"]: tag["description"] for tag in document["tags"]}
    for tag, operations in _by_tag(document):
        yield f"<h2>{escape(tag)}</h2><p>{_prose(about[tag])}</p>"
        for path, method, operation in operations:
            yield _section(path, method, operation, schemas)


def _section(path: str, method: str, operation: Json, schemas: Json) -> str:
    parts = [
        f'<section id="{operation["operationId"]}"><h3>{_badge(method)} <code>{escape(path)}</code></h3>',
        f"<p>{escape(operation['summary'])}.</p>",
    ]
    if operation.get("description"):
        parts.append(f'<p class="note">{_prose(operation["description"])}</p>')
    if operation.get("security") == []:
        parts.append('<p class="note">No API key.</p>')
    if operation["parameters"]:
        parts.append(f'<h4>Parameters</h4><ul class="fields">{"".join(map(_parameter, operation["parameters"]))}</ul>')
    if "requestBody" in operation:
        parts.append(_body(operation["requestBody"], schemas))
    parts.append("<h4>Answers</h4>")
    parts += [_response(status, response, schemas) for status, response in operation["responses"].items()]
    return "".join(parts) + "</section>"


def _prose(text: str) -> str:
    """Return text as HTML, with the parts between backticks as code."""
    pieces = escape(text).replace("``", "`").split("`")
    return "".join(f"<code>{piece}</code>" if i % 2 else piece for i, piece in enumerate(pieces))


def _parameter(parameter: Json) -> str:
    schema = parameter["schema"]
    kind = f"in {parameter['in']}, {_kind(schema, {})}{_limits(schema)}"
    about = _about(parameter["name"], kind, parameter["required"], parameter["description"], str(schema["examples"][0]))
    return f"<li>{about}</li>"


def _about(name: str, kind: str, required: bool, description: str, example: str) -> str:
    """Return the entry of one field or parameter: type, limits, description, example."""
    must = ' <span class="must">required</span>' if required else ""
    parts = [f'<p><code>{escape(name)}</code> <span class="soft">{kind}</span>{must}</p><p>{_prose(description)}</p>']
    if len(example) <= MAX_EXAMPLE:
        parts.append(f'<p class="example">Example: <code>{escape(example)}</code></p>')
    return "".join(parts)


def _body(body: Json, schemas: Json) -> str:
    must = "" if body["required"] else ", may be left out"
    if "application/problem+json" in body["content"] or len(body["content"]) > 1:
        return f'<h4>Body{must}</h4><p class="soft">{escape(", ".join(body["content"]))}</p>'
    ((media_type, content),) = body["content"].items()
    parts = [f"<h4>Body, {escape(media_type)}{must}</h4>"]
    if "example" in content:
        parts.append(f"<pre>{escape(json.dumps(content['example'], indent=2))}</pre>")
    fields = _fields(content["schema"], schemas, 0, ())
    parts.append(f"<details><summary>All fields</summary>{fields}</details>")
    return "".join(parts)


def _response(status: str, response: Json, schemas: Json) -> str:
    line = f"<code>{status}</code> {_prose(response['description'])}"
    headers = _response_headers(response.get("headers", {}))
    content = response.get("content", {})
    fields = "".join(
        _fields(each["schema"], schemas, 0, ()) for media_type, each in content.items() if "problem" not in media_type
    )
    if not fields:
        return f"<p>{line}</p>{headers}"
    return f"<p>{line}</p>{headers}<details><summary>Fields</summary>{fields}</details>"


def _response_headers(headers: Json) -> str:
    return "".join(
        f'<p class="example">Header <code>{escape(name)}</code>: {_prose(header["description"])}'
        f" Example: <code>{escape(header['schema']['examples'][0])}</code></p>"
        for name, header in headers.items()
    )


def _fields(schema: Json, schemas: Json, depth: int, within: tuple[str, ...]) -> str:
    """Return the fields of an object as a list, each with its own fields below it.

    The result is "" if the schema has no fields. ``within`` has the names of the schemas around this schema: a schema
    within itself is not listed again.
    """
    name = schema.get("$ref", "").rpartition("/")[2]
    if name:
        if name in within:
            return ""
        return _fields(schemas[name], schemas, depth, (*within, name))
    if depth > MAX_DEPTH:
        return ""
    if "properties" in schema:
        required = schema.get("required", [])
        rows = "".join(
            _field(field, inner, field in required, schemas, depth, within)
            for field, inner in sorted(schema["properties"].items(), key=lambda each: each[0] not in required)
        )
        return f'<ul class="fields">{rows}</ul>'
    choices = _inner(schema)
    if "discriminator" not in schema:
        return "".join(_fields(inner, schemas, depth, within) for inner in choices)
    return "".join(_titled(inner, schemas) + _fields(inner, schemas, depth, within) for inner in choices)


def _titled(choice: Json, schemas: Json) -> str:
    """Return the line above the fields of one member of a union: its ``type``."""
    schema = schemas[choice["$ref"].rpartition("/")[2]]
    kind = schema["properties"]["type"]["const"]
    return f'<p class="kind"><code>{escape(kind)}</code> {_prose(schema["description"])}</p>'


def _inner(schema: Json) -> list[Json]:
    choices: list[Json] = [*schema.get("anyOf", []), *schema.get("oneOf", [])]
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            choices.append(schema[keyword])
    return choices


def _field(name: str, schema: Json, required: bool, schemas: Json, depth: int, within: tuple[str, ...]) -> str:
    kind = f"{escape(_kind(schema, schemas))}{_limits(schema)}"
    example = json.dumps(schema["examples"][0], ensure_ascii=False)
    about = _about(name, kind, required, schema["description"], example)
    below = _fields(schema, schemas, depth + 1, within)
    if below:
        longer = (
            f"<pre>{escape(json.dumps(schema['examples'][0], indent=2))}</pre>" if len(example) > MAX_EXAMPLE else ""
        )
        below = f"<details><summary>Fields of {escape(name)}</summary>{longer}{below}</details>"
    return f"<li>{about}{below}</li>"


def _kind(schema: Json, schemas: Json) -> str:
    """Return the type of a schema in a few words, or the values that it allows."""
    if "$ref" in schema:
        return _kind(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    choices = [*schema.get("anyOf", []), *schema.get("oneOf", [])]
    if choices:
        return " | ".join(dict.fromkeys(_kind(choice, schemas) for choice in choices))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}), schemas)}"
    return str(schema.get("format") or schema.get("type") or "anything")


def _limits(schema: Json) -> str:
    given = [choice for choice in schema.get("anyOf", []) if choice.get("type") != "null"]
    if len(given) == 1:
        schema = given[0] | schema
    limits = [
        words.format(json.dumps(schema[keyword]) if keyword == "default" else schema[keyword])
        for keyword, words in LIMITS.items()
        if keyword in schema
    ]
    return _prose(", " + ", ".join(limits)) if limits else ""
