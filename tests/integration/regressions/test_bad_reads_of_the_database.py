"""One read of the database that fails looks like damage to SQLite, whoever reads; no daemon ends for it."""

import json
import subprocess
import sys

import pytest

from kbd.inbox.spool import Spool
from tests.crash.ground import JOB

SCRIPT = """
import sys

from kbd.store.readers import JobReader
from kbd.store import jobs
from kbd.store.errors import StoreCorrupt
from kbd.store.jobs import JobStore
from tests.crash.quick_daemon import run

failed = set()


def once(verb):
    def fail(*arguments):
        if verb not in failed:
            failed.add(verb)
            raise StoreCorrupt("the database is damaged: database disk image is malformed")
        return verb(*arguments)

    return fail


JobReader.counts, jobs.job_table.count = once(JobReader.counts), once(jobs.job_table.count)
run(*sys.argv[1:])
assert len(failed) == 2, failed
"""


@pytest.mark.fault("the disk of the database fails for a moment")
def test_a_read_that_fails_once_ends_no_daemon(tmp_path):
    spool, state = Spool.create(tmp_path / "spool"), tmp_path / "state"
    (spool.inbox / "j.yaml").write_text(JOB)
    command = [sys.executable, "-c", SCRIPT, str(spool.root), str(state)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert json.loads((spool.outbox / "j.json").read_text())["status"] == "passed"
