"""What lies in the outbox under a job's name harms that job's result alone."""

import os

import pytest

from kbd.daemon.assembly import JobIdentity, refused
from kbd.outbox.report import ErrorReport
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage
from kbd.store.states import JobState


@pytest.mark.parametrize("make", ["folder", "fifo", "symlink", "large"])
def test_what_is_in_the_way_harms_its_own_job_alone(desk, queue, make):
    queue("a", "b")
    for name in ("a", "b"):
        desk.store.begin_attempt(name, "cpu0", JobState.COMPILING)
        error = ErrorReport(type="X", message="m")
        result = refused(
            JobIdentity(name, "a" * 64, 1, {}), EvaluationStatus.UNSUPPORTED, Blame.JOB, Stage.LOAD, error
        )
        desk.store.finish(name, JobState.COMPLETED, result.to_json(), "unsupported")
    place = desk.spool.outbox / "a.json"
    {
        "folder": place.mkdir,
        "fifo": lambda: os.mkfifo(place),
        "symlink": lambda: place.symlink_to("/dev/null"),
        "large": lambda: os.truncate(os.open(place, os.O_CREAT | os.O_WRONLY), 65 << 20),
    }[make]()
    desk.publishing.publish_owed()
    assert (desk.spool.outbox / "b.json").exists()
