"""Twilio Programmable Voice: signed status callbacks, calls through the REST API.

The version of the API is 2010-04-01.
"""

import re
from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import quote

from chalicelib.domain.events import CallEvent
from chalicelib.domain.outcome import Outcome
from chalicelib.errors import RedialError
from chalicelib.providers.base import CallbackRequest, MalformedCallback, Now, SignatureError
from chalicelib.providers.cxml import Vocabulary, read_event, verify
from chalicelib.providers.cxml_calls import CxmlProvider, Refusals
from chalicelib.providers.forms import read_fields
from chalicelib.providers.http import Http
from chalicelib.providers.signing import secrets_of

API_URL = "https://api.twilio.com"
SIGNATURE_HEADER = "X-Twilio-Signature"
#: The settings of the signature: ``key=<id>,algorithm=HMAC_SHA256``. The header is there if a Webhook Rule makes Twilio
#: sign with a SharedKey in place of the Auth Token (twilio.com/docs/usage/webhooks/webhook-shared-keys).
SETTINGS_HEADER = "X-Twilio-Webhooks-Signature-Settings"
#: The hash by algorithm, as in RequestValidator (github.com/twilio/twilio-python, request_validator.py)
ALGORITHMS = {"HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"}

#: The outcome by error code, for the codes that are about the number called. The code comes from the API's refusal of a
#: call, or from a callback about a failed call. Each code has its page: twilio.com/docs/api/errors/<code>
NUMBER_ERRORS = {
    "13223": Outcome.INVALID_NUMBER,  # invalid phone number format
    "13224": Outcome.FAILED,  # unsupported or invalid, but its page names a telecom outage as a cause too
    "13225": Outcome.DND,  # blocked by Twilio, as 21216
    "13226": Outcome.INVALID_NUMBER,  # no such country code
    "13227": Outcome.ERROR,  # geo permissions, as 21215
    "21211": Outcome.INVALID_NUMBER,
    "21214": Outcome.INVALID_NUMBER,  # "cannot be reached": no route (twilio.com/docs/iam/test-credentials)
    "21215": Outcome.ERROR,  # geo permissions lack this country; that must not stop the calls to other countries
    "21216": Outcome.DND,  # Twilio will not call it (fraud, regulation), so dialling again is useless
    "21217": Outcome.INVALID_NUMBER,
    "21219": Outcome.ERROR,  # a trial account calls verified numbers only; those it can still call
}

#: The error codes that blame the account, its credentials or its caller id, for every number. Until somebody repairs
#: the account, each dial would waste an attempt. The pages are the same.
ACCOUNT_FAULTS = frozenset(
    {
        "10001",  # account not active: no balance, or suspended
        "10002",  # trial accounts lack the feature
        "10005",  # voice calling disabled for the account
        "20003",  # permission denied: wrong SID or token
        "20005",  # account not active
        "20006",  # access denied
        "20008",  # test credentials used where live ones are needed
        "20403",  # forbidden
        "20404",  # no such account: the URL of a new call names nothing else
        "21210",  # From is not verified; the callee is not to blame, and the same holds for every other callee
        "21212",  # From is not valid
        "21213",  # From is missing
        "21606",  # From is not one of the account's numbers that can do this
    }
)

#: The error codes of rate and concurrency limits: Twilio never processed the call, and a later retry works
LIMIT_ERRORS = frozenset(
    {
        "10004",  # too many concurrent calls
        "20429",  # too many requests; "always safe to retry"
    }
)

WORDS = Vocabulary(
    vendor="twilio",
    sip_field="SipResponseCode",
    number_errors=NUMBER_ERRORS,
    account_errors=ACCOUNT_FAULTS | LIMIT_ERRORS,
)


class Twilio(CxmlProvider):
    """One Twilio account.

    Credentials: ``account_sid``, ``auth_token`` and, optionally, ``shared_key`` and ``api_url``.

    ``auth_token`` may be two tokens, separated by a comma: Redial accepts callbacks that are signed with either, and
    places calls with the first. ``shared_key`` is the secret of the SharedKey with which a Webhook Rule signs
    callbacks, or two secrets, separated by a comma, while one replaces the other.
    """

    name = "twilio"
    required: ClassVar[tuple[str, ...]] = ("account_sid", "auth_token")
    signature_headers = ((SIGNATURE_HEADER,),)
    calls_per_second = 1.0  # twilio.com/docs/voice/api/call-resource: one a second by default, queued beyond
    words = WORDS
    refusals = Refusals(number=NUMBER_ERRORS, account=ACCOUNT_FAULTS, limits=LIMIT_ERRORS)
    call_sid = re.compile(r"CA[0-9A-Za-z]{1,64}")  # Twilio's own are CA and 32 hex digits

    def __init__(self, credentials: Mapping[str, str], *, now: Now, http: Http | None = None) -> None:
        super().__init__(credentials, now=now, http=http)
        self._tokens = secrets_of(credentials["auth_token"])
        if not self._tokens:
            raise RedialError("TWILIO_AUTH_TOKEN holds no token; expected one, or two separated by a comma")
        self._shared_keys = secrets_of(credentials.get("shared_key") or "")
        api_url = (credentials.get("api_url") or API_URL).rstrip("/")
        self._calls_url = f"{api_url}/2010-04-01/Accounts/{quote(self.account, safe='')}/Calls"

    @property
    def account(self) -> str:
        """The account SID."""
        return self.credentials["account_sid"]

    @property
    def calls_url(self) -> str:
        """The URL of the account's Calls resource."""
        return self._calls_url

    @property
    def login(self) -> tuple[str, str]:
        """The account SID and the first Auth Token."""
        return self.account, self._tokens[0]

    def verify(self, request: CallbackRequest) -> None:
        """Raise SignatureError unless Twilio signed the request.

        The key is an Auth Token or a SharedKey; the algorithm is the one that the settings header names.
        """
        algorithm = signature_algorithm(request.header(SETTINGS_HEADER))
        digest = ALGORITHMS.get(algorithm)
        if digest is None:
            known = ", ".join(ALGORITHMS)
            raise SignatureError(f"{SETTINGS_HEADER} names the algorithm {algorithm[:40]!r}; expected one of {known}")
        keys = (*self._tokens, *self._shared_keys)
        verify(request, header=SIGNATURE_HEADER, keys=keys, digest=digest)

    def parse(self, request: CallbackRequest) -> list[CallEvent]:
        """Return the one event of a callback.

        Raises MalformedCallback if it names another account, or no call.
        """
        fields = read_fields(request)
        account = fields.get("AccountSid")
        if account and account != self.account:
            raise MalformedCallback(f"AccountSid is {account[:40]!r}; expected {self.account!r}")
        return [read_event(fields, WORDS)]


def signature_algorithm(settings: str | None) -> str:
    """Return the algorithm in the settings header; HMAC_SHA1 if it names none.

    HMAC_SHA1 is the algorithm of the Auth Token.
    """
    for part in (settings or "").split(","):
        name, _, value = part.partition("=")
        if name.strip() == "algorithm" and value.strip():
            return value.strip().upper()
    return "HMAC_SHA1"
