"""The addresses that an unsigned provider calls back from.

The setting ``<PROVIDER>_ALLOWED_IPS`` lists them.
"""

import ipaddress

from chalicelib.errors import RedialError
from chalicelib.providers.base import CallbackRequest, SignatureError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Allowlist:
    """The allowed addresses and CIDR networks. An empty setting allows every address.

    Commas separate them.

    Without a list, only the unguessable token proves a callback: the token in its URL, or the token in the event. Do
    not believe a callback that has neither. Raises RedialError if the setting cannot be read.
    """

    def __init__(self, setting: str | None, variable: str) -> None:
        self.is_set = bool(setting)
        named = [text for each in (setting or "").split(",") if (text := each.strip())]
        try:
            self._networks = tuple(ipaddress.ip_network(text, strict=False) for text in named)
        except ValueError as error:
            raise RedialError(f"{variable}: {error}; expected addresses or CIDR networks, comma-separated") from None
        if self.is_set and not self._networks:
            raise RedialError(f"{variable} is {setting!r}; expected addresses or CIDR networks, comma-separated")

    def check(self, request: CallbackRequest) -> None:
        """Raise SignatureError unless the request came from a listed address.

        Accepts every request if no address is set.
        """
        if not self.is_set:
            return
        address = _address(request.source_ip)
        if address is None or not any(address in network for network in self._networks):
            raise SignatureError(f"{request.source_ip!r} is none of the addresses that may call back")


def _address(text: str | None) -> Address | None:
    try:
        address = ipaddress.ip_address(text or "")
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
