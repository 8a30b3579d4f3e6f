"""The embedded AWS: starts the ministack emulator on loopback for as long as it is needed, and stops all of it.

EmulatorError
├── PortTaken            another program listens on the chosen port
├── StateFolderInUse     another emulator runs, or still saves, in the same folder
└── EmulatorNotStarted   the process ended or did not answer; its log says why
"""

import contextlib
import fcntl
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import boto3
import botocore.session
from botocore.config import Config

from infra.local.emulator_server import SAVE_SECONDS
from infra.local.packaging import PROJECT_ROOT

HOST = "127.0.0.1"
REGION = "us-east-1"

_KEY_ID = "test"  # the emulator takes it for its default account's root
_SECRET_KEY = "test"  # noqa: S105 - not a secret: the emulator's documented root credential
_START_SECONDS = 30
_LOCK_SECONDS = SAVE_SECONDS  # an emulator whose parent has died may still be saving
_POLL_SECONDS = 0.05
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH")


class EmulatorError(Exception):
    """The embedded AWS can't be used as asked; the message says what to do."""


class PortTaken(EmulatorError):
    """Starting again with the same port fails until that program ends."""

    def __init__(self, port: int) -> None:
        self.port = port
        super().__init__(f"Port {port} on {HOST} is taken by another program: stop it, or choose another port.")


class StateFolderInUse(EmulatorError):
    """Starting again succeeds once the other emulator has stopped."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        super().__init__(f"Another emulator runs in {state_dir}: stop it, or choose another folder.")


class EmulatorNotStarted(EmulatorError):
    """The process ended, or did not answer in time."""

    def __init__(self, log_path: Path, reason: str) -> None:
        self.log_path = log_path
        super().__init__(f"The emulator did not start: {reason}. Its log is {log_path}.")


class Emulator:
    """AWS on loopback, with its state in one folder; use it as a context manager.

    A later emulator in the same folder goes on with that state: tables, queues, stack, functions, routes, files. State
    is saved when the emulator stops, also because this process died, but not when the emulator itself is killed. What a
    stream's consumer had not read by then is lost.
    Without `port` the folder's last one is taken if it is free, else any free one. With `enforce_policies` every call
    is authorised, and functions may do only what their roles allow.
    """

    def __init__(self, state_dir: Path, port: int | None = None, *, enforce_policies: bool = False) -> None:
        self.state_dir = state_dir.resolve()
        self.log_path = self.state_dir / "ministack.log"
        self._wanted_port = port
        self._port = 0
        self._enforce_policies = enforce_policies
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port on loopback; 0 before the first start."""
        return self._port

    @property
    def process_id(self) -> int | None:
        """The server's process, whose process group holds the functions, too; None while it is not running."""
        return None if self._process is None else self._process.pid

    @property
    def endpoint_url(self) -> str:
        """Where every AWS service of this emulator answers."""
        return f"http://{HOST}:{self._port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point any AWS SDK in another process at this emulator, and at nothing else."""
        return {
            "AWS_ACCESS_KEY_ID": _KEY_ID,
            "AWS_SECRET_ACCESS_KEY": _SECRET_KEY,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": HOST,
            "no_proxy": HOST,
        }

    def client(self, service: str) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time; callers annotate
        """Return a boto3 client of this emulator: the caller's AWS profile, variables and proxies have no say."""
        session = botocore.session.Session(
            session_vars={
                "profile": (None, None, None, None),
                "config_file": (None, None, os.devnull, None),
                "credentials_file": (None, None, os.devnull, None),
            }
        )
        return boto3.Session(_KEY_ID, _SECRET_KEY, region_name=REGION, botocore_session=session).client(
            service,  # type: ignore[call-overload]  # the stubs know names, not a variable
            endpoint_url=self.endpoint_url,
            config=Config(
                proxies={}, retries={"mode": "standard", "total_max_attempts": 5}, s3={"addressing_style": "path"}
            ),
        )

    def start(self) -> None:
        """Return once the emulator answers. Raises PortTaken, StateFolderInUse or EmulatorNotStarted."""
        if self._process is not None:
            return
        self.state_dir.mkdir(parents=True, exist_ok=True)
        self._lock = _lock_folder(self.state_dir)
        try:
            last_port = self._last_port()
            self._port = self._choose_port(last_port)
            if last_port is not None:
                _mend_saved_state(self.state_dir / "state", last_port, self._port)
            self._launch(self._lock)
            self._wait_until_healthy()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Save the state and end every process of the emulator; does nothing if it is not running."""
        if self._process is not None:
            _end(self._process)
            self._process = None
        shutil.rmtree(self.state_dir / "tmp", ignore_errors=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _last_port(self) -> int | None:
        with contextlib.suppress(OSError, ValueError):
            return int((self.state_dir / "port").read_text())
        return None

    def _choose_port(self, last_port: int | None) -> int:
        if self._wanted_port is not None:
            if not _is_free(self._wanted_port):
                raise PortTaken(self._wanted_port)
            return self._wanted_port
        if last_port is not None and _is_free(last_port):
            return last_port
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            return int(probe.getsockname()[1])

    def _launch(self, lock: IO[str]) -> None:
        (self.state_dir / "port").write_text(str(self._port))
        temporary = self.state_dir / "tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "infra.local.emulator_server"],
                cwd=PROJECT_ROOT,  # where -m finds the module, whatever the caller's folder is
                env=self._server_environment(temporary),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C is for the parent, which then stops the emulator in order
                pass_fds=[lock.fileno()],  # the folder stays locked while the state is being saved
            )

    def _server_environment(self, temporary: Path) -> dict[str, str]:
        """Return a closed list: functions inherit it, and must see neither the caller's credentials nor its proxies."""
        return (
            {name: os.environ[name] for name in _INHERITED if name in os.environ}
            | self.environment
            | {
                "AUTH": str(self._enforce_policies).lower(),
                "BIND_HOST": HOST,
                "DOCKER_HOST": f"unix://{temporary / 'no-docker'}",
                "GATEWAY_PORT": str(self._port),
                "IOT_MTLS_ENABLED": "0",
                "LOG_LEVEL": "WARNING",
                "MINISTACK_HOST": HOST,
                "MINISTACK_REGION": REGION,
                "PERSIST_STATE": "1",
                "S3_DATA_DIR": str(self.state_dir / "s3"),
                "S3_PERSIST": "1",
                "STATE_DIR": str(self.state_dir / "state"),
                "TMPDIR": str(temporary),
            }
        )

    def _wait_until_healthy(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                raise EmulatorNotStarted(self.log_path, "the process ended")
            if _answers(self._port):
                return
            time.sleep(_POLL_SECONDS)
        raise EmulatorNotStarted(self.log_path, f"no answer within {_START_SECONDS} seconds")


def _mend_saved_state(saved: Path, last_port: int, port: int) -> None:
    """Make a saved state one that the emulator can go on with; it gets two things wrong by itself.

    Addresses of queues and routes hold the port. And positions in streams are saved but the streams are not, so that a
    mapping would skip as many new records as it had read old ones.
    """
    for name in ("apigateway.json", "cloudformation.json", "sqs.json"):
        file = saved / name
        if last_port != port and file.exists():
            file.write_text(file.read_text().replace(f"{HOST}:{last_port}", f"{HOST}:{port}"))
    functions = saved / "lambda.json"
    if functions.exists():
        state = json.loads(functions.read_text())
        state["payload"]["dynamodb_stream_positions"]["data"] = {}
        functions.write_text(json.dumps(state))


def _lock_folder(state_dir: Path) -> IO[str]:
    lock = (state_dir / "lock").open("w")
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                lock.close()
                raise StateFolderInUse(state_dir) from None
            time.sleep(_POLL_SECONDS)
        else:
            return lock


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()  # its signal to save and end
    try:
        process.wait(SAVE_SECONDS + 5)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", "/_ministack/health")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
