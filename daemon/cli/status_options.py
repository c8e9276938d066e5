"""Which jobs `kbd status` is asked for: options that together make one filter."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import click

from kbd.daemon.cli.amounts import seconds_of
from kbd.store.states import JobState

if TYPE_CHECKING:
    from kbd.store.job_filter import JobFilter


def _key_and_value(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> tuple[str, str] | None:
    """A label: `key=value`."""
    if value is None:
        return None
    key, separator, text = value.partition("=")
    if not (key and separator):
        raise click.BadParameter(f"expected KEY=VALUE, found {value!r}")
    return key, text


since_option: Final = click.option(
    "--since",
    "since_s",
    callback=seconds_of,
    metavar="AGE",
    help="Jobs that came in the last 30s, 15m, 2h, 7d.",
)
"""Gives a command `since_s`, seconds or None."""


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options; it gets them as `wanted`, a JobFilter."""

    def with_filter(
        *arguments: Any,
        job_state: str | None,
        status: str | None,
        label: tuple[str, str] | None,
        owner: str | None,
        since_s: float | None,
        **others: Any,
    ) -> Any:
        return command(*arguments, wanted=_filter(job_state, status, label, owner, since_s), **others)

    with_filter.__doc__ = command.__doc__
    with_filter.__name__ = command.__name__
    for option in reversed(_options()):
        with_filter = option(with_filter)
    return with_filter


def _options() -> list[Callable[[Callable[..., Any]], Callable[..., Any]]]:
    states = [state.value for state in JobState]
    return [
        click.option(
            "--job-state",
            type=click.Choice(states),
            metavar="STATE",
            help=f"Jobs in this state: {', '.join(states[:-1])} or {states[-1]}.",
        ),
        click.option("--status", metavar="STATUS", help="Jobs with this verdict, such as passed or timeout."),
        click.option("--label", callback=_key_and_value, metavar="KEY=VALUE", help="Jobs with this label."),
        click.option("--owner", metavar="OWNER", help="Jobs from this owner's sub-folder of the inbox."),
        since_option,
    ]


def _filter(
    state: str | None,
    status: str | None,
    label: tuple[str, str] | None,
    owner: str | None,
    since_s: float | None,
) -> "JobFilter":
    from kbd.outbox.verdict import EvaluationStatus
    from kbd.store.job_filter import JobFilter

    known = [one.value for one in EvaluationStatus]
    if status is not None and status not in known:
        raise click.UsageError(f"--status {status}: expected one of {', '.join(known)}")
    return JobFilter(
        state=None if state is None else JobState(state),
        status=status,
        label=label,
        owner=owner,
        since=None if since_s is None else time.time() - since_s,
    )
