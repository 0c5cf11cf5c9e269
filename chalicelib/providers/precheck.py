"""The check of a callback before Redial reads any secret.

It refuses a callback without a signature, and a callback from an address that is not on the list.
"""

from collections.abc import Mapping

from chalicelib.providers.allowlist import Allowlist
from chalicelib.providers.base import CallbackRequest, Provider, SignatureError


def check_sender(provider: type[Provider], request: CallbackRequest, settings: Mapping[str, str]) -> None:
    """Raise SignatureError if the provider cannot have sent the request.

    The check needs no secret, so requests of strangers cost no read of Parameter Store or Secrets Manager. ``settings``
    are the provider's variables whose values stand in the environment itself, keyed like credentials.
    """
    if not provider.signs_callbacks:
        Allowlist(settings.get("allowed_ips"), f"{provider.name.upper()}_ALLOWED_IPS").check(request)
        return
    if any(all(request.header(name) for name in names) for names in provider.signature_headers):
        return
    wanted = " or ".join(" with ".join(names) for names in provider.signature_headers)
    hint = f"; {provider.signature_hint}" if provider.signature_hint else ""
    raise SignatureError(f"the callback has no signature: {wanted} is missing{hint}")
