"""SignalWire's cXML calls: Twilio's API under the URL of a space.

The signing key and the SIP fields are SignalWire's own.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import quote

from chalicelib.domain.events import CallEvent
from chalicelib.domain.outcome import Outcome
from chalicelib.errors import RedialError
from chalicelib.providers.base import CallbackRequest, DialRequest, MalformedCallback, Now, SignatureError
from chalicelib.providers.cxml import EVIDENCE, NO_MATCH, Params, Vocabulary, read_event, verify
from chalicelib.providers.cxml_calls import RESOURCE_FIELDS, CxmlProvider, Refusals
from chalicelib.providers.forms import json_object, read_fields, scalars
from chalicelib.providers.http import Http
from chalicelib.providers.signing import matches_any, secrets_of, url_spellings, with_and_without_standard_port

SIGNATURE_HEADER = "X-SignalWire-Signature"
#: The header of the same signature under the name that programs for Twilio expect
ALIAS_HEADER = "X-Twilio-Signature"
#: hex(HMAC-SHA1) signs a body as its bytes. All other signatures are in base64, and sign the fields of the body.
_HEX_SIGNATURE = re.compile(r"[0-9a-f]{40}")

#: The outcome by error code, for the codes that are about the number called. This table and the three below follow
#: developer.signalwire.com/rest/compatibility-api/overview/error-codes; not every code means the same as at Twilio.
NUMBER_ERRORS = {
    "21211": Outcome.INVALID_NUMBER,
    "21217": Outcome.INVALID_NUMBER,  # "does not represent a valid phone number"
    "21219": Outcome.ERROR,  # a trial space calls verified numbers only; those it can still call
}

#: The error codes that blame the space, its project or its caller id, for every number
ACCOUNT_FAULTS = frozenset(
    {
        "4001",  # the balance does not cover the call
        "10001",  # the space is not enabled for the feature
        "10002",  # trial accounts lack the feature
        "10003",  # the API token's permissions are wrong
        "10004",  # no such subproject; at Twilio this is the limit of concurrent calls
        "20003",  # wrong project id or token
        "20010",  # the account is disabled
        "21210",  # From is not verified
        "21212",  # From is not in E.164
        "21213",  # From is missing
    }
)

#: The error codes of rate limits: a later retry works
LIMIT_ERRORS = frozenset(
    {
        "15002",  # the call waited in the queue until its time was over, and was never dialled
        "20429",  # too many requests
        "21611",  # the queue of calls is full; it holds 10,000, and by default one a second leaves it
    }
)

#: The errors of SignalWire's own, after which the phone may ring
INTERNAL_ERRORS = frozenset({"20001", "20504"})

WORDS = Vocabulary(
    vendor="signalwire",
    sip_field="SipResultCode",  # Twilio's is SipResponseCode
    number_errors=NUMBER_ERRORS,
    account_errors=ACCOUNT_FAULTS | LIMIT_ERRORS,
    evidence=(*EVIDENCE, "SipInviteResultPhrase"),
)


class SignalWire(CxmlProvider):
    """One SignalWire project.

    Credentials: ``space_url``, ``project_id``, ``api_token``, ``signing_key`` and, optionally, ``api_url``.

    ``space_url`` may be ``example.signalwire.com``, the same with ``https://``, or ``example``. SignalWire signs
    callbacks with ``signing_key``, which is not the API token. It may be two keys, separated by a comma, while one
    replaces the other.
    """

    name = "signalwire"
    required: ClassVar[tuple[str, ...]] = ("space_url", "project_id", "api_token", "signing_key")
    signature_headers = ((SIGNATURE_HEADER,), (ALIAS_HEADER,))
    calls_per_second = 1.0  # developer.signalwire.com: one a second by default, queued beyond
    words = WORDS
    refusals = Refusals(number=NUMBER_ERRORS, account=ACCOUNT_FAULTS, limits=LIMIT_ERRORS, ambiguous=INTERNAL_ERRORS)
    call_sid = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}")  # SignalWire's own are UUIDs
    resource_fields: ClassVar[Mapping[str, str]] = {**RESOURCE_FIELDS, "sip_result_code": "SipResultCode"}

    def __init__(self, credentials: Mapping[str, str], *, now: Now, http: Http | None = None) -> None:
        super().__init__(credentials, now=now, http=http)
        self._keys = secrets_of(credentials["signing_key"])
        if not self._keys:
            raise RedialError("SIGNALWIRE_SIGNING_KEY holds no key; expected one, or two separated by a comma")
        api_url = (credentials.get("api_url") or space_address(credentials["space_url"])).rstrip("/")
        self._calls_url = f"{api_url}/api/laml/2010-04-01/Accounts/{quote(self.account, safe='')}/Calls"

    @property
    def account(self) -> str:
        """The project id."""
        return self.credentials["project_id"]

    @property
    def calls_url(self) -> str:
        """The URL of the project's Calls resource."""
        return self._calls_url

    @property
    def login(self) -> tuple[str, str]:
        """The project id and the API token."""
        return self.account, self.credentials["api_token"]

    def call_form(self, request: DialRequest) -> list[tuple[str, str]]:
        """Return Twilio's fields without TimeLimit.

        SignalWire has no TimeLimit, so it does not limit the length of a call.
        """
        return [(name, value) for name, value in super().call_form(request) if name != "TimeLimit"]

    def verify(self, request: CallbackRequest) -> None:
        """Raise SignatureError unless SignalWire signed the request in one of its ways.

        A body of JSON is signed as hex(HMAC-SHA1(key, URL + body)), or by its fields like a form (PyPI signalwire
        2.1.1, request_validator.py). A form is signed as Twilio's, except for repeated names. A body whose SHA-256 is
        in the URL is signed through the URL.

        SignalWire's validator also accepts the signature of the URL alone for any body. Redial refuses that signature,
        because it would let somebody exchange the body (github.com/signalwire/signalwire-python,
        core/security/webhook_validator.py).
        """
        header = SIGNATURE_HEADER if request.header(SIGNATURE_HEADER) else ALIAS_HEADER
        given = request.header(header)
        if not given:
            raise SignatureError(f"{SIGNATURE_HEADER} is missing")
        if _HEX_SIGNATURE.fullmatch(given):
            if not matches_any(given, self._signatures_of_json(request)):
                raise SignatureError(f"{header} {NO_MATCH}")
            return
        verify(
            request,
            header=header,
            keys=self._keys,
            flatten=params_in_order,
            json_fields=flat_json,
            spellings=with_and_without_standard_port,
        )

    def _signatures_of_json(self, request: CallbackRequest) -> list[str]:
        try:
            urls = [each for url in url_spellings(request.url) for each in with_and_without_standard_port(url)]
        except ValueError:
            raise SignatureError("the URL's query is no UTF-8 form, so it cannot have been signed") from None
        texts = [url.encode("utf-8", "surrogatepass") + request.body for url in urls]
        return [hmac.new(key.encode(), text, hashlib.sha1).hexdigest() for key in self._keys for text in texts]

    def parse(self, request: CallbackRequest) -> list[CallEvent]:
        """Return the one event of a callback.

        Raises MalformedCallback if it names another project, or no call.
        """
        fields = read_fields(request)
        project = fields.get("AccountSid")
        if project and project.lower() != self.account.lower():
            raise MalformedCallback(f"AccountSid is {project[:40]!r}; expected {self.account!r}")
        return [read_event(fields, WORDS)]


def flat_json(body: bytes) -> Params | None:
    """Return the fields of a JSON object as a form has them.

    None if one is not a text or a number, because SignalWire does not sign such an object by its fields.
    """
    found = json_object(body)
    fields = scalars(found or {})
    return list(fields.items()) if found is not None and len(fields) == len(found) else None


def params_in_order(params: Params) -> str:
    """Return parameters as SignalWire signs them.

    They are sorted by name. A repeated name keeps all its values, in the order sent.
    """
    return "".join(f"{name}{value}" for name, value in sorted(params, key=lambda pair: pair[0]))


def space_address(space: str) -> str:
    """Return a space's API URL, from its URL, its host or its name."""
    host = space.strip().rstrip("/").removeprefix("https://")
    if "://" in host:
        return host
    return f"https://{host if '.' in host else f'{host}.signalwire.com'}"
