"""A finished job is delivered again under a new id."""

import json

import pytest

from kbd.inbox.control import AnswerCode
from kbd.inbox.job_file import read_job
from kbd.inbox.result_files import published_path
from kbd.store.new_job import RejectedJob
from kbd.store.states import JobState

BY_ID = "id: named\n"
JOB = """
candidate: {kernel_type: torch, source_code: "def same(x): return x"}
io: {args: [{name: x, type: tensor, tensor_spec: {shape: [4], dtype: float32}}]}
"""
FOLDER_JOB = """\
candidate: {kernel_type: torch, source_file: kernel.py}
io: {args: [{name: x, type: tensor, tensor_spec: {shape: [4], dtype: float32}}]}
"""


@pytest.fixture
def finish(desk):
    """End a job and publish its result."""

    def finished(job_id):
        desk.store.finish(job_id, JobState.COMPLETED, "{}", "passed")
        desk.publishing.publish_one(job_id)

    return finished


def delivered(desk, name):
    return read_job(desk.spool.inbox / name)


def test_under_the_next_free_id(desk, queue, finish):
    queue("a")
    finish("a")
    for expected in ("a.r1", "a.r2"):  # the first one still waits in the inbox
        answer = desk.retrying.retry("a")
        assert (answer.code, answer.job_id) == (AnswerCode.DONE, expected)
    assert delivered(desk, "a.r1.yaml").job_id == "a.r1"
    assert desk.take_in.take_named("a.r1")
    finish("a.r1")
    assert desk.retrying.retry("a.r1").job_id == "a.r3"


@pytest.mark.parametrize("ask", ["retry", "rerun"])
def test_one_that_waits_in_the_inbox_needs_no_other_try(desk, ask):
    (desk.spool.inbox / "ann").mkdir()
    (desk.spool.inbox / "ann" / "a.yaml").write_text(JOB)
    (desk.spool.inbox / "file.yaml").write_text(JOB + BY_ID)
    again = getattr(desk.retrying, ask)
    answer = again("a") if ask == "retry" else again("a", None)
    assert answer.code is AnswerCode.REFUSED
    assert "a waits in the inbox" in answer.message
    assert "nothing needs to be done" in answer.message
    for unknown in ("b", "file"):
        answer = again(unknown) if ask == "retry" else again(unknown, None)
        assert (answer.code, answer.message) == (AnswerCode.NOT_FOUND, f"no job is called {unknown}")
    assert not list(desk.spool.inbox.glob("*.r1.*"))


def test_an_id_that_only_the_outbox_knows_is_taken(desk, queue, finish):
    queue("a")
    finish("a")
    published_path(desk.spool, "a.r1").write_text("{}")
    assert desk.retrying.retry("a").job_id == "a.r2"


def test_a_declared_id_is_replaced_and_the_rest_is_as_it_was(desk, queue, finish):
    label = "µ😀"
    queue(
        "file",
        text=JOB + BY_ID + f"labels: {{step: {json.dumps(label, ensure_ascii=False)}}}\npriority: 7\n",
        owner="ann",
    )
    before = desk.store.get("named").labels
    finish("named")
    assert desk.retrying.retry("named").job_id == "named.r1"
    job = read_job(desk.spool.inbox / "ann" / "named.r1.json")
    assert (job.job_id, job.manifest.labels, job.manifest.priority) == ("named.r1", before, 7)


@pytest.mark.parametrize("declared", ["", BY_ID])
def test_a_folder_keeps_its_files(desk, finish, declared):
    folder = desk.spool.inbox / "named.job"
    folder.mkdir()
    (folder / "job.yaml").write_text(FOLDER_JOB + declared)
    (folder / "kernel.py").write_text("def same(x): return x  # mine")
    desk.take_in.take_named("named")
    finish("named")
    assert desk.retrying.retry("named").job_id == "named.r1"
    job = delivered(desk, "named.r1.job")
    assert job.job_id == "named.r1"
    assert job.manifest.candidate.source_code.endswith("# mine")


@pytest.mark.parametrize("suffix", [".yaml", ".job"])
def test_where_its_files_are_gone_it_is_refused(desk, queue, finish, suffix):
    if suffix == ".job":
        folder = desk.spool.inbox / "a.job"
        folder.mkdir()
        (folder / "job.yaml").write_text(FOLDER_JOB)
        (folder / "kernel.py").write_text("def same(x): return x")
        desk.take_in.take_named("a")
    else:
        queue("a")
    finish("a")
    (desk.spool.root / desk.store.get("a").claimed_path).rename(desk.spool.root / "elsewhere")
    answer = desk.retrying.retry("a")
    assert answer.code is AnswerCode.REFUSED
    assert f"a{suffix}" in answer.message
    assert list(desk.spool.inbox.iterdir()) == []


def test_what_cannot_be_retried(desk, queue):
    assert desk.retrying.retry("nobody").code is AnswerCode.NOT_FOUND
    queue("waits")
    assert "no result yet (it is submitted)" in desk.retrying.retry("waits").message
    desk.store.add_rejected(
        RejectedJob(job_id="bad", manifest_sha256=None, result_text="{}", error_message="no job")
    )
    answer = desk.retrying.retry("bad")
    assert answer.code is AnswerCode.REFUSED
    assert "no valid job" in answer.message


def test_an_id_with_no_room_for_more(desk, queue, finish):
    long = "a" * 128
    queue(long)
    finish(long)
    assert desk.retrying.retry(long).code is AnswerCode.REFUSED


def test_a_published_job_lies_in_done_and_is_published_again_from_there(desk, queue, finish):
    queue("a")
    finish("a")
    path = desk.store.get("a").claimed_path
    assert path.startswith("done/")
    queue("a")  # the same bytes: its result is owed again
    assert desk.publishing.publish_owed() == 1
    assert desk.store.get("a").claimed_path == path
    assert (desk.spool.root / path).exists()
    assert json.loads(published_path(desk.spool, "a").read_text()) == {}


# --- the same inputs again --------------------------------------------------------------------------


@pytest.fixture
def finish_with_seed(desk):
    """End a job whose result tells this seed."""

    def finished(job_id, seed):
        desk.store.finish(job_id, JobState.COMPLETED, json.dumps({"seed": seed}), "passed")
        desk.publishing.publish_one(job_id)

    return finished


@pytest.mark.parametrize(("asked", "expected"), [(None, 2**62 + 1), (0, 0), (7, 7)])
def test_a_rerun_has_the_seed_of_the_result_or_another(desk, queue, finish_with_seed, asked, expected):
    queue("a", text=JOB + "evaluation: {num_correct_trials: 9}\nlabels: {step: '4'}\n")
    before = read_job(desk.spool.root / desk.store.get("a").claimed_path).manifest
    finish_with_seed("a", 2**62 + 1)
    answer = desk.retrying.rerun("a", asked)
    assert (answer.code, answer.job_id) == (AnswerCode.DONE, "a.r1")
    manifest = delivered(desk, "a.r1.json").manifest
    evaluation = before.evaluation.model_copy(update={"seed": expected})
    assert manifest == before.model_copy(update={"id": "a.r1", "evaluation": evaluation})


@pytest.mark.parametrize("document", [FOLDER_JOB, None])
def test_a_folder_is_run_again_with_its_files(desk, finish_with_seed, document):
    folder = desk.spool.inbox / "a.job"
    folder.mkdir()
    if document is None:  # a pair in the manner of KernelBench has no document
        (folder / "reference.py").write_text(PAIR.format(name="Model"))
        (folder / "candidate.py").write_text(PAIR.format(name="ModelNew"))
    else:
        (folder / "job.yaml").write_text(document)
        (folder / "kernel.py").write_text("def same(x): return x  # mine")
    desk.take_in.take_named("a")
    finish_with_seed("a", 5)
    assert desk.retrying.rerun("a", None).job_id == "a.r1"
    job = delivered(desk, "a.r1.job")
    assert (job.job_id, job.manifest.evaluation.seed) == ("a.r1", 5)


PAIR = "import torch\nclass {name}(torch.nn.Module):\n    pass\ndef get_inputs(): return []\n"


def test_what_never_had_inputs_needs_a_seed(desk, queue, finish):
    queue("a")
    finish("a")
    answer = desk.retrying.rerun("a", None)
    assert answer.code is AnswerCode.REFUSED
    assert "--seed" in answer.message
    assert desk.retrying.rerun("a", 3).code is AnswerCode.DONE
    assert desk.retrying.rerun("nobody", None).code is AnswerCode.NOT_FOUND
