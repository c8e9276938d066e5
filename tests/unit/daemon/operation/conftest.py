"""A service manager that listens."""

import socket

import pytest


class Manager:
    """Receives what sd_notify sends."""

    def __init__(self, path):
        self.address = str(path)
        self.ears = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ears.bind(self.address if not self.address.startswith("@") else f"\0{self.address[1:]}")
        self.ears.setblocking(False)

    def heard(self):
        """Every message since the last time."""
        found = []
        while True:
            try:
                found.append(self.ears.recv(4096).decode())
            except BlockingIOError:
                return found


@pytest.fixture
def manager_at():
    made = []

    def listen(address):
        made.append(Manager(address))
        return made[-1]

    yield listen
    for each in made:
        each.ears.close()


@pytest.fixture
def manager(manager_at, tmp_path):
    return manager_at(tmp_path / "notify")
