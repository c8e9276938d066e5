"""A spool and a state folder on which everything is in order, and faults to be planted there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kbd.daemon.cli.place import Place
from kbd.daemon.config import Settings
from kbd.daemon.doctor.check import Patient
from kbd.inbox.spool import Spool

REPOSITORY = Path(__file__).parents[4]


@pytest.fixture
def place(tmp_path):
    spool = Spool.create(tmp_path / "spool")
    state = tmp_path / "state"
    state.mkdir()
    return Place(spool.root, state, spool_named=True, flags={"spool": spool.root, "state": state})


@pytest.fixture
def spool(place):
    return place.spool()


@pytest.fixture
def patient(place):
    return Patient(place, Settings(place.spool_root, place.state))


@pytest.fixture
def mountinfo(tmp_path, patient):
    """A list of mounts with one more, on the spool or the state folder."""

    def write(what, fs_type, options):
        folder = getattr(patient.settings, what)
        path = tmp_path / "mountinfo"
        path.write_text(
            "20 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
            f"30 20 0:40 / {folder} rw,relatime shared:5 - {fs_type} server:/export {options}\n"
        )
        return path

    return write


@pytest.fixture
def in_namespaces(tmp_path):
    """Run Python as root of new user and mount namespaces, after some shell; skip where that is refused."""

    def run(shell, code):
        script = tmp_path / "inside.py"
        script.write_text(code)
        unshare = ["unshare", "--user", "--map-root-user", "--mount"]
        if subprocess.run([*unshare, "true"], capture_output=True).returncode != 0:
            pytest.skip("this host refuses user namespaces")
        ended = subprocess.run(
            [*unshare, "sh", "-ec", f"{shell}\nexec {sys.executable} {script}"],
            capture_output=True,
            text=True,
            env=os.environ,
            cwd=REPOSITORY,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    return run
