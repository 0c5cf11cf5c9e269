"""The fates of the calls that the model carrier accepts, with their weights."""

from dataclasses import dataclass

from ops.simulate.twists import Contradiction


@dataclass(frozen=True, slots=True)
class Fate:
    """The fate of one create-call that reaches the mock carrier.

    ``answer`` names a refusal; if the call is placed, the line ends as ``end``. ``contradiction`` is the end that the
    provider reports instead, though the call was answered.
    """

    answer: str = "placed"
    end: str = "completed"
    machine: bool = False
    contradiction: Contradiction | None = None


#: (weight, fate)
FATES: tuple[tuple[float, Fate], ...] = (
    (24, Fate(end="busy")),
    (26, Fate(end="no-answer")),
    (9, Fate(end="failed")),
    (4, Fate(end="rejected")),
    (2, Fate(end="canceled")),
    (12, Fate()),
    (3, Fate(contradiction=Contradiction("busy"))),
    (3, Fate(contradiction=Contradiction("failed"))),
    (2, Fate(contradiction=Contradiction("no-answer"))),
    (3, Fate(contradiction=Contradiction("failed", proven=False))),
    (3, Fate(contradiction=Contradiction("busy", proven=False))),
    (9, Fate(machine=True)),
    (2, Fate(machine=True, contradiction=Contradiction("failed"))),
    (2, Fate(answer="invalid-number")),
    (5, Fate(answer="throttled")),
)

#: A situation that a focus can make more frequent -> its fate
MORE_OF = {
    "throttled": Fate(answer="throttled"),
    "talks": Fate(),
    "contradicted": Fate(contradiction=Contradiction("busy", proven=False)),
}

#: A provider that rejects calls because of a rate limit may ask for any wait.
NAMED_WAITS_SEC = ((1, ""), (1, "30"), (2, "86400"))
