"""Running a compiler whose words are shown as they come and kept for the message about what is wrong."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any


def run_shown(
    command: Any, *, check: bool = False, limit_s: float | None = None, **options: Any
) -> subprocess.CompletedProcess[bytes]:
    """`subprocess.run` with both outputs in one pipe; each line is repeated on our own stdout at once.

    After `limit_s` it is killed with all that it has started. Raises CalledProcessError if asked to `check`, and
    OSError where there is no such program.
    """
    said: list[bytes] = []
    options |= {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, start_new_session=limit_s is not None, **options) as process:
        assert process.stdout is not None
        with _killed_after(process.pid, limit_s):
            for line in process.stdout:
                said.append(line)
                show(line.decode(errors="replace"))
    done = subprocess.CompletedProcess(process.args, process.returncode, b"".join(said))
    if check:
        done.check_returncode()
    return done


@contextlib.contextmanager
def _killed_after(group: int, limit_s: float | None) -> Iterator[None]:
    """Kill the process group if the block takes longer."""
    if limit_s is None:
        yield
        return
    timer = threading.Timer(limit_s, os.killpg, (group, signal.SIGKILL))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def show(text: str) -> None:
    """Print it, if stdout is still what it was: a user's module may have closed it."""
    with contextlib.suppress(OSError, ValueError):
        print(text, end="", flush=True)  # noqa: T201 - the daemon keeps what a compiler prints


def showing_subprocess() -> ModuleType:
    """The module `subprocess`, for code that collects both outputs in one pipe: they are shown as well."""
    module = ModuleType(subprocess.__name__)
    vars(module).update(vars(subprocess))
    vars(module)["run"] = _run
    return module


def _run(command: Any, **options: Any) -> subprocess.CompletedProcess[Any]:
    wanted = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    if {name: options.get(name) for name in wanted} != wanted or options.keys() & {
        "input",
        "timeout",
        "text",
    }:
        return subprocess.run(command, **options)
    return run_shown(command, **{name: value for name, value in options.items() if name not in wanted})
