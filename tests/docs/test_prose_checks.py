"""The checks of docstrings and of commit subjects find what they are for."""

from pathlib import Path

import pytest

from ops import docstrings, subjects

GOOD = '''"""A module."""


class Call:
    """A call."""

    @property
    def end(self):
        """The end of the call."""

    def stop(self):
        """Stop the call."""
'''


def found(tmp_path: Path, text: str) -> list[tuple[bool, bool]]:
    file = tmp_path / "module.py"
    file.write_text(text)
    return [(each.begins_well, each.is_short) for each in docstrings.docstrings(file, "module.py")]


def test_verbs_and_names_of_things_begin_well(tmp_path: Path) -> None:
    assert found(tmp_path, GOOD) == [(True, True)] * 4


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("A module.", "What a module is for."),
        ("A call.", "Whoever is called."),
        ("The end of the call.", "When the call ended."),
        ("Stop the call.", "Stops the call."),
        ("Stop the call.", "The call stops."),
        ("Stop the call.", "Whether the call stops."),
    ],
)
def test_riddles_do_not_begin_well(tmp_path: Path, good: str, bad: str) -> None:
    assert found(tmp_path, GOOD.replace(good, bad)).count((False, True)) == 1


def test_a_long_first_line_is_found(tmp_path: Path) -> None:
    long = GOOD.replace("A call.", "A call" + " that goes on" * 6 + ".")
    assert found(tmp_path, long).count((True, False)) == 1


def test_a_path_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"^there is no nowhere\.py in "):
        docstrings.main(["nowhere.py"])


def test_subjects_as_they_should_be_pass() -> None:
    assert list(subjects.complaints(["Keep canceled calls final when late callbacks arrive", "Add " + "a" * 68])) == []


@pytest.mark.parametrize(
    ("subject", "complaint"),
    [
        ("Add " + "a" * 69, "73 characters, at most 72: "),
        ("A cancel stands whatever is heard later", "begins with no verb that ops/docstrings.py lists"),
        ("keep canceled calls final", "begins with no verb that ops/docstrings.py lists"),
        ("Keep canceled calls final.", "ends with a full stop"),
    ],
)
def test_subjects_that_break_a_rule_are_found(subject: str, complaint: str) -> None:
    (line,) = subjects.complaints([subject])
    assert line.startswith(complaint)
    assert line.endswith(subject)
