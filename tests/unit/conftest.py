"""A PostgreSQL server of our own, where one is installed: a throw-away cluster on a unix socket."""

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg
import pytest

from kbd.store.engine import migrate, open_writer
from kbd.store.models import Base

ACCOUNT = "postgres"  # the server refuses to run as root
FAST = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "shared_buffers=16MB",
    "listen_addresses=",
)


@dataclass(frozen=True)
class PostgresqlServer:
    """Running until the end of the tests."""

    folder: Path
    programs: Path
    numbers: count

    def run(self, program, *arguments):
        """One of the server's programs, as the user that the server runs as."""
        command = [str(self.programs / program), *map(str, arguments)]
        if os.geteuid() == 0:
            command = ["runuser", "-u", ACCOUNT, "--", *command]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder)
        assert done.returncode == 0, done.stdout + done.stderr

    def url(self, name):
        return f"postgresql://{ACCOUNT}@/{name}?host={self.folder}"

    def new_database(self):
        """The URL of one that is empty."""
        name = f"t{next(self.numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)


def programs():
    """Where initdb and pg_ctl are; None where PostgreSQL is not installed."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = [folder for folder in folders if (folder / "initdb").exists()]
    if not found and (path := shutil.which("initdb")) is not None:
        found = [Path(path).resolve().parent]
    return found[0] if found else None


@pytest.fixture(scope="session")
def postgresql_server():
    """The server; tests that ask for it are skipped where there is none."""
    folder_of_programs = programs()
    if folder_of_programs is None:
        pytest.skip("PostgreSQL is not installed: expected initdb on PATH or in /usr/lib/postgresql/*/bin")
    folder = Path(tempfile.mkdtemp(prefix="kbd-pg-", dir="/tmp"))
    if os.geteuid() == 0:
        shutil.chown(folder, ACCOUNT)
    server = PostgresqlServer(folder, folder_of_programs, count())
    data, log = folder / "data", folder / "log"
    server.run(
        "initdb", "-D", data, "-A", "trust", "-U", ACCOUNT, "--no-sync", "--locale=C.UTF-8", "-E", "UTF8"
    )
    options = " ".join(f"-c {setting}" for setting in (*FAST, f"unix_socket_directories={folder}"))
    server.run("pg_ctl", "start", "-w", "-D", data, "-l", log, "-o", options)
    yield server
    server.run("pg_ctl", "stop", "-m", "immediate", "-D", data)
    shutil.rmtree(folder)


@pytest.fixture
def new_postgresql(postgresql_server):
    """The URL of an empty database."""
    return postgresql_server.new_database()


@pytest.fixture(scope="session")
def migrated_postgresql(postgresql_server):
    """The URL of a database with our tables."""
    url = postgresql_server.new_database()
    engine = open_writer(postgresql_server.folder, url)
    migrate(engine)
    engine.dispose()
    return url


@pytest.fixture
def clean_postgresql(migrated_postgresql):
    """The URL of a database with our tables and nothing in them."""
    with psycopg.connect(migrated_postgresql, autocommit=True) as connection:
        connection.execute(f"TRUNCATE {', '.join(Base.metadata.tables)} RESTART IDENTITY")
    return migrated_postgresql
