"""Ends what a socket waits for at a fixed time, however slowly the other side sends."""

import queue
import socket
import threading
from time import monotonic


class Deadline:
    """Shuts a socket down at a time. A socket's own timeout is not enough: it starts again with every byte.

    Used as a context manager around the work. ``over`` is True once the time has passed.
    """

    def __init__(self, at: float, raw: socket.socket) -> None:
        self.over = False
        self._raw = raw
        self._timer = threading.Timer(max(0.0, at - monotonic()), self._end)
        self._timer.daemon = True

    def watch(self, raw: socket.socket) -> None:
        """Watch this socket from now on: the TLS one that replaces a plain one."""
        self._raw = raw

    def __enter__(self) -> "Deadline":
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _end(self) -> None:
        self.over = True
        try:
            # Wakes the thread that waits for a byte; the owner of the socket closes it.
            socket.socket.shutdown(self._raw, socket.SHUT_RDWR)
        except OSError:
            return


def addresses_by(at: float, host: str, port: int) -> list[str]:
    """Return the IP addresses of a host, or raise OSError, at the latest at that time of ``monotonic``.

    The system's resolver takes no time limit, so it works in a thread that is left behind when the time is over.
    """
    found: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def resolve() -> None:
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.put(list(dict.fromkeys(str(info[4][0]) for info in infos)))
        except OSError as error:
            found.put(error)
        except UnicodeError as error:
            found.put(OSError(f"not a host name: {error.__class__.__name__}"))

    threading.Thread(target=resolve, daemon=True).start()
    try:
        result = found.get(timeout=max(0.0, at - monotonic()))
    except queue.Empty:
        raise TimeoutError("the name was not resolved in time") from None
    if isinstance(result, OSError):
        raise result
    return result
