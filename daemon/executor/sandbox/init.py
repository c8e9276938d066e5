"""PID 1 of a runner's namespaces: tiny, trusted, out of the runner's reach.

::

    DAEMON ◄──exit report── INIT (PID 1) ──fork──► RUNNER (PID 2)
       └──── SIGKILL ────────►│                      └─ whatever it starts
                              └─ its end is everybody's end: the kernel kills the namespace

It reaps what is orphaned, reports how the runner ended, and ends. It holds neither channel nor output, so no
read of the daemon's waits for it.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from typing import NoReturn

from kbd.daemon.executor.kernel_calls import die_with_parent, set_dumpable
from kbd.daemon.executor.sandbox.exit_report import report_end
from kbd.daemon.executor.sandbox.identity import renounce
from kbd.daemon.executor.sandbox.plan import Sandbox


def end_with_daemon(report: int) -> None:
    """Be killed with the daemon, also if it died before this was called: nobody reads the report then.

    The pid of a parent outside of the namespace reads as 0, so it cannot be compared.
    """
    die_with_parent()
    watched = select.poll()
    watched.register(report, 0)
    if any(events & select.POLLERR for _, events in watched.poll(0)):
        os._exit(1)


def supervise(sandbox: Sandbox, report: int, live_as_runner: Callable[[], NoReturn]) -> NoReturn:
    """Fork the runner, see it end, say how, and take the namespace along."""
    _forget_signal_handlers()
    set_dumpable(False)
    runner = os.fork()
    if runner == 0:
        live_as_runner()
    _let_go(report)
    renounce(sandbox)
    end_with_daemon(report)
    report_end(report, *_outlive(runner))
    os._exit(0)


def _forget_signal_handlers() -> None:
    """A signal from inside the namespace reaches PID 1 only where it has a handler: it must have none."""
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)


def _let_go(report: int) -> None:
    """Close every descriptor but the report; an end of a pipe kept open here would never read as closed."""
    os.dup2(report, 0, inheritable=False)
    os.closerange(1, 1 << 16)
    os.dup2(0, report, inheritable=False)


def _outlive(runner: int) -> tuple[int, int]:
    """Reap everything until the runner has ended; returns its wait status and the most bytes it had in memory."""
    while True:
        pid, status, usage = os.wait4(-1, 0)
        if pid == runner:
            return status, usage.ru_maxrss << 10
