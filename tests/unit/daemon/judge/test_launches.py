"""What a candidate launched goes into the result; what it only pretends to launch is noted."""

import re

import pytest

from kbd.daemon.executor.runner_protocol import Failed, LaunchSeen
from kbd.daemon.judge.launches import decoy_note
from kbd.daemon.judge.pipeline import evaluate
from kbd.daemon.judge.runner_link import RunnerFailed, RunnerLost
from kbd.inbox.manifest import KernelCode

TRITON = "import triton\n@triton.jit\ndef add_kernel(x):\n    pass\ndef run(x):\n    return x + x\n"
CUDA = 'SOURCE = """__global__ void relu_kernel(float* x) {}"""\ndef run(x):\n    return x\n'


def seen(*names):
    return tuple(LaunchSeen(kernel=name, count=1) for name in names)


@pytest.mark.parametrize(
    ("source", "launched", "note"),
    [
        ("def f(x):\n    return x\n", ["at::native::add"], None),
        (TRITON, ["at::native::fill", "add_kernel"], None),
        (TRITON.replace("@triton.jit", "@torch.jit.script"), ["at::native::relu"], None),
        (TRITON, [], "decoy: the candidate defines add_kernel and never launches it"),
        (TRITON, ["cublas", "cublas"], "decoy: .* never launches it; what ran: cublas$"),
        (CUDA, ["void relu_kernel<float>(float*)"], None),
        (CUDA, ["at::native::relu"], "decoy: the candidate defines relu_kernel"),
    ],
)
def test_a_custom_kernel_that_never_runs_is_a_decoy(source, launched, note):
    found = decoy_note(KernelCode(kernel_type="torch", source_code=source), seen(*launched))
    if note is None:
        assert found is None
    else:
        assert re.match(note, found)


@pytest.fixture
def judged(make_kernel, make_session, document):
    def run(launched=(), **troubles):
        kernel = make_kernel("candidate", lambda x: x + x, troubles=troubles)
        kernel.launched = launched
        document_ = document(candidate={"kernel_type": "torch", "source_code": TRITON})
        session = make_session(kernel, make_kernel("reference", lambda x: x + x), document_)
        return evaluate(session)

    return run


def test_launches_stand_beside_the_times_of_every_workload(judged):
    verdict = judged(["add_kernel"])
    for workload in verdict.workloads:
        assert [launch.kernel for launch in workload.performance.launches] == ["add_kernel"]
    assert verdict.notes == ()


def test_a_decoy_is_noted_once_and_decides_nothing(judged):
    verdict = judged([])
    assert verdict.status == "passed"
    assert len(verdict.notes) == 1
    assert "decoy" in verdict.notes[0]


def test_a_candidate_that_cannot_be_watched_is_judged_all_the_same(judged):
    failed = Failed(status="runtime_error", type="E", message="no")
    verdict = judged(launches=RunnerFailed("candidate", failed))
    assert verdict.status == "passed"
    assert verdict.notes == ("its launches are not listed: called once more, it raised E: no",)


def test_a_candidate_that_dies_while_it_is_watched_has_crashed(judged):
    assert judged(launches=RunnerLost("candidate", "gone")).status == "crashed"
