"""The outcomes page matches the providers' tables."""

from pathlib import Path

from chalicelib.domain.outcome import Outcome
from chalicelib.providers import REGISTRY
from ops.outcomes import TABLES, markdown, words

PAGE = Path(__file__).parents[2] / "docs" / "outcomes.md"


def test_every_provider_of_the_registry_has_its_column() -> None:
    assert set(TABLES) == set(REGISTRY)


def test_the_page_shows_the_tables_as_they_are() -> None:
    assert markdown() in PAGE.read_text(), "run `python -m ops outcomes` and put what it prints into docs/outcomes.md"


def test_every_provider_can_say_that_a_line_was_busy_silent_or_answered() -> None:
    for provider in TABLES:
        for outcome in (Outcome.BUSY, Outcome.NO_ANSWER, Outcome.COMPLETED):
            assert words(provider, outcome), (provider, outcome)
