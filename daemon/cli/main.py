"""The command `kbd`: the table of commands, and the one place where errors become messages and exit codes."""

import io
import os
import sys
from collections.abc import Sequence
from typing import Final

import click

from kbd.daemon.cli.errors import CommandFailed, failure_of
from kbd.daemon.cli.exit_codes import ExitCode
from kbd.daemon.cli.lazy_group import LazyGroup, ReaderLeft

COMMANDS: Final = {
    "demo": "Judge five example jobs with a daemon of their own.",
    "init": "Create a spool, a file of settings and a unit for systemd.",
    "run": "Run the daemon: take jobs, judge them, publish results.",
    "submit": "Check jobs and put them into the inbox.",
    "wait": "Wait for jobs and print one verdict line for each.",
    "status": "Show the daemon, the queue and the latest jobs.",
    "stats": "Count jobs by verdict, kernel type, device and owner.",
    "devices": "Show what each device of the daemon is doing.",
    "show": "Show a job's result, or where the job is.",
    "compare": "Compare two results: verdicts, times, which is faster.",
    "report": "Write a report of jobs as one HTML file.",
    "logs": "Print what the kernels of a job and compilers wrote.",
    "cancel": "Cancel jobs, whether they wait or run.",
    "retry": "Judge finished jobs once more, on fresh inputs.",
    "rerun": "Judge a finished job once more, on the same inputs.",
    "pause": "Start no more jobs; what runs goes on to its end.",
    "resume": "Go on after `kbd pause`, or take `kbd drain` back.",
    "drain": "Finish all jobs that are queued, then end the daemon.",
    "quarantine": "Look at what could not be a job, and put it back.",
    "gc": "Remove what is old: published jobs, logs, compiled kernels.",
    "cache": "Show how many compiled kernels are kept, and of what use.",
    "backends": "List the kernel types, and what each lacks here.",
    "validate": "Check jobs and hand nothing in.",
    "schema": "Print the JSON Schema of a job, a result or a request.",
    "config": "Show and check the settings of the daemon.",
    "health": "Say whether the daemon is alive and takes jobs.",
    "doctor": "Look for what is wrong, and say what to do about it.",
    "completion": "Print what a shell needs to complete commands and ids.",
}
"""Every command and what it does, in the order of `kbd --help`, which imports none of them."""

EPILOG: Final = (
    "Exit codes: 0 fine, 1 a job did not pass, 2 usage, 3 not found, 4 no daemon, 5 timeout, 6 rejected."
)


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    package="kbd.daemon.cli.commands",
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
        code = kbd.main(arguments, prog_name="kbd", standalone_mode=False, color=_colour())
        sys.stdout.flush()
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except (BrokenPipeError, ReaderLeft):
        # Whoever read us has seen enough. What is left in the buffer must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except click.ClickException as error:
        return _report(error)
    except Exception as error:  # noqa: BLE001 - a defect must not end with the exit code of a verdict
        failure = failure_of(error)
        return _report(failure) if failure is not None else _report_defect()
    return code if isinstance(code, int) else ExitCode.OK


def _report(error: click.ClickException) -> int:
    """Usage errors get their usage line; all others the message alone, as plain text."""
    if isinstance(error, click.UsageError):
        context = error.ctx
        usage, advice = (
            ("", "")
            if context is None
            else (f"{context.get_usage()}\n", f"See: {context.command_path} --help\n")
        )
        _say(f"{usage}{_error_word()} {error.format_message()}\n{advice}")
    else:
        from kbd.daemon.cli.printable import printable

        _say(f"{_error_word()} {printable(error.format_message())}\n")
    return error.code if isinstance(error, CommandFailed) else error.exit_code


def _report_defect() -> int:
    import traceback

    traceback.print_exc()
    click.echo("kbd: this is a defect of kbd itself, not of your job; please report it.", err=True)
    return ExitCode.INTERNAL


def _say(text: str) -> None:
    click.echo(text, err=True, nl=False, color=_colour())


def _colour() -> bool | None:
    """Whether somebody wants colours or wants none, as rich understands it; None: terminals have them."""
    if os.environ.get("NO_COLOR"):
        return False
    return True if os.environ.get("FORCE_COLOR") else None


def _error_word() -> str:
    return click.style("error:", fg="red", bold=True)


def _survive_narrow_encodings() -> None:
    """A terminal that cannot show a character gets a question mark, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


if __name__ == "__main__":
    main()
