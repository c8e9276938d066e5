"""From a request to a verdict: every trouble has its status, its stage and somebody to blame."""

import itertools

import pytest
import torch

from kbd.daemon.assembly import JobIdentity, Times, result_of
from kbd.daemon.executor.local import Outcome
from kbd.daemon.executor.runner_protocol import Failed
from kbd.daemon.executor.shared_memory import OutOfDeviceMemory, SharingFailed
from kbd.daemon.judge.draw import BadData, DataOutOfReach
from kbd.daemon.judge.hosted_kernel import InputSet
from kbd.daemon.judge.pipeline import STAGES, evaluate, report_of
from kbd.daemon.judge.runner_link import RunnerFailed, RunnerForged, RunnerLost, RunnerSilent
from kbd.outbox.verdict import Stage

VERBS = {"load": "load", "correctness": "run", "timing": "burst"}


def failed(status="runtime_error", role="candidate"):
    said = Failed(status=status, type="ValueError", message="mine", hint="do", traceback_tail="line 3")
    return RunnerFailed(role, said)


def double(x):
    return x + x


@pytest.fixture
def judge(make_kernel, make_session, document):
    """The verdict on two kernels; every verdict must be one that a result can be made of."""

    def run(candidate=None, reference=None, compute=double, *, alone=False, **changes):
        changes |= {"reference": None} if alone else {}
        kernels = {
            "candidate": make_kernel("candidate", compute, troubles=candidate),
            "reference": make_kernel("reference", double, troubles=reference),
        }
        session = make_session(
            kernels["candidate"], None if alone else kernels["reference"], document(**changes)
        )
        verdict = evaluate(session)
        identity = JobIdentity("j", "a" * 64, 1, {})
        result_of(identity, Outcome(verdict, None, {}, None, None), Times(0.0, 1.0), {}, None)
        return verdict, session

    return run


def place(verdict):
    return verdict.status, verdict.stage, verdict.blame


# --- all is well ------------------------------------------------------------------------------------


def test_a_full_evaluation(judge):
    verdict, session = judge()
    assert place(verdict) == ("passed", None, None)
    assert (verdict.compiled, verdict.correct) == (True, True)
    assert verdict.speedup == pytest.approx(1.0)
    assert [result.name for result in verdict.workloads] == ["small", "large"]
    assert all(result.performance and result.correctness for result in verdict.workloads)
    assert min(vars(verdict.timings).values()) >= 0
    assert session.leases == ["held", "given back"] * 2, "once for each workload"


def test_stages_come_in_order_and_are_reported(judge):
    _, session = judge()
    stages = list(dict.fromkeys(stage for stage, _, _ in session.told))
    assert stages == [Stage.LOAD, Stage.CORRECTNESS, Stage.TIMING] == [stage.name for stage in STAGES]


@pytest.mark.parametrize(
    ("mode", "done"),
    [("compile", {"load"}), ("correctness", {"load", "correctness"}), ("full", set(VERBS))],
)
def test_modes_include_stages(judge, mode, done):
    verdict, session = judge(evaluation={"mode": mode, "num_trials": 3})
    assert verdict.status == "passed"
    assert {stage for stage, verb in VERBS.items() if verb in session.candidate.verbs} == done
    assert {stage for stage, seconds in vars(verdict.timings).items() if seconds is not None} == done
    assert verdict.correct is (None if mode == "compile" else True)
    assert bool(session.leases) == (mode == "full")


def test_the_reference_says_what_both_constructors_get(make_kernel, make_session):
    candidate, reference = (make_kernel(role, double) for role in ("candidate", "reference"))
    reference.init_inputs = InputSet([{"tensor": 0}], [torch.ones(2)])
    session = make_session(candidate, reference)
    assert evaluate(session).status == "passed"
    ((_, _, seed, given),) = reference.loads
    ((_, _, same_seed, passed_on),) = candidate.loads
    assert given is None
    assert passed_on is reference.init_inputs
    assert seed == same_seed == session.seeds.constructors


def test_kernels_know_the_contract_of_every_workload_and_which_one_is_in_force(judge):
    verdict, session = judge()
    assert verdict.status == "passed"
    for kernel in (session.candidate, session.reference):
        ((_, contracts, _, _),) = kernel.loads
        assert [contract.axes for contract in contracts] == [{"N": 4}, {"N": 9}]
        assert [workload for workload, _ in itertools.groupby(kernel.workloads)] == [0, 1, 0, 1]


def test_a_lone_candidate(judge):
    verdict, session = judge(alone=True)
    assert place(verdict) == ("passed", None, None)
    assert (verdict.correct, verdict.speedup) == (None, None)
    assert session.candidate.loads[0][3] is None


# --- troubles of the candidate ----------------------------------------------------------------------


@pytest.mark.parametrize("stage", sorted(VERBS))
@pytest.mark.parametrize(
    ("trouble", "status", "blame"),
    [
        (failed(), "runtime_error", "candidate"),
        (failed("out_of_memory"), "out_of_memory", "candidate"),
        (failed("unsupported"), "runtime_error", "candidate"),
        (RunnerLost("candidate", "gone"), "crashed", "candidate"),
        (RunnerSilent("candidate", 1.5), "timeout", "candidate"),
        (RunnerForged("candidate", "nonsense"), "suspect", "candidate"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_troubles_of_the_candidate(judge, stage, trouble, status, blame):
    verdict, session = judge({VERBS[stage]: trouble})
    assert place(verdict) == (status, stage, blame)
    assert verdict.lost == ("candidate" if isinstance(trouble, RunnerLost) else None)
    assert bool(verdict.suspect) == (status == "suspect")
    assert (verdict.error is None) == (status == "suspect")
    assert verdict.compiled is (None if stage == "load" else True)
    assert session.leases in ([], ["held", "given back"])


@pytest.mark.parametrize(
    ("kernel_type", "verb", "comment", "status"),
    [
        ("multi_kernel", "load", "", "unsupported"),
        ("multi_kernel", "run", "", "runtime_error"),
        ("torch_cuda", "run", "", "unsupported"),
        ("torch", "load", "# triton", "unsupported"),
        ("torch", "run", "# triton", "unsupported"),
    ],
)
def test_what_kbd_can_refuse(make_kernel, make_session, document, kernel_type, verb, comment, status):
    source = document()["candidate"]["source_code"] + comment
    kernel = {"kernel_type": kernel_type, "source_code": source, "metadata": {"entry_point": "double"}}
    candidate = make_kernel("candidate", double, troubles={verb: failed("unsupported")})
    session = make_session(candidate, make_kernel("reference", double), document(candidate=kernel))
    verdict = evaluate(session)
    assert (verdict.status, verdict.blame) == (status, "job" if status == "unsupported" else "candidate")


def test_a_kernel_that_does_not_compile(judge):
    verdict, _ = judge({"load": failed("compile_error")})
    assert place(verdict) == ("compile_error", "load", "candidate")
    assert (verdict.compiled, verdict.correct) == (False, None)
    assert verdict.error.traceback_tail == "line 3"


@pytest.mark.parametrize("alone", [False, True])
def test_a_kernel_that_its_first_call_compiles(judge, alone):
    verdict, session = judge({"run": failed("compile_error")}, alone=alone)
    assert place(verdict) == ("compile_error", "correctness", "candidate")
    assert (verdict.compiled, verdict.correct) == (False, None)
    assert [result.status for result in verdict.workloads] == ["compile_error"]
    assert session.leases == []


def test_a_kernel_that_compiles_for_one_workload_only(judge):
    calls = len([1 for verb in judge()[1].candidate.verbs if verb == "run"])
    verdict, _ = judge({("run", calls): failed("compile_error")})
    assert place(verdict) == ("compile_error", "correctness", "candidate")
    assert [result.status for result in verdict.workloads] == ["passed", "compile_error"]


@pytest.mark.parametrize("alone", [False, True])
def test_what_has_run_has_compiled(judge, alone):
    verdict, _ = judge({"burst": failed("compile_error")}, alone=alone)
    assert (verdict.status, verdict.compiled) == ("runtime_error", True)


def test_a_wrong_kernel(judge):
    verdict, session = judge(compute=lambda x: x)
    assert place(verdict) == ("incorrect_output", "correctness", "candidate")
    assert verdict.correct is False
    assert "outside the tolerance" in verdict.error.message
    assert "burst" not in session.candidate.verbs, "what is wrong is not timed"


def test_the_first_wrong_workload_decides(judge):
    verdict, _ = judge(compute=lambda x: x + x if len(x) == 4 else x)
    assert [(result.name, result.status) for result in verdict.workloads] == [
        ("small", "passed"),
        ("large", "incorrect_output"),
    ]


def test_a_trouble_while_timing_the_second_workload(judge):
    verdict, _ = judge({("bind_sets", 2): RunnerLost("candidate", "gone")})
    assert place(verdict) == ("crashed", "timing", "candidate")
    first, second = verdict.workloads
    assert (first.status, second.status) == ("passed", "crashed")
    assert first.performance is not None
    assert second.correctness is not None
    assert verdict.speedup is None


# --- troubles of the reference ----------------------------------------------------------------------


@pytest.mark.parametrize("stage", sorted(VERBS))
@pytest.mark.parametrize(
    "trouble",
    [
        failed(role="reference"),
        failed("compile_error", "reference"),
        failed("unsupported", "reference"),
        RunnerLost("reference", "gone"),
        RunnerSilent("reference", 1.5),
        RunnerForged("reference", "nonsense"),
    ],
    ids=lambda trouble: type(trouble).__name__,
)
def test_troubles_of_the_reference_void_the_comparison(judge, stage, trouble):
    verdict, _ = judge(reference={VERBS[stage]: trouble})
    assert place(verdict) == ("invalid_reference", stage, "reference")
    assert "correct the reference" in verdict.error.hint
    assert verdict.lost == ("reference" if isinstance(trouble, RunnerLost) else None)
    assert verdict.suspect == ()


@pytest.mark.parametrize(
    ("trouble", "hint"),
    [
        (failed(role="reference"), "do; correct the reference; the candidate was not judged"),
        (RunnerLost("reference", "gone"), "correct the reference; the candidate was not judged"),
        (RunnerSilent("reference", 1.5), "correct the reference; the candidate was not judged"),
    ],
)
def test_what_can_be_done_about_a_reference(judge, trouble, hint):
    assert judge(reference={"run": trouble})[0].error.hint == hint


@pytest.mark.parametrize("stage", sorted(VERBS))
def test_a_reference_that_had_no_time_left_by_the_candidate(judge, stage):
    trouble = RunnerSilent("reference", 1.0, {"candidate": 3.0, "reference": 2.0})
    verdict, _ = judge(reference={VERBS[stage]: trouble})
    assert place(verdict) == ("timeout", stage, "candidate")
    assert "the candidate had taken 3.0 s of it, the reference 3.0 s" in verdict.error.message


def test_the_candidate_is_not_even_loaded_after_a_bad_reference(judge):
    _, session = judge(reference={"load": failed(role="reference")})
    assert session.candidate.verbs == []


# --- troubles of nobody's kernel --------------------------------------------------------------------


@pytest.mark.parametrize("role", ["candidate", "reference"])
@pytest.mark.parametrize(
    ("trouble", "status", "blame"),
    [
        (BadData("no such key"), "invalid_job", "job"),
        (DataOutOfReach("Input/output error"), "harness_error", "harness"),
        (SharingFailed("CUDA: cudaErrorUnknown"), "device_error", "device"),
        (OutOfDeviceMemory("the device is out of memory"), "out_of_memory", "job"),
        (torch.cuda.OutOfMemoryError("CUDA out of memory"), "out_of_memory", "job"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "out_of_memory", "job"),
        (MemoryError("no more"), "out_of_memory", "job"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_troubles_of_device_and_job(judge, role, trouble, status, blame):
    verdict, _ = judge(**{role: {"bind": trouble}})
    assert place(verdict) == (status, "correctness", blame)
    assert str(trouble) in verdict.error.message


def test_a_job_that_says_nowhere_what_to_call_with(judge):
    verdict, _ = judge(io=None, workloads=None)
    assert place(verdict) == ("invalid_job", "correctness", "job")


@pytest.mark.parametrize("spec", [{"shape": [1 << 20, 1 << 20]}, {"shape": [2, 2], "strides": [1 << 39, 1]}])
def test_tensors_that_no_host_can_hold_are_never_made(judge, spec):
    io = {"args": [{"name": "x", "type": "tensor", "tensor_spec": spec}]}
    verdict, session = judge(io=io, workloads=None)
    assert place(verdict) == ("out_of_memory", "correctness", "job")
    assert verdict.error.memory.where == "host"
    assert verdict.error.memory.needed_bytes > verdict.error.memory.limit_bytes > 0
    assert session.candidate.verbs == session.reference.verbs == ["load"]


def test_a_fault_of_the_judge_is_no_verdict(judge):
    with pytest.raises(ZeroDivisionError):
        judge({"run": ZeroDivisionError()})


# --- what the user reads ----------------------------------------------------------------------------


def test_the_users_own_error_is_passed_on_word_for_word():
    report = report_of(failed())
    assert (report.type, report.message, report.hint, report.traceback_tail) == (
        "ValueError",
        "mine",
        "do",
        "line 3",
    )


def test_what_was_seen_from_outside():
    assert "within 1.5 s" in report_of(RunnerSilent("reference", 1.5)).message
    assert "the candidate's process ended" in report_of(RunnerLost("candidate", "x")).message
