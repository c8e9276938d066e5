"""Following a job's output: in order, attempt after attempt, to the end."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from kbd.daemon.cli.job_output import JobOutput
from kbd.daemon.job_logs.archive import LogArchive
from kbd.daemon.job_logs.log_file import LogFile
from kbd.inbox.rhythm import Rhythm


class Job:
    """Does the next thing in its script whenever the follower pauses; it is over when nothing is left to do."""

    def __init__(self, state):
        self.archive = LogArchive(state)
        self.thread = ThreadPoolExecutor(max_workers=1)
        self.script = []
        self.logs = {}
        self.now = 0.0

    def writes(self, text, name="candidate", attempt=1):
        key = (attempt, name)

        def write():
            if key not in self.logs:
                path = self.archive.path("job", attempt, name)
                self.logs[key] = LogFile(path, self.thread, lambda error: pytest.fail(str(error)))
            self.logs[key].write(text.encode())

        self.script.append(write)

    def closes(self, name="candidate", attempt=1):
        self.script.append(lambda: self.logs[attempt, name].close())

    def pause(self, seconds):
        self.now += seconds
        if self.script:
            self.script.pop(0)()
            self.thread.submit(int).result()

    def followed(self, over_at_once=False):
        rhythm = Rhythm(clock=lambda: self.now, pause=self.pause)
        output = JobOutput(self.archive, "job", ("candidate", "reference"), rhythm)
        return [
            (piece.attempt, piece.name, piece.text)
            for piece in output.followed(lambda: over_at_once or not self.script)
        ]


@pytest.fixture
def job(tmp_path):
    job = Job(tmp_path)
    yield job
    job.thread.shutdown()


def test_pieces_come_as_they_are_written(job):
    job.writes("one")
    job.writes("two", "reference")
    job.writes("three")
    job.closes()
    job.closes("reference")
    assert job.followed() == [(1, "candidate", "one"), (1, "reference", "two"), (1, "candidate", "three")]


def test_the_next_attempt_is_followed_after_the_last_word_of_the_one_before(job):
    job.writes("first")
    job.writes("second", attempt=2)
    job.writes("last word")
    job.closes()
    job.closes(attempt=2)
    assert job.followed() == [
        (1, "candidate", "first"),
        (1, "candidate", "last word"),
        (2, "candidate", "second"),
    ]


def test_a_verdict_may_come_before_the_last_word(job):
    job.writes("one")
    job.writes("after the verdict")
    job.closes()
    job.pause(0.0)
    assert job.followed(over_at_once=True) == [
        (1, "candidate", "one"),
        (1, "candidate", "after the verdict"),
    ]
