"""All links between the pages work, and every page can be reached from the README."""

import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def links(page: Path) -> list[tuple[str, Path, str]]:
    """Return (link, file, anchor) of each link of a page within the project."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    found = []
    for link in LINK.findall(prose):
        if "://" not in link and not link.startswith("mailto:"):
            target, _, anchor = link.partition("#")
            found.append((link, (page.parent / target).resolve() if target else page, anchor))
    return found


@cache
def anchors(page: Path) -> set[str]:
    """Return the anchors that the headings of a page have, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_each_link_leads_to_a_file_and_a_heading() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in PAGES
        for link, target, anchor in links(page)
        if not target.exists() or (anchor and anchor not in anchors(target))
    ]
    assert broken == []


def test_each_page_can_be_reached_from_the_readme() -> None:
    found: set[Path] = set()
    left = [ROOT / "README.md"]
    while left:
        page = left.pop()
        if page in found:
            continue
        found.add(page)
        for _, target, _ in links(page):
            # A link to a folder shows all pages in it.
            left += target.glob("*.md") if target.is_dir() else [target] if target.suffix == ".md" else []
    # GitHub itself shows these two beside the README.
    shown = {ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"}
    assert {str(page.relative_to(ROOT)) for page in set(PAGES) - found - shown} == set()


def test_the_readme_can_be_read_at_one_sitting() -> None:
    assert len((ROOT / "README.md").read_text().split()) < 1500


def test_the_index_of_decisions_lists_each_decision_by_its_title() -> None:
    folder = ROOT / "docs" / "decisions"
    rows = re.findall(r"^\| (\d+) \| \[(.*)\]\((.*)\) \|$", (folder / "README.md").read_text(), re.MULTILINE)
    decisions = sorted(folder.glob("[0-9]*.md"))
    assert [(f"# {number}. {title}", name) for number, title, name in rows] == [
        (page.read_text().partition("\n")[0], page.name) for page in decisions
    ]
