"""The check of a call before a provider that takes bare digits and an answer URL."""

from chalicelib.domain.numbers import is_e164
from chalicelib.domain.outcome import Outcome
from chalicelib.providers.base import DeferredByProvider, DialRequest, Refused


def unfit(request: DialRequest) -> Refused | DeferredByProvider | None:
    """Return why the provider cannot place the call; None if it can.

    The check of the numbers is also a guard: Plivo reads numbers that are separated by ``<`` as a list.
    """
    if not request.answer_url:
        return DeferredByProvider(cause="no-answer-url", fault=True)
    if not is_e164(request.to_number):
        return Refused(Outcome.INVALID_NUMBER, cause="to-number", evidence={"to_number": request.to_number[:40]})
    if not is_e164(request.from_number):
        return DeferredByProvider(cause="from-number", fault=True, evidence={"from_number": request.from_number[:40]})
    return None


def digits(number: str) -> str:
    """Return an E.164 number without its ``+``."""
    return number.removeprefix("+")
