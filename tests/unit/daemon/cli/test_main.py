"""The command itself: help, errors, exit codes, and what it does not import."""

import os
import re
import subprocess
import sys
from importlib import import_module

import click
import pytest

from kbd.daemon.cli import main as main_module
from kbd.daemon.cli.errors import failure_of
from kbd.daemon.cli.exit_codes import ExitCode
from kbd.daemon.cli.help_page import PageCommand, PageGroup
from kbd.daemon.cli.main import COMMANDS, main
from kbd.inbox.errors import InboxError, InvalidJob, Problem
from kbd.inbox.spool import SpoolMissing
from kbd.outbox.errors import UnreadableResult
from kbd.store.errors import StoreMissing, StoreUnavailable

HEAVY = ("torch", "triton", "numpy", "sqlalchemy", "alembic", "pydantic", "structlog", "watchdog")
SLOW = (
    *HEAVY,
    "rich",
    "yaml",
    "filelock",
    "importlib.metadata",
    "asyncio",
    "logging",
    "difflib",
    "psycopg",
)
"""What takes a large part of the 0.3 s that `kbd --help` and `kbd status` may last; see benchmarks/start.py."""

BLOCKED = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if {{name, name.partition(".")[0]}} & {heavy!r}:
            raise ModuleNotFoundError(f"{{name}} was imported")

sys.meta_path.insert(0, Absent())
from kbd.daemon.cli.main import main
main({arguments!r})
"""


def module_of(name):
    return import_module(f"kbd.daemon.cli.commands.{name}")


def run_without(heavy, arguments, **environment):
    program = BLOCKED.format(heavy=set(heavy), arguments=list(map(str, arguments)))
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


@pytest.mark.parametrize(
    "arguments", [["--help"], ["status"], ["status", "--json"], ["status", "a"], ["init"]]
)
def test_quick_commands_import_nothing_slow(place, has_queued, arguments):
    has_queued("a")
    (place.spool_root / "status.json").write_text("{}")
    flags = [] if arguments == ["--help"] else ["--spool", place.spool_root, "--state", place.state]
    ended = run_without(SLOW, [*arguments, *flags])
    assert ended.returncode == 0, ended.stderr


def test_help_imports_no_command():
    ended = run_without([f"kbd.daemon.cli.commands.{name}" for name in COMMANDS], ["--help"])
    assert ended.returncode == 0, ended.stderr


def test_on_a_terminal_status_imports_nothing_slow_either(place, has_queued):
    has_queued("a")
    named = ["--spool", place.spool_root, "--state", place.state]
    ended = run_without(SLOW, ["status", *named], FORCE_COLOR="1")
    assert ended.returncode == 0, ended.stderr
    assert "\x1b[" in ended.stdout


@pytest.mark.parametrize("arguments", [["submit"], ["wait", "a"], ["show", "a"], ["show", "a", "--json"]])
def test_clients_need_no_worker_packages(place, has_published, make_result, job_file, arguments):
    has_published(make_result("a"))
    files = [job_file("b.yaml")] if arguments == ["submit"] else []
    flags = ["--spool", place.spool_root, "--state", place.state]
    ended = run_without(("torch", "triton", "numpy", "sqlalchemy", "alembic"), [*arguments, *files, *flags])
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_what_the_table_says(kbd, name):
    command = module_of(name).command
    assert isinstance(command, PageCommand | PageGroup)
    assert command.name == name
    assert command.help
    ended = kbd(name, "--help")
    assert ended.code == 0
    assert f"kbd {name}" in ended.out


def test_every_option_is_explained():
    for name in COMMANDS:
        for parameter in module_of(name).command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"kbd {name} {parameter.opts}"


def test_help_lists_all_commands_in_order(kbd):
    out = kbd("--help").out
    places = [out.index(f"│ {name}") for name in COMMANDS]
    assert places == sorted(places)


def test_version(kbd):
    assert kbd("--version").out.startswith("kbd 0.")


@pytest.mark.parametrize("arguments", [["bogus"], ["status", "--bogus"], ["run", "--device", "tpu"]])
def test_usage_errors(kbd, arguments):
    ended = kbd(*arguments)
    assert ended.code == ExitCode.USAGE
    assert "Usage: kbd" in ended.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SpoolMissing("no spool"), ExitCode.NOT_FOUND),
        (StoreMissing("no database"), ExitCode.NOT_FOUND),
        (StoreUnavailable("locked"), ExitCode.UNUSABLE),
        (UnreadableResult("newer"), ExitCode.UNUSABLE),
        (InboxError("odd"), ExitCode.UNUSABLE),
        (InvalidJob([Problem("/a", "wrong")]), ExitCode.REJECTED),
    ],
)
def test_known_errors_become_messages(error, code):
    failure = failure_of(error)
    assert failure is not None
    assert failure.code is code
    assert failure.message == str(error)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            PermissionError(13, "Permission denied", "/a"),
            f"/a: Permission denied. Work as .*uid {os.geteuid()}",
        ),
        (
            OSError(28, "No space left", b"/a\xff"),
            "/a\udcff: No space left. Make room .*kbd gc. See: kbd doctor",
        ),
        (OSError(30, "Read-only file system", "/a", None, "/b"), "/a → /b: .*can be written"),
        (OSError(5, "Input/output error"), r"Input/output error\. See: kbd doctor$"),
        (OSError(5, "Input/output error", 7), r"descriptor 7: Input/output error\. See"),
        (OSError("odd"), "odd$"),
    ],
)
def test_a_refusal_of_the_system_comes_with_advice(error, said):
    failure = failure_of(error)
    assert failure.code is ExitCode.UNUSABLE
    assert re.match(said, failure.message)


def test_what_is_not_known_is_a_defect():
    assert failure_of(KeyError("x")) is None


@pytest.fixture
def broken(monkeypatch):
    """Make the group raise something."""

    def raises(error):
        def fail(*_, **__):
            raise error

        monkeypatch.setattr(main_module.kbd, "main", fail)

    return raises


def test_a_defect_does_not_end_like_a_verdict(kbd, broken):
    broken(ZeroDivisionError("oops"))
    ended = kbd("status")
    assert ended.code == ExitCode.INTERNAL
    assert "ZeroDivisionError" in ended.err
    assert "defect of kbd" in ended.err


def test_an_error_message_is_neutral(kbd, broken):
    broken(OSError(2, "No such file", "a\x1b[2Jb"))
    assert "\x1b[2J" not in kbd("status").err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_ctrl_c(kbd, broken, error):
    broken(error)
    assert kbd("status").code == ExitCode.INTERRUPTED


@pytest.mark.parametrize("arguments", [["status"], ["--help"], ["--version"]])
def test_a_reader_that_leaves_early_is_no_error(place, arguments):
    """As in `kbd status | head -0`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "kbd.daemon.cli.main", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"KBD_SPOOL": str(place.spool_root), "KBD_STATE": str(place.state)},
    )
    assert process.stdout is not None
    process.stdout.close()
    _, said = process.communicate()
    assert (process.returncode, said) == (0, b"")


def test_a_terminal_that_knows_no_unicode(place, has_published, make_result, monkeypatch):
    has_published(make_result("a"))
    ended = subprocess.run(
        [sys.executable, "-m", "kbd.daemon.cli.main", "show", "a", "--spool", str(place.spool_root)],
        capture_output=True,
        env={"PYTHONIOENCODING": "ascii", "PATH": "", "HOME": str(place.state)},
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert b"a  passed" in ended.stdout


def test_main_takes_the_arguments_of_the_process(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["kbd", "--version"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("kbd ")
