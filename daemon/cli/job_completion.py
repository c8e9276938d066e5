"""Ids of jobs, as a shell completes them: quick, and silent about whatever is wrong."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from kbd.daemon.cli.place import Place

LATEST: Final = 500
"""Among so many of the latest jobs; older ones have to be typed."""

Completer = Callable[[click.Context, click.Parameter, str], "list[CompletionItem]"]


def any_job(context: click.Context, _: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Every job, the latest first."""
    return _completed(context, incomplete, lambda final: True)


def unfinished_job(context: click.Context, _: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Jobs that have not ended."""
    return _completed(context, incomplete, lambda final: not final)


def finished_job(context: click.Context, _: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Jobs that have ended."""
    return _completed(context, incomplete, lambda final: final)


def _completed(
    context: click.Context, incomplete: str, wanted: Callable[[bool], bool]
) -> "list[CompletionItem]":
    from click.shell_completion import CompletionItem

    typed = context.params.get("job_ids") or ()
    try:
        jobs = dict(_jobs(_place(context)))
    except Exception:  # noqa: BLE001 - a message would end up in the line that somebody types
        return []
    return [
        CompletionItem(job_id, help=state)
        for job_id, (state, final) in jobs.items()
        if wanted(final) and job_id.startswith(incomplete) and job_id not in typed
    ]


def _place(context: click.Context) -> "Place":
    from kbd.daemon.cli.place import Place
    from kbd.daemon.config import locate

    typed = context.params
    config = typed.get("config")
    return Place.at(locate(typed.get("spool"), typed.get("state"), config=config), config)


def _jobs(place: "Place") -> Iterator[tuple[str, tuple[str, bool]]]:
    """Each id with its verdict or state, and whether it is final. What no database knows yet lies in the inbox."""
    from kbd.daemon.cli.known_jobs import inbox_jobs
    from kbd.inbox.names import job_name
    from kbd.inbox.spool import Spool
    from kbd.store.errors import StoreError
    from kbd.store.readers import JobReader
    from kbd.store.source import open_source
    from kbd.store.states import FINAL

    for path in inbox_jobs(Spool(place.spool_root)):
        if name := job_name(path.name):
            yield name, ("in the inbox", False)
    with contextlib.suppress(StoreError), open_source(place.state, place.database) as source:
        for job in JobReader(source).list(limit=LATEST):
            yield job.job_id, (job.status or job.state.value, job.state in FINAL)
