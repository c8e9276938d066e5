"""Child processes as the daemon holds them: identity, exit, output, and an end that always comes.

The daemon is a child sub-reaper: whatever a runner leaves behind is adopted by it and found in `sweep`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from kbd.daemon.executor.process_tree import children_of
from kbd.daemon.executor.sandbox.cgroup import NO_CGROUP, Cgroup
from kbd.daemon.executor.sandbox.exit_report import read_report
from kbd.daemon.executor.sandbox.host_memory import processes_killed_for_memory
from kbd.daemon.executor.sandbox.refusal import LayerRefused

OUTPUT_KEPT_BYTES = 64 << 10
READ_BYTES = 1 << 16
FLOOD_BYTES = 64 << 20


@dataclass(frozen=True)
class ExitStatus:
    """How a process ended: an exit code, or the signal that killed it.

    `out_of_memory`: its cgroup said so. `host_ran_out`: the kernel has killed somebody for lack of memory since it
    was started. `peak_bytes`: the most it had in memory, where somebody looked.
    """

    code: int | None
    signal: int | None = None
    out_of_memory: bool = False
    host_ran_out: bool = field(default=False, compare=False)
    peak_bytes: int | None = field(default=None, compare=False)

    def __str__(self) -> str:
        if self.out_of_memory:
            return "killed because it used more host memory than it may"
        if self.signal is not None:
            return f"killed by {signal_name(self.signal)}"
        return f"exited with status {self.code}"


def signal_name(number: int) -> str:
    """`SIGSEGV` for 11."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class Log(Protocol):
    """Where output is written down as it comes; neither call may fail or wait."""

    def write(self, data: bytes, /) -> None:
        """Add to it."""

    def close(self) -> None:
        """Nothing more will come."""


class OutputTail:
    """Drains a pipe without pause and keeps its first and last bytes.

    `on_flood` is called when more has come than anybody can mean to print.
    """

    def __init__(self, descriptor: int, kept_bytes: int = OUTPUT_KEPT_BYTES) -> None:
        self.total = 0
        self.on_flood: Callable[[], None] | None = None
        self._descriptor = descriptor
        self._kept = kept_bytes
        self._head = bytearray()
        self._tail = bytearray()
        self._log: Log | None = None
        os.set_blocking(descriptor, False)
        asyncio.get_running_loop().add_reader(descriptor, self._drain)

    @property
    def flooded(self) -> bool:
        """Whether more was printed than is allowed."""
        return self.total > FLOOD_BYTES

    @property
    def truncated(self) -> bool:
        """Whether something in the middle was dropped."""
        return self.total > len(self._head) + len(self._tail)

    def text(self) -> str:
        """What is kept, with a line that says how much is not."""
        head = self._head.decode(errors="replace")
        tail = self._tail.decode(errors="replace")
        if not self.truncated:
            return head + tail
        dropped = self.total - len(self._head) - len(self._tail)
        return f"{head}\n… {dropped} bytes left out …\n{tail}"

    def record(self, log: Log) -> None:
        """Write down what has come and what will come. A spare is forked before anybody knows whose it will be."""
        log.write(bytes(self._head + self._tail))
        self._log = log
        if self._descriptor < 0:
            log.close()

    def start_over(self) -> None:
        """Take what is in the pipe, and forget it: what comes from now on is somebody else's."""
        self.drain()
        if self._log is not None:
            self._log.close()
            self._log = None
        self.total = 0
        self._head.clear()
        self._tail.clear()

    def close(self) -> None:
        """Take what is still in the pipe, then let it go."""
        self.drain()
        if self._descriptor >= 0:
            self._end()

    def drain(self) -> None:
        """Take what is in the pipe now."""
        if self._descriptor >= 0:
            self._drain()

    def _drain(self) -> None:
        # Bounded per wake-up: a flood from one runner must not keep the loop from everything else.
        for _ in range(16):
            try:
                chunk = os.read(self._descriptor, READ_BYTES)
            except BlockingIOError:
                return
            if not chunk:
                self._end()
                return
            self._keep(chunk)

    def _keep(self, chunk: bytes) -> None:
        self.total += len(chunk)
        if self._log is not None:
            self._log.write(chunk)
        if self.flooded and self.on_flood is not None:
            self.on_flood()
        room = self._kept - len(self._head)
        self._head += chunk[:room]
        self._tail += chunk[room:] if room > 0 else chunk
        del self._tail[: -self._kept]

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1
        if self._log is not None:
            self._log.close()


@dataclass
class ChildProcess:
    """A process that is a child of the daemon (adopted or started by it).

    In a sandbox it is PID 1 of the runner's namespaces: killing it kills them all. `report`: the pipe on which it
    says how the runner ended; its own status counts where nothing was said.
    """

    pid: int
    output: OutputTail | None = None
    folder: Path | None = None
    report: int | None = None
    cgroup: Cgroup = NO_CGROUP
    refused: LayerRefused | None = field(default=None, init=False)
    _ended: asyncio.Future[ExitStatus] = field(init=False)
    _pidfd: int = field(init=False)
    _killed_before: int = field(init=False)

    def __post_init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._ended = loop.create_future()
        self._pidfd = os.pidfd_open(self.pid)
        self._killed_before = processes_killed_for_memory()
        loop.add_reader(self._pidfd, self._reap)
        if self.output is not None:
            self.output.on_flood = self.send_kill

    @property
    def alive(self) -> bool:
        """Whether it has not been reaped yet."""
        return not self._ended.done()

    async def wait(self) -> ExitStatus:
        """Its exit status, once it has one."""
        return await asyncio.shield(self._ended)

    async def ended_within(self, seconds: float) -> ExitStatus | None:
        """Its exit status if it ends in time by itself, else None."""
        try:
            async with asyncio.timeout(seconds):
                return await self.wait()
        except TimeoutError:
            return None

    async def kill(self) -> ExitStatus:
        """Kill it and its process group; returns how it ended, by itself or by us."""
        self.send_kill()
        status = await self.wait()
        if self.output is not None:
            self.output.close()
        return status

    def send_kill(self) -> None:
        """Kill it and its process group, without waiting for the end."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _told(self) -> ExitStatus | None:
        """How the runner ended, by the report of PID 1."""
        if self.report is None:
            return None
        report = read_report(self.report)
        os.close(self.report)
        self.report, self.refused = None, report.refused
        return ExitStatus(report.code, report.signal, peak_bytes=report.peak_bytes) if report.ended else None

    def _reap(self) -> None:
        try:
            found = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED)
        except ChildProcessError:
            status = ExitStatus(None, signal.SIGKILL)
        else:
            assert found is not None
            exited = found.si_code == os.CLD_EXITED
            status = ExitStatus(found.si_status) if exited else ExitStatus(None, found.si_status)
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        status = replace(
            self._told() or status,
            out_of_memory=self.cgroup.ran_out_of_memory(),
            host_ran_out=processes_killed_for_memory() > self._killed_before,
        )
        self.cgroup.remove()
        self._ended.set_result(status)


def sweep(known: set[int], kill: Callable[[int, int], None] = os.kill) -> int:
    """Kill and reap adopted orphans, that is: children that nobody here knows. Returns how many.

    Repeats until none is left, because the children of a killed orphan are orphans in their turn.
    """
    swept = 0
    while orphans := children_of(os.getpid()) - known:
        for pid in orphans:
            with contextlib.suppress(ProcessLookupError):
                kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
            swept += 1
    return swept
