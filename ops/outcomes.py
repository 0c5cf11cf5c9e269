"""`python -m ops outcomes`: which words of a provider mean which outcome.

The command prints them from the tables in the providers' modules.
"""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.domain.outcome import Outcome
from chalicelib.providers import (
    bolna,
    cxml,
    dialnexa,
    exotel_events,
    plivo_causes,
    plivo_events,
    signalwire,
    sip,
    telnyx_events,
    twilio,
    vonage_events,
)

#: the SIP code -> the outcome, if a provider's own word is as vague as ``failed``
SIP: Mapping[str, Outcome] = {f"SIP {code}": outcome for code, outcome in sip.SIP_OUTCOMES.items()}
#: provider -> its tables from words to outcomes, the one with the most specific words first
TABLES: Mapping[str, Sequence[Mapping[Any, Any]]] = {
    "twilio": (cxml.ENDINGS, twilio.NUMBER_ERRORS, SIP),
    "signalwire": (cxml.ENDINGS, signalwire.NUMBER_ERRORS, SIP),
    "plivo": (plivo_events.ENDINGS, plivo_causes.HANGUP_CAUSES),
    "vonage": (vonage_events.ENDINGS, vonage_events.DETAILS),
    "telnyx": (telnyx_events.HANGUP_CAUSES, telnyx_events.NUMBER_REASONS),
    "exotel": (exotel_events.ENDINGS,),
    "bolna": (bolna.ENDINGS, bolna.HANGUP_REASONS),
    "dialnexa": (dialnexa.ENDINGS, dialnexa.HANGUP_REASONS),
}
#: The maximum of words in a cell. A cell with more words ends with the number of words left out.
MAX_WORDS = 2


def words(provider: str, outcome: Outcome) -> list[str]:
    """Return a provider's words for an outcome, each once.

    A detail follows the word that it belongs to.
    """
    found = [
        word if isinstance(word, str) else " ".join(filter(None, word))
        for table in TABLES[provider]
        for word, means in table.items()
        if means is outcome
    ]
    return list(dict.fromkeys(found))


def markdown() -> str:
    """Return the table of outcomes and providers as docs/outcomes.md shows it."""
    rows = [["outcome", *TABLES], ["---"] * (len(TABLES) + 1)]
    rows += [[f"`{outcome}`", *(_cell(provider, outcome) for provider in TABLES)] for outcome in Outcome]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(provider: str, outcome: Outcome) -> str:
    if outcome is Outcome.VOICEMAIL:
        return "detection"
    found = words(provider, outcome)
    more = f" +{len(found) - MAX_WORDS}" if len(found) > MAX_WORDS else ""
    return ", ".join(found[:MAX_WORDS]) + more


def add_parser(subparsers: Any) -> None:
    """Register ``outcomes``."""
    parser = subparsers.add_parser("outcomes", help="print the table of outcomes: the words of each provider")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    print(markdown())
    return 0
