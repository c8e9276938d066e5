"""inotify used up, really: in a user namespace with limits of its own."""

import pytest

from kbd.daemon.doctor.check import State
from kbd.daemon.doctor.inotify import inotify

CODE = """
from pathlib import Path
from kbd.daemon.cli.place import Place
from kbd.daemon.config import Settings
from kbd.daemon.doctor.check import Patient
from kbd.daemon.doctor.inotify import inotify
spool = Path({!r})
for check in inotify(Patient(Place(spool, spool, True), Settings(spool, spool))):
    print(check.state, check.finding, check.cure)
"""


def test_all_is_well(patient):
    (check,) = inotify(patient)
    assert check.state is State.OK


@pytest.mark.parametrize("what", ["instances", "watches"])
def test_a_limit_that_is_reached(patient, in_namespaces, what):
    said = in_namespaces(
        f"echo 0 > /proc/sys/user/max_inotify_{what}", CODE.format(str(patient.settings.spool))
    )
    assert said.startswith(f"warn the limit of {what} of this user is reached (fs.inotify.max_user_{what} = ")
    assert f"sysctl fs.inotify.max_user_{what}=" in said


def test_without_an_inbox_there_is_nothing_to_watch(patient):
    patient.settings.spool.rename(patient.settings.spool.with_name("gone"))
    assert list(inotify(patient)) == []
