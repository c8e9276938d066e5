"""The reference of the command line, as `docs/cli.md` holds it: made from the commands, so it cannot drift.

python -m kbd.daemon.cli.reference > docs/cli.md
"""

from collections.abc import Iterator
from inspect import cleandoc

import click

from kbd.daemon.cli.exit_codes import ExitCode
from kbd.daemon.cli.main import COMMANDS, kbd

MEANINGS = {
    ExitCode.OK: "fine; for `submit --wait` and `wait`: every job passed",
    ExitCode.NOT_PASSED: "a job that was waited for did not pass; from `run`: the daemon cannot run; from "
    "`health`, `doctor`: something is wrong",
    ExitCode.USAGE: "the command line is wrong",
    ExitCode.NOT_FOUND: "no such job, or no such spool",
    ExitCode.NO_DAEMON: "no daemon works on the spool, so waiting or asking is useless",
    ExitCode.TIMEOUT: "the time given with `--timeout` is over",
    ExitCode.REJECTED: "something that was submitted is no valid job, or the daemon refused a request",
    ExitCode.INTERNAL: "a defect of kbd",
    ExitCode.UNUSABLE: "a file, a folder or the database cannot be used just now",
    ExitCode.INTERRUPTED: "interrupted (Ctrl-C)",
}


def reference() -> str:
    """The whole page, as Markdown."""
    return (
        "\n".join([*_head(), *(line for name in COMMANDS for line in _command(name)), *_exit_codes()]) + "\n"
    )


def _head() -> Iterator[str]:
    yield "# The command line"
    yield ""
    yield "Made by `python -m kbd.daemon.cli.reference`; a test compares the two."
    yield ""
    yield "Which spool and which state folder a command works on is told by `--spool` and `--state`, else by the"
    yield "environment variables `KBD_SPOOL` and `KBD_STATE`, else by the file of settings, else they lie in"
    yield "the user's data and state folders (on most systems `~/.local/share/kbd/spool` and `~/.local/state/kbd`)."


def _command(name: str) -> Iterator[str]:
    context = click.Context(kbd, info_name="kbd", **kbd.context_settings)
    command = kbd.get_command(context, name)
    if command is None:
        raise LookupError(name)
    yield from _described(command, click.Context(command, info_name=name, parent=context))


def _described(command: click.Command, own: click.Context) -> Iterator[str]:
    """A command, then those below it."""
    usage = f"{own.command_path} {' '.join(command.collect_usage_pieces(own))}"
    yield from ("", f"## {own.command_path}", "", "```text", usage, "```", "", cleandoc(command.help or ""))
    if not isinstance(command, click.Group):
        yield from ("", "| option | meaning |", "|---|---|")
        yield from _options(command, own)
        return
    for name in command.list_commands(own):
        inner = command.get_command(own, name)
        if inner is not None:
            yield from _described(inner, click.Context(inner, info_name=name, parent=own))


def _options(command: click.Command, own: click.Context) -> Iterator[str]:
    for parameter in command.get_params(own):
        record = parameter.get_help_record(own) if isinstance(parameter, click.Option) else None
        if record is not None:
            flags, meaning = (cell.replace("|", "\\|") for cell in record)
            yield f"| `{flags}` | {meaning} |"


def _exit_codes() -> Iterator[str]:
    yield from ("", "## Exit codes", "", "| code | meaning |", "|---|---|")
    for code in ExitCode:
        yield f"| {int(code)} | {MEANINGS[code]} |"


if __name__ == "__main__":
    click.echo(reference(), nl=False)
