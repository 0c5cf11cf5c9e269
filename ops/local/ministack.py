"""AWS on 127.0.0.1: ministack as a child process, with its Lambdas."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from urllib.request import urlopen

import boto3
from botocore.config import Config

from chalicelib.errors import RedialError
from ops.local.ministack_server import KEPT_ITEMS

HOST = "127.0.0.1"
REGION = "us-east-1"
START_SECONDS = 30
STOP_SECONDS = 10
SERVER = "ops.local.ministack_server"
# The variables of this process that ministack may see. The Lambdas inherit them, and must not find the user's own keys
# there.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH")


class LocalError(RedialError):
    """A local stack that did not start, or that lost one of its parts."""


class Ministack:
    """A running ministack: ``with Ministack(directory) as aws: aws.client("s3")``.

    It logs to ``directory/ministack.log``. ``server`` is the module that runs it; a test can pass one with more
    extensions. ``port`` 0 takes any free port. ``items`` is the file that keeps the items of the tables between runs;
    without it they are lost.
    """

    def __init__(self, directory: Path, server: str = SERVER, *, port: int = 0, items: Path | None = None) -> None:
        self._server = server
        self._items = items
        self.log = directory / "ministack.log"
        self.port = port or free_port()
        self.url = f"http://{HOST}:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._temporary: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which a program uses this ministack as AWS."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
        }

    def client(self, service: str) -> Any:
        """Return a boto3 client of this ministack."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 - ministack takes any
            config=Config(retries={"total_max_attempts": 2}, s3={"addressing_style": "path"}),
        )

    def __enter__(self) -> Self:
        """Start ministack.

        Raises LocalError, with the end of the log, if it does not start.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._temporary = Path(tempfile.mkdtemp(prefix="redial-ministack-"))
        # Make a new file and do not empty the old one: another stack may still write to it.
        self.log.unlink(missing_ok=True)
        with self.log.open("wb") as log:
            self._process = self._spawn(log)
        try:
            wait_until(self._healthy, START_SECONDS, lambda: self.failure("did not come up"))
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def check(self) -> None:
        """Raise LocalError if ministack has died."""
        if self._process is None or self._process.poll() is not None:
            raise self.failure("died")

    def stop(self) -> None:
        """End ministack and every process that it started. A second call does nothing."""
        process, self._process = self._process, None
        if process is not None:
            # Ministack ends when its stdin closes (see ministack_server). A process that ignores this is killed.
            with suppress(BrokenPipeError):
                process.stdin and process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def failure(self, what: str) -> LocalError:
        """Return an error that ends with the last lines of the log."""
        lines = self.log.read_text(errors="replace").splitlines()[-15:]
        return LocalError(f"ministack {what}; the end of {self.log}:\n  " + "\n  ".join(lines))

    def _spawn(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        environment |= {
            "BIND_HOST": HOST,
            "MINISTACK_HOST": HOST,
            "GATEWAY_PORT": str(self.port),
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            # Ministack would look for its own containers and remove them.
            "DOCKER_HOST": "unix:///nonexistent",
            "TMPDIR": str(self._temporary),
            "STATE_DIR": str(self._temporary),
            "S3_DATA_DIR": str(self._temporary),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }
        if self._items:
            environment[KEPT_ITEMS] = str(self._items)
        return subprocess.Popen(
            [sys.executable, "-m", self._server],
            cwd=self._temporary,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _healthy(self) -> bool:
        self.check()
        try:
            with urlopen(f"{self.url}/_ministack/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int) -> None:
    """Wait until the last stack has released its port.

    Raises LocalError if another program uses the port.
    """

    def is_free() -> bool:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind((HOST, port))
                return True
        return False

    taken = f"port {port}, which this stack had before, is taken: stop what uses it, or start empty: make run FRESH=1"
    wait_until(is_free, STOP_SECONDS, lambda: LocalError(taken))


def wait_until(ready: Callable[[], bool], seconds: float, failure: Callable[[], LocalError]) -> None:
    """Call ``ready`` until it returns True.

    Raises ``failure()`` after ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise failure()
        time.sleep(0.05)
