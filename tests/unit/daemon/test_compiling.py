"""The compile stage of a job: what is compiled, for what, and what becomes of the job."""

import asyncio
import json
import os

import pytest

from kbd.backends.artifacts import seal
from kbd.backends.base import Target
from kbd.daemon.compiling import CompiledKernels, compile_kernels, kernels_to_compile
from kbd.daemon.executor.compile_slots import Compilation
from kbd.daemon.executor.nursery_client import NurseryFailed
from kbd.daemon.executor.process import ExitStatus
from kbd.daemon.executor.runner_process import RunnerEnd
from kbd.daemon.executor.runner_protocol import Failed
from kbd.inbox.formats.registry import parse_manifest
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage

BUILDS = "import torch.utils.cpp_extension"
CPU = Target("cpu")
REFUSED = Failed(
    status="compile_error", type="BuildFailed", message="line 3: no", hint="h", traceback_tail="t"
)


def end(**exit_status):
    return RunnerEnd(ExitStatus(**exit_status), natural=True, output="words", truncated=False)


def manifest(candidate="torch_cuda", reference=None, mode="full", **more):
    document = {"version": 1, "candidate": {"kernel_type": candidate, "source_code": BUILDS}}
    if reference is not None:
        document["reference"] = {"kernel_type": reference, "source_code": BUILDS + " # reference"}
    return parse_manifest(
        json.loads(json.dumps(document | {"evaluation": {"mode": mode}} | more)), default_id="j", folder=None
    )


class Slots:
    """Gives what its script says for each role."""

    def __init__(self, **script):
        self.script = script
        self.asked = []
        self.logs = {}
        self.left = 0
        self.begun = asyncio.Semaphore(0)

    async def compile(self, request, seconds, begin_log=None):
        role = "reference" if "reference" in request.kernel.source_code else "candidate"
        self.asked.append((role, request, seconds))
        self.logs[role] = begin_log and begin_log()
        self.begun.release()
        answer = self.script[role]
        if answer is None:
            try:
                await asyncio.Event().wait()
            finally:
                self.left += 1
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def built():
    """Compilations that went well; every archive must be closed in the end."""
    made = []

    def make(seconds=1.0, unfinished=None):
        descriptor = os.memfd_create("source")
        archive = seal(descriptor, 0, unfinished)
        os.close(descriptor)
        made.append(archive)
        return Compilation(seconds, archive)

    yield make
    for archive in made:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(archive.descriptor)


def run(on_loop, slots, *arguments, target=CPU, **fields):
    return on_loop(compile_kernels(manifest(*arguments, **fields), target, slots))


@pytest.mark.parametrize(
    ("candidate", "reference", "mode", "roles"),
    [
        ("torch_cuda", None, "full", ["candidate"]),
        ("torch_cuda", "torch_cuda", "full", ["reference", "candidate"]),
        ("torch_cuda", "torch", "full", ["candidate"]),
        ("torch", "torch_cuda", "correctness", ["reference"]),
        ("torch", "torch", "full", []),
        ("torch", "torch", "compile", ["reference", "candidate"]),
    ],
)
def test_which_kernels_need_a_compiler(candidate, reference, mode, roles):
    assert list(kernels_to_compile(manifest(candidate, reference, mode))) == roles


def test_archives_for_the_judge(on_loop, built):
    slots = Slots(candidate=built(2.0), reference=built(3.0, "it wants a device"))
    compiled = run(on_loop, slots, "torch_cuda", "torch_cuda", timeout=9)
    assert compiled.verdict is None
    assert [archive.role for archive in compiled.archives] == ["reference", "candidate"]
    assert compiled.seconds == 3.0
    assert compiled.unfinished
    assert "reference: built where it was loaded" in compiled.notes[0]
    assert {seconds for _, _, seconds in slots.asked} == {9}
    compiled.close()


def test_each_compiler_has_a_log_of_its_own(on_loop, built):
    slots, job = Slots(candidate=built(), reference=built()), manifest("torch_cuda", "torch_cuda")
    compiled = on_loop(compile_kernels(job, CPU, slots, lambda name: f"log of {name}"))
    assert slots.logs == {
        "candidate": "log of candidate_compiler",
        "reference": "log of reference_compiler",
    }
    compiled.close()


def test_mode_compile_ends_here(on_loop, built):
    slots = Slots(candidate=built())
    compiled = run(on_loop, slots, "torch_cuda", None, "compile", target=Target("cuda", "sm_90"))
    assert (compiled.verdict.status, compiled.verdict.compiled) == (EvaluationStatus.PASSED, True)
    assert [workload.name for workload in compiled.verdict.workloads] == ["default"]
    assert slots.asked[0][1].target == Target("cuda", "sm_90")
    compiled.close()


@pytest.mark.parametrize(
    ("made", "status", "blame", "words"),
    [
        (Compilation(1, failed=REFUSED), "compile_error", "candidate", "line 3: no"),
        (
            Compilation(1, failed=REFUSED.model_copy(update={"status": "unsupported"})),
            "unsupported",
            "job",
            "line 3: no",
        ),
        (Compilation(7, end=end(code=None, signal=9), overdue=True), "timeout", "candidate", "after 7 s"),
        (Compilation(1, end=end(code=None, signal=11)), "crashed", "candidate", "ended before"),
        (
            Compilation(1, end=end(code=None, signal=9, out_of_memory=True)),
            "out_of_memory",
            "candidate",
            "memory",
        ),
    ],
    ids=["compiler", "unsupported", "overdue", "crash", "memory"],
)
def test_what_does_not_compile(on_loop, made, status, blame, words):
    verdict = run(on_loop, Slots(candidate=made)).verdict
    assert (verdict.status, verdict.stage, verdict.blame) == (status, Stage.COMPILE, blame)
    assert words in verdict.error.message
    assert verdict.compiled is (False if status == "compile_error" else None)
    assert verdict.lost == ("candidate" if status == "crashed" else None)


def test_a_reference_that_does_not_compile_is_the_references_fault(on_loop, built):
    good = built()
    compiled = run(
        on_loop, Slots(candidate=good, reference=Compilation(1, failed=REFUSED)), "torch", "torch", "compile"
    )
    verdict = compiled.verdict
    assert (verdict.status, verdict.blame) == (EvaluationStatus.INVALID_REFERENCE, Blame.REFERENCE)
    assert verdict.error.traceback_tail == "t"
    compiled.close()


def test_a_fault_of_the_harness_ends_the_other_build(on_loop):
    slots = Slots(candidate=None, reference=NurseryFailed("no processes"))
    with pytest.raises(NurseryFailed):
        run(on_loop, slots, "torch_cuda", "torch_cuda")
    assert slots.left == 1


def test_a_fault_of_the_harness_closes_what_the_other_build_made(on_loop, built):
    slots = Slots(candidate=built(), reference=NurseryFailed("no processes"))
    with pytest.raises(NurseryFailed):
        run(on_loop, slots, "torch_cuda", "torch_cuda")


def test_a_cancel_ends_both_builds(on_loop):
    slots = Slots(candidate=None, reference=None)

    async def cancel():
        task = asyncio.create_task(compile_kernels(manifest("torch_cuda", "torch_cuda"), CPU, slots))
        for _ in range(2):
            await slots.begun.acquire()
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert on_loop(cancel())
    assert slots.left == 2


def test_nothing_to_compile():
    compiled = CompiledKernels()
    assert (compiled.seconds, compiled.archives, compiled.notes, compiled.unfinished) == (None, {}, (), False)
