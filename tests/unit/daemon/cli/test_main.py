"""The command itself: help, errors, exit codes, and what it does not import."""

import subprocess
import sys
from importlib import import_module

import pytest
import rich_click as click

from kbd.daemon.cli import main as main_module
from kbd.daemon.cli.errors import failure_of
from kbd.daemon.cli.exit_codes import ExitCode
from kbd.daemon.cli.main import COMMANDS, main
from kbd.inbox.errors import InboxError, InvalidJob, Problem
from kbd.inbox.spool import SpoolMissing
from kbd.outbox.errors import UnreadableResult
from kbd.store.errors import StoreMissing, StoreUnavailable

HEAVY = ("torch", "triton", "numpy", "sqlalchemy", "alembic", "pydantic", "structlog", "watchdog")

BLOCKED = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {heavy!r}:
            raise ModuleNotFoundError(f"{{name}} was imported")

sys.meta_path.insert(0, Absent())
from kbd.daemon.cli.main import main
main({arguments!r})
"""


def run_without(heavy, arguments):
    program = BLOCKED.format(heavy=set(heavy), arguments=list(map(str, arguments)))
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["status"], ["status", "--json"], ["status", "a"], ["init"]]
)
def test_quick_commands_import_nothing_heavy(place, has_queued, arguments):
    has_queued("a")
    flags = [] if arguments == ["--help"] else ["--spool", place.spool_root, "--state", place.state]
    ended = run_without(HEAVY, [*arguments, *flags])
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("arguments", [["submit"], ["wait", "a"], ["show", "a"], ["show", "a", "--json"]])
def test_clients_need_no_worker_packages(place, has_published, make_result, job_file, arguments):
    has_published(make_result("a"))
    files = [job_file("b.yaml")] if arguments == ["submit"] else []
    flags = ["--spool", place.spool_root, "--state", place.state]
    ended = run_without(("torch", "triton", "numpy", "sqlalchemy", "alembic"), [*arguments, *files, *flags])
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_what_the_table_says(kbd, name):
    command = import_module(COMMANDS[name]).command
    assert isinstance(command, click.RichCommand)
    assert command.name == name
    assert command.help
    ended = kbd(name, "--help")
    assert ended.code == 0
    assert f"kbd {name}" in ended.out


def test_every_option_is_explained():
    for name, module in COMMANDS.items():
        for parameter in import_module(module).command.params:
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
        (PermissionError(13, "Permission denied"), ExitCode.UNUSABLE),
        (InboxError("odd"), ExitCode.UNUSABLE),
        (InvalidJob([Problem("/a", "wrong")]), ExitCode.REJECTED),
    ],
)
def test_known_errors_become_messages(error, code):
    failure = failure_of(error)
    assert failure is not None
    assert failure.code is code
    assert failure.message == str(error)


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


def test_a_reader_that_leaves_early_is_no_error(place):
    """As in `kbd status | head -0`."""
    program = [sys.executable, "-m", "kbd.daemon.cli.main", "status", "--spool", str(place.spool_root)]
    process = subprocess.Popen(
        [*program, "--state", str(place.state)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
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
