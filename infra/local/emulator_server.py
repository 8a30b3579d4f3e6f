"""The emulator's own process: serves until its parent is gone, then saves its state and leaves nothing running.

Run as `python -m infra.local.emulator_server` with a pipe as standard input that the parent keeps open. The pipe ends
however the parent ends, also by SIGKILL, so no parent has to tidy up for this process to go away.
"""

import contextlib
import os
import runpy
import signal
import sys
import threading
import time

SAVE_SECONDS = 15
"""How long saving may take after the parent is gone. Then the process group is killed."""


def main() -> None:
    """Serve until standard input ends. The caller must have put this process into a session of its own."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        with contextlib.suppress(SystemExit):
            runpy.run_module("ministack", run_name="__main__", alter_sys=True)
    finally:
        _end_workers()


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(SAVE_SECONDS)
    os.killpg(0, signal.SIGKILL)


def _end_workers() -> None:
    """Functions run as children in this process's group; a handler that is busy would outlive it."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with contextlib.suppress(ChildProcessError):  # no child is left
        while True:
            os.killpg(0, signal.SIGTERM)
            os.waitpid(-1, 0)


if __name__ == "__main__":
    main()
