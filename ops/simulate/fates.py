"""What becomes of the calls that the model carrier takes, and how often."""

from dataclasses import dataclass

from ops.simulate.twists import Word


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one create-call that gets through. ``answer`` names a refusal; else the line ends as ``end``.

    ``word`` is what the end says instead, though the call was answered.
    """

    answer: str = "placed"
    end: str = "completed"
    machine: bool = False
    word: Word | None = None


#: weight -> fate
FATES: tuple[tuple[float, Fate], ...] = (
    (24, Fate(end="busy")),
    (26, Fate(end="no-answer")),
    (9, Fate(end="failed")),
    (4, Fate(end="rejected")),
    (2, Fate(end="canceled")),
    (12, Fate()),
    (3, Fate(word=Word("busy"))),
    (3, Fate(word=Word("failed"))),
    (2, Fate(word=Word("no-answer"))),
    (3, Fate(word=Word("failed", proven=False))),
    (3, Fate(word=Word("busy", proven=False))),
    (9, Fate(machine=True)),
    (2, Fate(machine=True, word=Word("failed"))),
    (2, Fate(answer="invalid-number")),
    (5, Fate(answer="throttled")),
)

#: What a focus may make more frequent -> the fate that it brings
MORE_OF = {
    "throttled": Fate(answer="throttled"),
    "talks": Fate(),
    "contradicted": Fate(word=Word("busy", proven=False)),
}

#: A provider that turns calls away for their pace may name any wait.
NAMED_WAITS_SEC = ((1, ""), (1, "30"), (2, "86400"))
