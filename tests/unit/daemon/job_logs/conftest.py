"""A thread that writes logs, and logs written by it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from kbd.daemon.job_logs.log_file import LogFile


class Writing:
    """Begins logs; `settle` returns when everything that was written is on the disk."""

    def __init__(self):
        self.thread = ThreadPoolExecutor(max_workers=1)
        self.troubles = []

    def begin(self, path):
        return LogFile(path, self.thread, self.troubles.append)

    def settle(self):
        self.thread.submit(int).result()


@pytest.fixture
def writing():
    writing = Writing()
    yield writing
    writing.thread.shutdown()


@pytest.fixture
def log_path(tmp_path):
    return tmp_path / "job" / "1" / "candidate.log"
