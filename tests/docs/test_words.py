"""The texts for users contain no word of the right column of CONTRIBUTING's table.

The texts are pages, messages, help texts and the API document.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app import app
from chalicelib.api import openapi

ROOT = Path(__file__).parents[2]

#: an unwanted word (a regular expression, in any case) -> the word to use
WORDS = {
    r"out at once|(?:is|are|be|was|were) out(?! of)": "in flight",
    r"put(?:s|ting)?[ _-]offs?": "deferred, postponed",
    r"turn(?:s|ed|ing)?(?: \w+){0,2} away": "rejected by the provider",
    r"giv(?:e|es|en|ing)(?: \w+){0,2} up|gave up|lost sight of": "timed out, stopped",
    r"news": "callback, late callback",
    r"hears?|heard": "a callback, or what it says",
    r"anew|ask(?:s|ed|ing)?(?: \w+){0,2} again": "retry, try again",
    r"tell|tells|told|telling": "say, show, record",
    r"wr(?:ite|ites|itten|ote|iting)(?: \w+){0,2} down": "record, write",
    r"surely": "confirmed, at least",
    r"moved": "rescheduled",
    r"mend(?:s|ed|ing)?": "repair, reconcile",
    r"doors?": "entry points",
    r"(?<!mock )carriers?(?=[ .,:;)])": "mock carrier, provider",
    r"a machine": "an answering machine, AMD",
    r"most at once": "concurrency limit",
    r"alarm clocks?|alarms? of the wheel": "wake, scheduled trigger",
    r"pace": "rate limit, calls per second",
    r"until when": "deadline, expiry",
}

#: texts that may contain an unwanted word, and why
EXCEPTIONS = {
    "carrier.py": "a file of the mock carrier",
}

#: parts of the code whose texts only developers of Redial read
FOR_DEVELOPERS = ("ops/simulate/", "ops/local/carrier", "ops/bench.py", "ops/benchmarks/")

UNWANTED = {re.compile(rf"(?<![\w-])(?:{pattern})(?![\w-])", re.IGNORECASE): use for pattern, use in WORDS.items()}


def pages() -> Iterator[tuple[str, str]]:
    """Yield (name, text) of each page, without the table that lists the words."""
    for path in (ROOT / "Makefile", *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")):
        text = path.read_text()
        if path.name == "CONTRIBUTING.md":
            text = re.sub(r"^### The words\n.*?(?=^## )", "", text, flags=re.MULTILINE | re.DOTALL)
        if path.name == "CHANGELOG.md":
            text = re.sub(r"^ +\|.*\n", "", text, flags=re.MULTILINE)  # the old names beside the new ones
        yield str(path.relative_to(ROOT)), text


def texts() -> Iterator[tuple[str, str]]:
    """Yield (place, text) of each text in the code with at least two words.

    Docstrings are left out.
    """
    for path in (ROOT / "app.py", *(ROOT / "chalicelib").rglob("*.py"), *(ROOT / "ops").rglob("*.py")):
        name = str(path.relative_to(ROOT))
        if name.startswith(FOR_DEVELOPERS):
            continue
        tree = ast.parse(path.read_text())
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docstrings)
        for node in constants:
            if isinstance(node.value, str) and len(node.value.split()) > 1:
                yield f"{name}:{node.lineno}", node.value


def descriptions(part: Any, place: str = "openapi") -> Iterator[tuple[str, str]]:
    """Yield (place, text) of each summary and description in the API's document."""
    children = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for name, child in children:
        if name in ("summary", "description") and isinstance(child, str):
            yield place, child
        yield from descriptions(child, f"{place}/{name}")


def unwanted(place: str, text: str) -> Iterator[str]:
    """Yield a line for each unwanted word in a text, with the word to use."""
    for exception in EXCEPTIONS:
        text = text.replace(exception, "")
    text = " ".join(text.split())  # a line may end within a phrase
    for pattern, use in UNWANTED.items():
        for found in pattern.finditer(text):
            around = text[max(0, found.start() - 30) : found.end() + 30]
            yield f"{place}: {found[0]!r} in {around!r}; write {use}"


def test_no_page_has_a_word_that_is_not_ours() -> None:
    assert [miss for place, text in pages() for miss in unwanted(place, text)] == []


def test_no_error_and_no_help_text_has_a_word_that_is_not_ours() -> None:
    assert [miss for place, text in texts() for miss in unwanted(place, text)] == []


def test_the_document_of_the_api_has_no_word_that_is_not_ours() -> None:
    document = openapi.document(app.routes, "https://redial.example.com/api")
    assert [miss for place, text in descriptions(document) for miss in unwanted(place, text)] == []


def test_each_exception_is_still_needed() -> None:
    everything = "".join(text for _, text in pages())
    assert [exception for exception in EXCEPTIONS if exception not in everything] == []
