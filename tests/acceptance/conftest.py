"""The real `kbd`, as a user types it, each user with a home of their own."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
REPOSITORY = Path(__file__).parents[2]
COMMAND_LIMIT_S = 200


@dataclass
class User:
    """Somebody with a home folder, a spool in it, and nothing set."""

    home: Path
    environment: dict = field(default_factory=dict)

    def __post_init__(self):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("KBD_", "XDG_"))}
        self.environment = kept | {"HOME": str(self.home), "PATH": f"{BIN}:{os.environ['PATH']}"}

    @property
    def spool(self):
        return self.home / ".local/share/kbd/spool"

    @property
    def state(self):
        return self.home / ".local/state/kbd"

    def types(self, *arguments, code=0):
        """One command; it must end with `code`."""
        ended = subprocess.run(
            list(map(str, arguments)),
            cwd=self.home,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_LIMIT_S,
            check=False,
        )
        assert ended.returncode == code, (
            f"{arguments} ended with {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
        )
        return ended

    @contextmanager
    def starts(self, *arguments):
        """A command in another terminal; it is killed where it has not ended by then."""
        process = subprocess.Popen(
            list(map(str, arguments)), cwd=self.home, env=self.environment, stdout=subprocess.PIPE, text=True
        )
        with process:
            try:
                yield process
            finally:
                process.kill()

    def kbd(self, *arguments, code=0):
        return self.types("kbd", *arguments, code=code)

    def writes(self, name, text):
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    @contextmanager
    def daemon(self):
        """`kbd run` in another terminal, from when it is ready; it must stop cleanly when told to."""
        command = ["kbd", "run", "--device", "cpu"]
        with (self.home / "daemon-output").open("wb") as output:
            process = subprocess.Popen(
                command, cwd=self.home, env=self.environment, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            while "] ready" not in (said := (self.home / "daemon-output").read_text()):
                assert process.poll() is None, said
                time.sleep(0.1)
            self.kbd("health")
            yield process
        finally:
            process.terminate()
            assert process.wait(COMMAND_LIMIT_S) == 0, (self.home / "daemon-output").read_text()


@pytest.fixture
def user(tmp_path):
    return User(tmp_path)


@pytest.fixture(scope="session")
def make_user(tmp_path_factory):
    return lambda: User(tmp_path_factory.mktemp("user"))


@pytest.fixture(scope="session")
def settled(make_user):
    """Somebody whose daemon runs, for tests that only look at jobs of their own: the xdist group "settled"."""
    user = make_user()
    user.kbd("init")
    with user.daemon():
        yield user
