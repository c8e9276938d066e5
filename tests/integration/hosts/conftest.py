"""One folder as several hosts see it: mounted more than once through FUSE, each mount with a memory of its own.

What is done through one mount raises no event in another, and for some seconds the other believes what it saw last:
names that are gone, names that were not there, sizes. NFS does the same.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

MEMORY_S = 3
LIMIT_S = 100


class NoMount(Exception):
    """This host mounts nothing for us; the text says why."""


class Mount:
    """A folder mounted once more. Its server can hang, and it can be unmounted and mounted again."""

    def __init__(self, folder, point):
        if shutil.which("bindfs") is None:
            raise NoMount("bindfs is not installed")
        self.folder = folder
        self.point = point
        point.mkdir()
        self.mount()

    def mount(self):
        memory = ",".join(f"{name}_timeout={MEMORY_S}" for name in ("attr", "entry", "negative"))
        command = ["bindfs", "-f", "-o", memory, self.folder, self.point]
        self.server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        while not self.point.is_mount():
            if self.server.poll() is not None:
                raise NoMount(f"bindfs: {self.server.communicate()[0].decode().strip()}")
            time.sleep(0.02)

    def hang(self):
        self.server.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.server.send_signal(signal.SIGCONT)

    def unmount(self):
        """At once; whoever waits for the server gets an error."""
        unmount = ["umount", "-l"] if os.geteuid() == 0 else ["fusermount", "-u", "-z"]
        subprocess.run([*unmount, self.point], check=True)
        self.server.kill()
        self.server.communicate(timeout=LIMIT_S)


@pytest.fixture(scope="session")
def mount_or_not(tmp_path_factory):
    """Mount a folder once more; raises NoMount where that cannot be."""
    made = []

    def make(folder):
        made.append(Mount(folder, tmp_path_factory.mktemp("mount") / "point"))
        return made[-1]

    yield make
    for each in made:
        each.unmount()


@pytest.fixture(scope="session")
def make_mount(mount_or_not):
    """Mount a folder once more; the test is skipped where that cannot be."""

    def make(folder):
        try:
            return mount_or_not(folder)
        except NoMount as error:
            pytest.skip(str(error))

    return make


@pytest.fixture(scope="session")
def seen_by_another_host(mount_or_not):
    """A folder mounted once more; the folder itself where that cannot be."""

    def make(folder):
        try:
            return mount_or_not(folder).point
        except NoMount:
            return folder

    return make


@dataclass(frozen=True)
class Client:
    """A host that has the spool, and a state folder of its own."""

    spool: Path
    state: Path

    def kbd(self, command, *arguments):
        named = ["--spool", str(self.spool), "--state", str(self.state)]
        said = subprocess.run(
            [sys.executable, "-m", "kbd.daemon.cli.main", command, *arguments, *named],
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        return said.returncode, said.stdout + said.stderr


@pytest.fixture(scope="session")
def make_client(tmp_path_factory):
    """A host whose state folder no daemon has ever used."""
    return lambda spool: Client(spool, tmp_path_factory.mktemp("client"))
