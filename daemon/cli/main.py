"""The command `kbd`: the table of commands, and the one place where errors become messages and exit codes."""

import io
import os
import sys
from collections.abc import Sequence
from typing import Final

import rich_click as click

from kbd.daemon.cli.errors import CommandFailed, failure_of
from kbd.daemon.cli.exit_codes import ExitCode
from kbd.daemon.cli.lazy_group import LazyGroup

COMMANDS: Final = {
    name: f"kbd.daemon.cli.commands.{name}"
    for name in (
        "demo",
        "init",
        "run",
        "submit",
        "wait",
        "status",
        "stats",
        "devices",
        "show",
        "compare",
        "report",
        "logs",
        "cancel",
        "retry",
        "rerun",
        "pause",
        "resume",
        "drain",
        "quarantine",
        "gc",
        "cache",
        "backends",
        "validate",
        "schema",
        "config",
        "health",
        "doctor",
        "completion",
    )
}
"""Every command and its module, in the order of `kbd --help`."""

EPILOG: Final = (
    "Exit codes: 0 fine, 1 a job did not pass, 2 usage, 3 not found, 4 no daemon, 5 timeout, 6 rejected."
)


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
)
@click.version_option(package_name="kbd", message="kbd %(version)s")
def kbd() -> None:
    """Drop a GPU kernel into a folder, get back a verdict you can trust.

    A spool is a folder: jobs go into its inbox, results appear in its outbox. A daemon (`kbd run`)
    takes the jobs, runs candidate and reference, compares and times them.

    New here? Try `kbd demo`.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code."""
    _survive_narrow_encodings()
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = kbd.main(arguments, prog_name="kbd", standalone_mode=False)
        sys.stdout.flush()
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has seen enough. What is left in the buffer must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except SystemExit as ended:
        # rich-click catches some broken pipes before us and ends with 1, which means something else here.
        if isinstance(ended.__context__, BrokenPipeError):
            return ExitCode.OK
        raise
    except click.ClickException as error:
        return _report(error)
    except Exception as error:  # noqa: BLE001 - a defect must not end with the exit code of a verdict
        failure = failure_of(error)
        return _report(failure) if failure is not None else _report_defect()
    return code if isinstance(code, int) else ExitCode.OK


def _report(error: click.ClickException) -> int:
    """Usage errors get their usage line; all others the message alone, as plain text."""
    if isinstance(error, click.UsageError):
        error.show()
    else:
        from kbd.daemon.cli.printable import printable

        click.echo(f"{_error_word()} {printable(error.format_message())}", err=True)
    return error.code if isinstance(error, CommandFailed) else error.exit_code


def _report_defect() -> int:
    import traceback

    traceback.print_exc()
    click.echo("kbd: this is a defect of kbd itself, not of your job; please report it.", err=True)
    return ExitCode.INTERNAL


def _error_word() -> str:
    return click.style("error:", fg="red", bold=True)


def _survive_narrow_encodings() -> None:
    """A terminal that cannot show a character gets a question mark, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


if __name__ == "__main__":
    main()
