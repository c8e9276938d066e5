"""A spool, a stand-in for the daemon that publishes as one does, and jobs to submit."""

import json
from dataclasses import dataclass

import pytest

from kbd.inbox.durable import write_durably
from kbd.inbox.job_file import read_job
from kbd.inbox.result_files import published_path
from kbd.inbox.spool import Spool


@dataclass
class Publisher:
    """Writes result files as a daemon does: whole, by a link."""

    spool: Spool

    def publish(self, job_id, sha256=None, **fields):
        document = {
            "schema_version": 1,
            "job_id": job_id,
            "status": "passed",
            "manifest_sha256": sha256,
        } | fields
        self.publish_text(job_id, json.dumps(document))

    def publish_text(self, job_id, text):
        write_durably(
            published_path(self.spool, job_id),
            text.encode(),
            tmp_folder=self.spool.outbox_tmp,
            overwrite=False,
        )

    def judge_inbox(self, **fields):
        """Publish a result for each job that waits, and take it away."""
        for path in list(self.spool.inbox.iterdir()):
            read = read_job(path)
            path.rename(self.spool.done / path.name)
            self.publish(read.job_id, read.sha256, **fields)


@pytest.fixture
def spool(tmp_path):
    return Spool.create(tmp_path / "spool")


@pytest.fixture
def publisher(spool):
    return Publisher(spool)


@pytest.fixture
def job():
    """A job as a mapping; `factor` makes another one."""

    def make(factor=2, **fields):
        source = f"def f(x):\n    return {factor} * x\n"
        tensor = {"name": "x", "type": "tensor", "tensor_spec": {"shape": [4], "dtype": "float32"}}
        return {
            "candidate": {"kernel_type": "torch", "source_code": source},
            "io": {"args": [tensor]},
        } | fields

    return make
