"""The spool: there or not, usable or not, and its clock."""

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kbd.daemon.doctor.check import State
from kbd.daemon.doctor.spool import clock, permissions, presence, quarantine

NOBODY = 65534
REPOSITORY = Path(__file__).parents[4]
CODE = """
from pathlib import Path
from kbd.daemon.cli.place import Place
from kbd.daemon.config import Settings
from kbd.daemon.doctor.check import Patient
from kbd.daemon.doctor.spool import permissions
spool, state = Path({!r}), Path({!r})
for check in permissions(Patient(Place(spool, state, True), Settings(spool, state))):
    print(check.state, check.finding, check.cure)
"""


def test_a_good_spool(patient):
    for look in (presence, permissions, clock, quarantine):
        assert [check.state for check in look(patient)] == [State.OK]


def test_no_spool(patient, spool):
    spool.sentinel.unlink()
    (check,) = presence(patient)
    assert (check.state, "mount the file system" in check.cure) == (State.FAIL, True)


def test_a_spool_that_lacks_folders(patient, spool):
    spool.answers.rmdir()
    (check,) = presence(patient)
    assert (check.state, check.finding.endswith("lacks answers")) == (State.FAIL, True)
    assert check.cure == f"kbd init --spool {spool.root}"


def test_commands_can_be_typed_as_they_are_told(patient, tmp_path):
    odd = tmp_path / "my spool"
    settings = dataclasses.replace(patient.settings, spool=odd)
    (check,) = presence(dataclasses.replace(patient, settings=settings))
    assert check.cure.endswith(f"kbd init --spool '{odd}'")


@pytest.mark.parametrize("what", ["state", "artifacts"])
def test_everybody_may_write_what_the_daemon_trusts(patient, what):
    folder = patient.settings.state if what == "state" else patient.settings.compilers.cache
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    (check,) = permissions(patient)
    assert (check.state, check.cure) == (State.FAIL, f"chmod o-w {folder}")


def test_everybody_may_cancel(patient, spool):
    spool.control.chmod(0o1777)
    (check,) = permissions(patient)
    assert (check.state, "cancel everybody's jobs" in check.finding) == (State.WARN, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_folders_that_the_daemon_may_not_use(patient, spool):
    for folder in (patient.place.spool_root.parent, *patient.place.spool_root.parents):
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o055)
        if folder.name.startswith("pytest-of-"):
            break
    start = f"import os\nimport kbd.daemon.doctor.spool\nos.setuid({NOBODY})\n"
    code = start + CODE.format(str(spool.root), str(patient.settings.state))
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import os\nimport sys\nimport kbd.daemon.doctor.spool\nos.setuid({NOBODY})\n{code}",
        ],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(f"fail this user (uid {NOBODY}) may not read and write {spool.inbox}, ")
    assert "chown" in ended.stdout


@pytest.mark.parametrize(("offset_s", "words"), [(-3600, "3600 s ahead of"), (90, "90 s behind")])
def test_clocks_that_differ(patient, spool, offset_s, words):
    """The file server dates a real file; only our own clock is the test's."""
    (check,) = clock(patient, lambda: time.time() + offset_s)
    assert (check.state, words in check.finding, "NTP" in check.cure) == (State.WARN, True, True)
    assert list(spool.outbox_tmp.iterdir()) == []


def test_deliveries_in_quarantine(patient, spool):
    for name in ("a.yaml", "b.yaml", "c.yaml", "d.yaml"):
        (spool.quarantine / name).touch()
        (spool.quarantine / f"{name}.reason.json").touch()
    (check,) = quarantine(patient)
    assert (check.state, check.finding) == (
        State.WARN,
        "4 deliveries could not be jobs: a.yaml, b.yaml, c.yaml, …",
    )
    for command in ("ls", "show NAME", "release NAME", "rm NAME"):
        assert f"kbd quarantine {command}" in check.cure
