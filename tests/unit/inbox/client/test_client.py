import multiprocessing
import subprocess
import sys
import threading

import pytest

from kbd.inbox.client import Client, ClientClosed, IdTaken, NoAnswer, NoDaemon, NotCancelled
from kbd.inbox.control import Answer, AnswerCode, answer_path, read_request
from kbd.inbox.delivery import UndeliverableJob
from kbd.inbox.errors import InvalidJob
from kbd.inbox.spool import Spool, SpoolMissing

LIMIT_S = 60


@pytest.fixture
def client(spool):
    with Client(spool.root) as made:
        yield made


def waiting(spool):
    return sorted(path.name for path in spool.inbox.iterdir())


def test_a_job_and_its_result(client, spool, publisher, job):
    submitted = client.submit(job(id="double"))
    assert (submitted.id, submitted.done(), waiting(spool)) == ("double", False, ["double.json"])
    publisher.judge_inbox(speedup=1.5, significant=True)
    result = submitted.result(LIMIT_S)
    assert (result.passed, result.speedup, result.significant) == (True, 1.5, True)
    assert result.document["job_id"] == "double"
    assert submitted.done()


def test_the_same_content_is_the_same_job(client, spool, publisher, job):
    first = client.submit(job())
    assert client.submit(job()) is first
    assert client.submit(job(3)) is not first
    assert len(waiting(spool)) == 2
    publisher.judge_inbox()
    first.result(LIMIT_S)
    again = client.submit(job())
    assert (again.id, again.done(), waiting(spool)) == (first.id, True, [])


def test_another_process_has_submitted_the_same(spool, job):
    ours, theirs = Client(spool.root), Client(spool.root)
    assert ours.submit(job()).id == theirs.submit(job()).id
    assert len(waiting(spool)) == 1
    ours.close()
    theirs.close()


def test_another_job_of_the_name_waits(spool, job):
    with Client(spool.root) as ours, Client(spool.root) as theirs:
        theirs.submit(job(id="a"))
        with pytest.raises(UndeliverableJob, match="waiting in the inbox"):
            ours.submit(job(3, id="a"))


def test_files_beside_the_manifest(client, spool, job, tmp_path):
    (tmp_path / "mine.py").write_text("def f(x):\n    return x\n")
    candidate = {"kernel_type": "torch", "source_file": "kernel.py"}
    client.submit(job(candidate=candidate, id="a"), files={"kernel.py": tmp_path / "mine.py"})
    assert sorted(path.name for path in (spool.inbox / "a.job").iterdir()) == ["job.json", "kernel.py"]
    pair = {
        "reference.py": "class Model: ...\ndef get_inputs(): ...",
        "candidate.py": b"class ModelNew: ...\n",
    }
    assert client.submit(files=pair, job_id="pair").id == "pair"
    assert client.submit(files=pair).id.startswith("job-")


def test_a_path_is_delivered_as_it_is(client, spool, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("candidate: {kernel_type: torch, source_code: 'def f(): ...'}\n")
    assert client.submit(path).id == "mine"
    assert (spool.inbox / "mine.yaml").read_bytes() == path.read_bytes()
    with pytest.raises(TypeError, match="neither files nor job_id"):
        client.submit(str(path), job_id="other")


def test_an_owner_has_a_folder(spool, job):
    with Client(spool.root, owner="team") as client:
        client.submit(job(id="a"))
    assert waiting(spool) == ["team"]


def test_what_is_no_job_is_not_delivered(client, spool, job):
    with pytest.raises(InvalidJob) as refused:
        client.submit(job(surplus=1, candidate={"kernel_type": "torch"}))
    assert len(refused.value.problems) == 2
    with pytest.raises(InvalidJob, match="plain data"):
        client.submit(job(labels=object()))
    with pytest.raises(InvalidJob, match="plain data"):
        client.submit(job(timeout=float("nan")))
    with pytest.raises(TypeError, match="nothing to submit"):
        client.submit()
    with pytest.raises(ValueError, match="job_id"):
        client.submit(job(), job_id="../a")
    with pytest.raises(ValueError, match="inside of the job's folder"):
        client.submit(job(), files={"../a": "text"})
    assert waiting(spool) == []


def test_no_spool(tmp_path):
    with pytest.raises(SpoolMissing, match="kbd init"):
        Client(tmp_path)


def test_an_id_that_is_taken(client, publisher, job):
    publisher.publish("old", "0" * 64)
    with pytest.raises(IdTaken, match="another id"):
        client.submit(job(id="old"))
    client.submit(job(id="new"))
    with pytest.raises(IdTaken):
        client.submit(job(3, id="new"))


def test_a_job_of_somebody_else_was_first(client, publisher, job):
    submitted = client.submit(job(id="a"))
    publisher.publish("a", "0" * 64)
    with pytest.raises(IdTaken, match="quarantine"):
        submitted.result(LIMIT_S)


def test_a_rejected_job_has_a_result(client, publisher, job):
    submitted = client.submit(job(id="a"))
    publisher.publish("a", status="invalid_job", error={"message": "not today"}, blame="job")
    result = submitted.result(LIMIT_S)
    assert (result.passed, result.message, result.blame) == (False, "not today", "job")


def test_a_job_by_its_id(client, publisher, job):
    publisher.publish("old")
    assert client.job("old").result(LIMIT_S).passed
    later = client.job("later")
    assert client.job("later") is later
    assert not later.done()
    client.submit(job(id="later"))
    publisher.judge_inbox()
    assert later.result(LIMIT_S).passed
    with pytest.raises(ValueError, match="expected a job id"):
        client.job("../later")


def test_nobody_works(spool, job):
    spool = Spool.create(spool.root / "my spool")
    with Client(spool.root, daemon_patience=0) as client:
        submitted = client.submit(job())
        with pytest.raises(NoDaemon, match=f"kbd run --spool '{spool.root}'"):
            submitted.result(LIMIT_S)
    assert len(waiting(spool)) == 1, "the job is safe"


def test_a_closed_client(spool, job):
    client = Client(spool.root)
    submitted = client.submit(job())
    client.close()
    with pytest.raises(ClientClosed):
        submitted.result()
    with pytest.raises(ClientClosed):
        client.submit(job(3))
    assert len(waiting(spool)) == 1


def test_the_thread_ends_with_the_last_job_and_comes_back(client, publisher, job):
    for factor in (2, 3):
        submitted = client.submit(job(factor))
        (thread,) = [each for each in threading.enumerate() if each.name == "kbd results"]
        publisher.judge_inbox()
        submitted.result(LIMIT_S)
        thread.join(LIMIT_S)
        assert not thread.is_alive()


def submit_in_child(client, job, answers):
    try:
        client.submit(job)
    except ClientClosed as error:
        answers.put(str(error))


def test_a_client_does_not_cross_a_fork(client, job):
    fork = multiprocessing.get_context("fork")
    answers = fork.Queue()
    child = fork.Process(target=submit_in_child, args=(client, job(), answers))
    child.start()
    assert "one in each process" in answers.get(timeout=LIMIT_S)
    child.join(LIMIT_S)


@pytest.fixture
def answering(spool):
    """A stand-in for the daemon that answers requests with the given codes."""

    def start(*codes):
        def answer():
            left = list(codes)
            while left and not ended.wait(0.01):
                for path in spool.control.glob("*.json"):
                    request = read_request(path)
                    text = Answer(
                        code=left.pop(0), message="so it is", job_id=request.job_id
                    ).model_dump_json()
                    answer_path(spool, path.stem).write_text(text)
                    path.unlink()

        threads.append(threading.Thread(target=answer))
        threads[-1].start()

    threads, ended = [], threading.Event()
    yield start
    ended.set()
    for thread in threads:
        thread.join(LIMIT_S)


def test_cancelling(client, job, answering):
    submitted = client.submit(job())
    answering(AnswerCode.DONE, AnswerCode.FINISHED, AnswerCode.NOT_FOUND)
    assert submitted.cancel(reason="enough") is True
    assert submitted.cancel() is False
    with pytest.raises(NotCancelled, match="so it is"):
        submitted.cancel()


def test_nobody_answers(client, spool, job):
    with pytest.raises(NoAnswer, match="stays in"):
        client.submit(job()).cancel(timeout=0)
    assert len(list(spool.control.glob("*.json"))) == 1


def test_it_imports_neither_torch_nor_the_database():
    heavy = "{'torch', 'sqlalchemy', 'click', 'rich'}"
    code = f"import sys, kbd.inbox.client; print(sorted({heavy} & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"
