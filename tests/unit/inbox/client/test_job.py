import asyncio
import errno
import os
import subprocess
import sys
import textwrap
from concurrent.futures import FIRST_COMPLETED

import pytest

from kbd.inbox.client import Client, UnreadableResult, as_completed, result_watch, wait
from kbd.inbox.client.client import Job

LIMIT_S = 60
MANY = 1000


@pytest.fixture
def client(spool):
    with Client(spool.root) as made:
        yield made


def test_a_wait_that_is_too_short(client, publisher):
    waiting = client.job("a")
    with pytest.raises(TimeoutError, match=r"no result of a within 0\.01 s"):
        waiting.result(0.01)
    publisher.publish("a")
    assert waiting.result(LIMIT_S).passed


def test_what_is_no_result(client, publisher):
    for job_id, text in {"a": "{", "b": "[]", "c": '{"job_id": "c"}'}.items():
        publisher.publish_text(job_id, text)
        with pytest.raises(UnreadableResult, match="expected a result"):
            client.job(job_id).result(LIMIT_S)


def test_one_result_that_cannot_be_read_holds_up_no_other(client, publisher, monkeypatch):
    real = result_watch.read_published

    def failing(spool, job_id):
        if job_id == "a":
            raise OSError(errno.EIO, "the disk is ill")
        return real(spool, job_id)

    monkeypatch.setattr(result_watch, "read_published", failing)
    publisher.publish("a")
    publisher.publish("b")
    unreadable, fine = client.job("a"), client.job("b")
    assert fine.result(LIMIT_S).passed
    with pytest.raises(TimeoutError, match="the disk is ill"):
        unreadable.result(0.5)
    monkeypatch.undo()
    assert unreadable.result(LIMIT_S).passed


def test_waiting_for_some_and_for_all(client, publisher):
    jobs = [client.job(name) for name in "abc"]
    publisher.publish("b")
    ended = wait(jobs, LIMIT_S, FIRST_COMPLETED)
    assert ({job.id for job in ended.done}, {job.id for job in ended.not_done}) == ({"b"}, {"a", "c"})
    assert len(wait(jobs, 0).not_done) == 2
    publisher.publish("a")
    publisher.publish("c")
    assert wait(jobs, LIMIT_S) == (set(jobs), set())


def test_as_they_are_completed(client, publisher):
    jobs = [client.job(name) for name in "abc"]
    publisher.publish("c")
    completed = as_completed(jobs, LIMIT_S)
    assert next(completed).id == "c"
    publisher.publish("a")
    assert next(completed).id == "a"
    with pytest.raises(TimeoutError):
        list(as_completed(jobs, 0.01))


def test_callbacks(client, publisher):
    called = []
    job = client.job("a")
    job.add_done_callback(lambda done: called.append(done.result().status))
    publisher.publish("a")
    job.result(LIMIT_S)
    wait([job], LIMIT_S)
    job.add_done_callback(lambda done: called.append("at once"))
    assert called[-1] == "at once"
    assert "passed" in called


def test_awaiting(client, publisher):
    async def main():
        a, b = client.job("a"), client.job("b")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(a, 0.01)
        publisher.publish("a")
        publisher.publish("b")
        return await asyncio.wait_for(asyncio.gather(a, b), LIMIT_S)

    assert [result.job_id for result in asyncio.run(main())] == ["a", "b"], (
        "the first await took nothing away"
    )


WRITER = """
    import json, sys
    from pathlib import Path
    from kbd.inbox.durable import write_durably
    from kbd.inbox.job_file import read_job
    from kbd.inbox.spool import Spool

    spool, count = Spool.open(Path(sys.argv[1])), int(sys.argv[2])
    while count:
        for path in [path for path in spool.inbox.iterdir() if not path.name.startswith(".")]:
            job = read_job(path)
            path.rename(spool.done / path.name)
            document = {"job_id": job.job_id, "status": "passed", "manifest_sha256": job.sha256,
                        "labels": job.manifest.labels}
            write_durably(spool.outbox / f"{job.job_id}.json", json.dumps(document).encode(),
                          tmp_folder=spool.outbox_tmp, overwrite=False)
            count -= 1
"""


def test_a_thousand_jobs_in_flight(client, spool, job):
    """Another process takes them and publishes results while they are being submitted."""
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(spool.root), str(MANY)]
    with subprocess.Popen(command) as writer:
        jobs = [client.submit(job(number, labels={"number": str(number)})) for number in range(MANY)]
        results = {each: each.result() for each in as_completed(jobs, LIMIT_S * 3)}
        assert writer.wait(LIMIT_S) == 0
    numbers = [results[each].document["labels"]["number"] for each in jobs]
    assert numbers == [str(number) for number in range(MANY)], "each got its own"


def test_a_look_serves_them_all(client, publisher, spool, monkeypatch):
    """With a thousand in flight the outbox is listed some times, not a thousand times."""
    listed = []
    real = os.scandir
    for number in range(MANY - 1):
        client.job(f"never-{number}")
    monkeypatch.setattr(os, "scandir", lambda folder: listed.append(folder) or real(folder))
    opened = []
    real_open = os.open
    monkeypatch.setattr(
        os, "open", lambda path, *args, **named: opened.append(path) or real_open(path, *args, **named)
    )
    publisher.publish("a")
    client.job("a").result(LIMIT_S)
    assert listed
    assert not [path for path in map(str, opened) if "never" in path]


def test_how_it_shows(client):
    job = client.job("a")
    assert repr(job) == "<Job a in flight>"
    assert isinstance(job, Job)
