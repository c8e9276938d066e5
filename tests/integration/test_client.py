"""The Python client against a real daemon, as a training loop uses it."""

import asyncio
import json

import pytest

from kbd.inbox.client import Client, NoDaemon, as_completed, wait
from kbd.outbox.result import JobResult

LIMIT_S = 200
JOBS = 8


def job(body, **fields):
    kernel = "def f(x):\n    {}\n"
    tensor = {"name": "x", "type": "tensor", "tensor_spec": {"shape": [64], "dtype": "float32"}}
    return {
        "reference": {"kernel_type": "torch", "source_code": kernel.format("return 2 * x")},
        "candidate": {"kernel_type": "torch", "source_code": kernel.format(body)},
        "io": {"args": [tensor]},
        "evaluation": {"num_correct_trials": 2, "num_trials": 5},
    } | fields


@pytest.fixture
def client(standing):
    with Client(standing.spool.root, owner="loop") as made:
        yield made


together = pytest.mark.xdist_group("standing")


@together
def test_a_step_of_a_training_loop(client):
    bodies = ["return x + x", "return 3 * x", "raise RuntimeError('no')", "return x[:3]"] * (JOBS // 4)
    jobs = [client.submit(job(body, labels={"sample": str(n)})) for n, body in enumerate(bodies)]
    results = {each: each.result() for each in as_completed(jobs, LIMIT_S)}
    statuses = [results[each].status for each in jobs]
    assert statuses == ["passed", "incorrect_output", "runtime_error", "incorrect_shape"] * (JOBS // 4)
    assert [results[each].document["labels"]["sample"] for each in jobs] == [str(n) for n in range(JOBS)]
    for result in results.values():
        assert JobResult.from_json(json.dumps(result.document).encode()).passed == result.passed
    assert client.submit(job(bodies[0], labels={"sample": "0"})).done(), "judged before"


@together
def test_cancelling_and_awaiting(client):
    async def main():
        endless = client.submit(job("import time; time.sleep(1000)", timeout=500))
        quick = client.submit(job("return x + x"))
        first, stopped = await asyncio.gather(quick, asyncio.to_thread(endless.cancel, reason="seen enough"))
        return first, stopped, await endless

    first, stopped, ended = asyncio.run(asyncio.wait_for(main(), LIMIT_S))
    assert (first.status, stopped, ended.status) == ("passed", True, "cancelled")
    assert "seen enough" in (ended.message or "")


def test_a_daemon_that_comes_late_and_one_that_is_killed(daemon):
    with Client(daemon.spool.root, daemon_patience=0) as impatient:
        submitted = impatient.submit(job("return x + x"))
        with pytest.raises(NoDaemon):
            submitted.result(LIMIT_S)
    with Client(daemon.spool.root, daemon_patience=LIMIT_S) as client:
        same = client.job(submitted.id)
        first = daemon.start()
        slow = client.submit(job("import time; time.sleep(0.3); return x + x"))
        assert same.result(LIMIT_S).passed
        first.kill()
        daemon.start()
        assert wait([slow], LIMIT_S).not_done == set()
        assert slow.result().passed
