"""The page of `kbd doctor`, in pipes and on terminals, and its document."""

import io

import pytest
from rich.console import Console

from kbd.daemon.cli.checks_page import print_as_json, print_as_text
from kbd.daemon.doctor.check import State, fail, ok, warn

CHECKS = (
    ok("settings", "no file, defaults and environment"),
    warn(
        "GPU driver",
        "NVML says: NVML Shared Library Not Found; kernels run on the CPU alone",
        "install the NVIDIA driver; in a container, start it with the NVIDIA Container Toolkit (--gpus all); "
        'or set device = "cpu" if none is wanted',
    ),
    fail("spool", "/data/spool lacks inbox, \x1b[2Jodd", "kbd init --spool /data/spool"),
    ok("quarantine", "empty"),
)


@pytest.mark.parametrize(("terminal", "name"), [(False, "doctor.txt"), (True, "doctor_on_a_terminal.txt")])
def test_as_it_looks(same_as_golden, terminal, name):
    file = io.StringIO()
    console = Console(
        file=file,
        force_terminal=terminal,
        color_system="standard" if terminal else None,
        width=80,
        highlight=False,
    )
    assert print_as_text(CHECKS, console) is State.FAIL
    same_as_golden(
        "".join(f"{line.rstrip(' ')}\n" for line in file.getvalue().replace("\x1b", "␛").splitlines()), name
    )


def test_for_programs(capsys, same_as_golden):
    assert print_as_json(CHECKS) is State.FAIL
    same_as_golden(capsys.readouterr().out, "doctor.json")


def test_nothing_to_look_at(capsys):
    assert print_as_json(()) is State.OK
