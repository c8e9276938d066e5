"""A fresh store for each test, copied from one that is migrated once.

Tests of a module with `DATABASES = ("sqlite", "postgresql")` are done with each of these.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from kbd.store.engine import migrate, open_writer
from kbd.store.jobs import JobStore
from kbd.store.location import SQLITE, database_path
from kbd.store.new_job import NewJob, RejectedJob
from kbd.store.readers import JobReader
from kbd.store.source import open_source


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    names = getattr(metafunc.module, "DATABASES", ())
    if "database" in metafunc.fixturenames and names:
        one_server = pytest.mark.xdist_group("postgresql")
        values = [pytest.param(name, marks=one_server if name != SQLITE else ()) for name in names]
        metafunc.parametrize("database", values, indirect=True)


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    """What `open_writer` is told."""
    if getattr(request, "param", SQLITE) == SQLITE:
        return SQLITE
    return str(request.getfixturevalue("clean_postgresql"))


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database without jobs, not open in any process."""
    state_dir = tmp_path_factory.mktemp("empty")
    engine = open_writer(state_dir)
    migrate(engine)
    engine.dispose()
    return database_path(state_dir)


@pytest.fixture
def state_dir(tmp_path: Path, empty_database: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    shutil.copy(empty_database, database_path(folder))
    return folder


@pytest.fixture
def engine(state_dir: Path, database: str) -> Iterator[Engine]:
    engine = open_writer(state_dir, database)
    yield engine
    engine.dispose()


@pytest.fixture
def store(engine: Engine) -> JobStore:
    """A store whose clock counts its own calls: 1, 2, 3, …"""
    ticks = iter(range(1, 1_000_000))
    return JobStore(engine, clock=lambda: float(next(ticks)))


@pytest.fixture
def reader(state_dir: Path, database: str) -> Iterator[JobReader]:
    with open_source(state_dir, database) as source:
        yield JobReader(source)


def new_job(job_id: str, **changes: Any) -> NewJob:
    values = {
        "job_id": job_id,
        "manifest_sha256": "a" * 64,
        "manifest_text": f'{{"id": "{job_id}"}}',
        "claimed_path": f"/spool/claimed/000001/{job_id}.yaml",
    }
    return NewJob(**values | changes)


@pytest.fixture
def make_job() -> Callable[..., NewJob]:
    return new_job


@pytest.fixture
def make_rejected() -> Callable[..., RejectedJob]:
    def build(job_id: str, **changes: Any) -> RejectedJob:
        values = {
            "job_id": job_id,
            "manifest_sha256": None,
            "result_text": "rejected",
            "error_message": "unknown field /candidat",
        }
        return RejectedJob(**values | changes)

    return build
