"""What the candidate launched in one call, for the result; it is what its runner says, and decides nothing."""

from __future__ import annotations

from collections.abc import Sequence

from kbd.daemon.executor.runner_protocol import LaunchSeen
from kbd.daemon.judge.runner_link import RunnerFailed
from kbd.daemon.judge.session import Finding, Session
from kbd.inbox.kernel_code import KernelCode
from kbd.inbox.kernel_source import embedded_cuda_kernels, triton_kernels
from kbd.outbox.performance import Launch

OTHERS_CHARS = 200


def note_launches(session: Session, finding: Finding) -> None:
    """Ask for the launches of one call; a custom kernel that is never launched is noted as a decoy.

    A candidate that cannot be watched is judged without, and a note says why. Raises RunnerTrouble where its
    runner is lost.
    """
    try:
        seen = session.candidate.launches()
    except RunnerFailed as error:
        failed = error.failed
        session.note(
            f"its launches are not listed: called once more, it raised {failed.type}: {failed.message}"
        )
        return
    finding.launches = tuple(Launch(**dict(launch)) for launch in seen)
    note = decoy_note(session.request.candidate, seen)
    if note is not None:
        session.note(note)


def decoy_note(kernel: KernelCode, seen: Sequence[LaunchSeen]) -> str | None:
    """What to say when a source defines kernels of its own and none of them ran."""
    source = kernel.source_code
    defined = (*triton_kernels(source), *embedded_cuda_kernels(source))
    if not defined or any(name in launch.kernel for launch in seen for name in defined):
        return None
    them = "it" if len(defined) == 1 else "them"
    what = f"decoy: the candidate defines {', '.join(defined)} and never launches {them}"
    others = ", ".join(dict.fromkeys(launch.kernel for launch in seen))
    return f"{what}; what ran: {others[:OTHERS_CHARS]}" if others else what
