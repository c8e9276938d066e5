"""A daemon that ends when all is done does not end while a result waits to be published once more."""

import subprocess
import sys

import pytest

from kbd.inbox.spool import Spool
from kbd.store.readers import JobReader
from kbd.store.sqlite_file import open_reader
from tests.crash.ground import JOB

SCRIPT = """
import asyncio
import sys

from kbd.inbox.intake import Intake
from tests.crash.quick_daemon import QuickExecutor, run

finish, judge, failed = Intake.finish, QuickExecutor.run, []


def fail_once(intake, path):
    if not failed:
        failed.append(path)
        raise PermissionError(13, "Permission denied")
    return finish(intake, path)


async def judge_slowly(*arguments, **options):
    await asyncio.sleep(0.7)  # meanwhile the daemon sees that nothing else is to do
    return await judge(*arguments, **options)


Intake.finish, QuickExecutor.run = fail_once, judge_slowly
run(*sys.argv[1:])
assert failed
"""


@pytest.mark.fault("a permission is denied for a moment")
def test_a_job_that_could_not_be_filed_is_filed_before_the_end(tmp_path):
    spool, state = Spool.create(tmp_path / "spool"), tmp_path / "state"
    (spool.inbox / "j.yaml").write_text(JOB)
    command = [sys.executable, "-c", SCRIPT, str(spool.root), str(state)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    with open_reader(state) as source:
        (row,) = JobReader(source).list()
    assert row.published
    assert list(spool.done.rglob("j.yaml"))
