"""What `kbd wait` and `kbd submit --wait` have in common: verdict lines as they come, and the exit code."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from rich.text import Text

from kbd.daemon.cli.awaiting import JobsLost, NobodyWorks, ResultWait, TimeIsUp
from kbd.daemon.cli.errors import CommandFailed
from kbd.daemon.cli.exit_codes import ExitCode
from kbd.daemon.cli.later_deliveries import say_later_than
from kbd.daemon.cli.lost_jobs import lost_ids, lost_jobs
from kbd.daemon.cli.place import Place
from kbd.daemon.cli.presence import DaemonWatch
from kbd.daemon.cli.terminal import messages, results
from kbd.daemon.cli.verdict_line import verdict_line
from kbd.daemon.cli.wording import counted, seconds

if TYPE_CHECKING:
    from kbd.outbox.result import JobResult

_SHOWN_IDS = 5


def print_verdicts(
    place: Place,
    job_ids: Sequence[str],
    *,
    timeout_s: float | None,
    digests: Mapping[str, str] | None = None,
) -> ExitCode:
    """Wait for the jobs and print a line for each as its result appears.

    Args:
        place: whose outbox.
        job_ids: the jobs.
        timeout_s: how long at most.
        digests: for jobs just submitted, what their results must say they are of: a result of other bytes
            under the same id is that of an earlier job, and the submitted one was quarantined.

    Raises:
        CommandFailed: no daemon, nothing has such an id any more, or time is up.
    """
    wait = ResultWait(
        place.spool(),
        job_ids,
        DaemonWatch(place),
        timeout_s=timeout_s,
        find_lost=partial(lost_ids, place),
    )
    output, columns = results(), max(map(len, job_ids))
    seen: list[JobResult] = []
    try:
        with _progress(wait, len(set(job_ids))) as aside:
            for result in wait.results():
                seen.append(result)
                with aside():
                    output.print(verdict_line(result, id_columns=columns), soft_wrap=True)
    except NobodyWorks as ended:
        raise no_daemon(place, ended.missing) from ended
    except JobsLost as ended:
        raise lost_jobs(place, ended.missing) from ended
    except TimeIsUp as ended:
        raise _timed_out(ended.missing, timeout_s) from ended
    _require_same_jobs(seen, digests or {})
    if digests is None:
        say_later_than(place, seen)
    return exit_code_of(seen)


def exit_code_of(results_seen: "Iterable[JobResult]") -> ExitCode:
    """0 if all passed; 6 if one was no job; else 1."""
    from kbd.outbox.verdict import EvaluationStatus

    statuses = {result.status for result in results_seen}
    if EvaluationStatus.INVALID_JOB in statuses:
        return ExitCode.REJECTED
    return ExitCode.NOT_PASSED if statuses - {EvaluationStatus.PASSED} else ExitCode.OK


def no_daemon(place: Place, job_ids: Sequence[str]) -> CommandFailed:
    """Nobody will judge these jobs: what to do about it."""
    return CommandFailed(
        f"no daemon works on {place.spool_root}, so there is no result of {_named(job_ids)}. "
        f"The jobs are safe there; start a daemon and they are judged: kbd run{place.spool_flag}",
        ExitCode.NO_DAEMON,
    )


def _timed_out(job_ids: Sequence[str], timeout_s: float | None) -> CommandFailed:
    return CommandFailed(
        f"no result of {_named(job_ids)} within {seconds(timeout_s or 0)}. "
        f"The daemon goes on; see where it is: kbd status {' '.join(job_ids[:_SHOWN_IDS])}",
        ExitCode.TIMEOUT,
    )


def _named(job_ids: Sequence[str]) -> str:
    shown = ", ".join(job_ids[:_SHOWN_IDS])
    rest = len(job_ids) - _SHOWN_IDS
    return f"{shown} and {counted(rest, 'other job')}" if rest > 0 else shown


def _require_same_jobs(seen: "Iterable[JobResult]", digests: Mapping[str, str]) -> None:
    others = [
        result.job_id
        for result in seen
        if result.manifest_sha256 is not None
        and result.manifest_sha256 != digests.get(result.job_id, result.manifest_sha256)
    ]
    if others:
        raise CommandFailed(
            f"the result of {_named(others)} is that of another job, delivered under the same id at the same time; "
            "yours lies in quarantine. Submit it under another id.",
            ExitCode.REJECTED,
        )


@contextmanager
def _progress(wait: ResultWait, total: int) -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """A line below the verdicts that says how many are missing, for people only. It steps aside for verdicts."""
    said = messages()
    if not (said.is_terminal and sys.stdout.isatty()):
        yield nullcontext
        return
    with said.status("") as status:

        def show() -> None:
            status.update(
                Text(f"waiting for {_named(wait.missing)} ({total - len(wait.missing)} of {total} done)")
            )

        @contextmanager
        def aside() -> Iterator[None]:
            status.stop()
            yield
            if wait.missing:
                show()
                status.start()

        show()
        yield aside
