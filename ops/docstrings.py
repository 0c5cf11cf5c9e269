"""Measure the docstrings: ``python -m ops.docstrings``.

Count those that begin as CONTRIBUTING asks.

``make lint`` runs this check. With paths as arguments, it lists what to correct in those files only.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: the first line of a docstring, without its quotes, has at most this many characters
MAX_FIRST_LINE = 80
#: at least this share of the docstrings begins as it should
MIN_SHARE = 0.99

#: the verbs, in the imperative, with which the docstring of a function may begin
_VERBS = """
    accept act add adopt advise agree allow answer append apply arm ask assert assign audit await begin believe bind
    blank block book bound break bring build bump call cancel capture carry change charge check choose claim clean
    clear close collect combine come commit compare complete compose compress compute confirm connect consider construct
    continue convert copy correct count cover create cut decide declare decode decompress decrease defer define
    delete deliver deny deploy derive describe detect dial disable disarm discard display divide do download draw
    drive drop dump emit empty enable encode end enforce enter erase escape estimate examine exchange execute exit
    expand expect expire explain export expose extend extract fail fake feed fetch fill filter find finish fire fit
    fix flatten flush follow forbid forget format forward free freeze gather generate get give group guard halve
    handle hang hash hide hold ignore import include increase infer insert install interpret interrupt invoke join
    jump judge keep kill know label lay leave lend let lift limit link list load lock log look lower make map mark mask
    match measure merge migrate mimic model mount move name narrow negotiate nest normalize note notify number
    observe obtain offer omit open opt order override pack page parse pass patch pause pay perform permit pick place
    plan play point poll post postpone prefer prepare press preview print probe produce prohibit promise prove
    provide publish purge put quote raise randomize rank read rebuild receive recommend record recover redial
    redirect reduce refer refuse register reject release remember remove rename render renew reorder repair repeat
    replace replay reply report request require reschedule reserve reset resolve respond restart restore resume
    retry return reuse revert revoke rewrite ring rotate round run sample save say scale scan schedule scrub search
    see select send serve set settle share shorten show shrink shuffle shut sign simulate skip sleep slice solve sort
    spell spend split spread stand start state stop store strip stub subtract suggest sum supply support sweep
    switch tabulate take talk teach test time trace track translate treat trigger trim truncate try turn undo unlock
    unpack update upgrade upload use validate verify view visit wait wake walk warn watch weigh withdraw wrap write
    yield
"""
VERBS = frozenset(_VERBS.split())

#: the words of indirect questions, conditions and asides: no docstring begins with one of them
_ASIDES = """
    after although as at because before by for from how if in no of on once since so such than that then
    there these they this those though true false unless until what whatever when whenever where whereas wherever
    whether which while who whoever whom whose why with without
"""
ASIDES = frozenset(_ASIDES.split())


@dataclass(frozen=True, slots=True)
class Docstring:
    """A docstring.

    ``place`` is its file and line, ``kind`` says if it describes a function or a thing, ``line`` is its first line.
    """

    place: str
    kind: str
    line: str

    @property
    def begins_well(self) -> bool:
        """The docstring begins with a verb (of a function) or with the name of a thing."""
        word = self.line.split()[0].strip(",:;.").lower() if self.line.split() else ""
        return word in VERBS if self.kind == "function" else word not in ASIDES

    @property
    def is_short(self) -> bool:
        """The first line has at most MAX_FIRST_LINE characters."""
        return len(self.line) <= MAX_FIRST_LINE


def docstrings(file: Path, name: str) -> Iterator[Docstring]:
    """Yield each docstring of a Python file, under the file's ``name``."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        text = ast.get_docstring(node)
        if text is not None:
            first = node.body[0].lineno
            yield Docstring(f"{name}:{first}", _kind(node), text.split("\n", 1)[0])


def _kind(node: ast.AST) -> str:
    """Return "function", or "thing" for a module, a class or a property."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return "thing"
    marks = {ast.unparse(each).rpartition(".")[2] for each in node.decorator_list}
    return "thing" if marks & {"property", "cached_property"} else "function"


def files(names: list[str]) -> Iterator[Path]:
    """Yield the Python files of the project, or those at the paths that are named."""
    for name in names or ["app.py", "chalicelib", "ops", "tests"]:
        path = ROOT / name
        if not path.exists():
            raise ValueError(f"there is no {name} in {ROOT}")
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def main(names: list[str] | None = None) -> int:
    """Print the count, and each docstring to correct.

    Return 1 if too many begin otherwise, or if a first line is too long.
    """
    found = [each for file in files(names or []) for each in docstrings(file, str(file.relative_to(ROOT)))]
    odd = [each for each in found if not each.begins_well]
    long = [each for each in found if not each.is_short]
    share = 1 - len(odd) / max(1, len(found))
    fails = share < MIN_SHARE or bool(long)
    if fails or names:
        for each in odd:
            print(f"{each.place}: begins with no verb and no name of a thing: {each.line}")
        for each in long:
            print(f"{each.place}: first line has {len(each.line)} characters, at most {MAX_FIRST_LINE}: {each.line}")
    print(
        f"{len(found):,} docstrings: {share:.1%} begin with a verb or the name of a thing (at least {MIN_SHARE:.0%}); "
        f"{len(long)} first lines of more than {MAX_FIRST_LINE} characters"
    )
    return 1 if fails else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
