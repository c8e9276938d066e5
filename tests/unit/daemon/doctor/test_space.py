"""Disks that are nearly full."""

import dataclasses

from kbd.daemon.config import Limits
from kbd.daemon.doctor.check import State
from kbd.daemon.doctor.space import space

CODE = """
from pathlib import Path
from kbd.daemon.cli.place import Place
from kbd.daemon.config import Limits, Settings
from kbd.daemon.doctor.check import Patient
from kbd.daemon.doctor.space import space
disk = Path("/mnt")
settings = Settings(disk, disk, limits=Limits(min_free_bytes={floor}))
for check in space(Patient(Place(disk, disk, True), settings)):
    print(check.state, check.finding, check.cure)
"""


def test_enough(patient):
    assert [check.state for check in space(patient)] == [State.OK, State.OK]


def test_less_than_the_daemon_wants(patient):
    settings = dataclasses.replace(patient.settings, limits=Limits(min_free_bytes=1 << 60))
    checks = list(space(dataclasses.replace(patient, settings=settings)))
    assert [(check.name, check.state) for check in checks] == [
        ("disk of spool", State.FAIL),
        ("disk of state", State.FAIL),
    ]
    assert "nothing is claimed" in checks[0].finding
    assert "kbd cache --clear" in checks[1].cure


def test_a_disk_that_is_really_full(in_namespaces):
    fill = "mount -t tmpfs -o size=10m,nr_inodes=5000 none /mnt; head -c 9900k /dev/zero > /mnt/full"
    said = in_namespaces(fill, CODE.format(floor=0)).splitlines()
    assert said[0].startswith("warn ")
    assert "of 10.0 MiB free at /mnt" in said[0]
    assert in_namespaces(fill, CODE.format(floor=1 << 20)).startswith("fail ")


def test_a_disk_without_room_for_files(in_namespaces):
    said = in_namespaces("mount -t tmpfs -o size=10m,nr_inodes=50 none /mnt", CODE.format(floor=0))
    assert said.startswith("fail room for only ")
