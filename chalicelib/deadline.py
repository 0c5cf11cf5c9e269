"""Deadlines for sockets and DNS lookups that hold even if the other side is slow.

Times are values of ``time.monotonic``, in seconds.
"""

import queue
import socket
import threading
from time import monotonic


class Deadline:
    """A timer that shuts a socket down at a fixed time.

    A socket's own timeout is not enough: it starts again with every byte. Use a Deadline as a context manager around
    the work. ``over`` is True once the time has passed.
    """

    def __init__(self, at: float, raw: socket.socket) -> None:
        self.over = False
        self._raw = raw
        self._timer = threading.Timer(max(0.0, at - monotonic()), self._end)
        self._timer.daemon = True

    def watch(self, raw: socket.socket) -> None:
        """Watch this socket instead: the TLS socket that replaces a plain socket."""
        self._raw = raw

    def __enter__(self) -> "Deadline":
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _end(self) -> None:
        self.over = True
        try:
            # The shutdown ends the wait for a byte in another thread. The owner of the socket closes the socket.
            socket.socket.shutdown(self._raw, socket.SHUT_RDWR)
        except OSError:
            return


def addresses_by(at: float, host: str, port: int) -> list[str]:
    """Return the IP addresses of a host before the deadline ``at``.

    Raises OSError if the host has no address, and TimeoutError (an OSError) if the deadline passes first. The resolver
    of the operating system takes no time limit, so it runs in a thread. When the deadline passes, the thread keeps
    running and its result is ignored.
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
