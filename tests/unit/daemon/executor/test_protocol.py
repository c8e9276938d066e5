"""Every message survives its way, and only what is allowed in a direction passes in it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from kbd.daemon.executor import compiler_protocol, protocol, runner_protocol
from kbd.daemon.executor.channel import HEADER, BadFrame, decode, encode
from kbd.daemon.executor.compiler_protocol import Compile, Compiled, FromCompiler, FromDaemonToCompiler
from kbd.daemon.executor.protocol import (
    DeviceTarget,
    Evaluate,
    Evaluated,
    Fork,
    Forked,
    ForkFailed,
    FromDaemonToJudge,
    FromDaemonToNursery,
    FromJudge,
    FromNursery,
    JudgeReady,
    LeaseGranted,
    LeaseReleased,
    LeaseWanted,
    Probe,
    Probed,
    Progress,
    Ready,
    StageLimits,
    WorkloadPlan,
)
from kbd.daemon.executor.runner_protocol import (
    Bind,
    BindSets,
    Burst,
    Done,
    Export,
    Failed,
    FromJudgeToRunner,
    FromNewRunner,
    FromRunner,
    Launched,
    Launches,
    LaunchSeen,
    Listen,
    Load,
    Loaded,
    Made,
    MakeInputs,
    Map,
    Okay,
    Prepare,
    Prepared,
    Ran,
    Run,
    SetsBound,
    TakeArtifact,
    Warm,
)
from kbd.daemon.executor.tensor_messages import Slot, TensorMeta, Values
from kbd.daemon.judge.verdict import JudgeTimings, Verdict
from kbd.inbox.bound_contract import BoundArg, BoundContract, BoundTensor
from kbd.inbox.dtypes import DType
from kbd.inbox.manifest import Evaluation, KernelCode
from kbd.inbox.tensor_init import InitKind, TensorInit
from kbd.outbox.circumstances import DeviceReport
from kbd.outbox.verdict import EvaluationStatus

KERNEL = KernelCode(
    kernel_type="torch", source_code="def f(x):\n    return '✓\\0'\n", metadata={"a": [1, None]}
)
CONTRACT = BoundContract(
    axes={"N": 4},
    args=(
        BoundArg(
            name="x",
            type="tensor",
            role="input",
            tensor=BoundTensor(
                shape=(4, 0), dtype=DType.BFLOAT16, init=TensorInit(kind=InitKind.FULL, fill_value=2)
            ),
        ),
        BoundArg(name="scale", type="float", role="input", value=0.5),
        BoundArg(name="flag", type="bool", role="input", value=True),
    ),
)
META = TensorMeta(shape=(2, 3), dtype="float32", stride=(1, 2))
SLOT = Slot(arena=1, offset=256, meta=META)
VALUES = Values(tree=[{"tensor": 0}, 1, 2.5, None, "text"], tensors=(META,))
CPU = DeviceTarget(kind="cpu", threads=2)
LIMITS = StageLimits(load_s=1, correctness_s=2, timing_s=3, timing_budget_s=0.5)
REPORT = DeviceReport(kind="cpu", name="a processor")

MESSAGES = {
    FromDaemonToNursery: [Fork(token=1, child="runner", folder="/work/ä", device=CPU)],
    FromNursery: [
        Ready(environment={"torch": "2.8", "triton": None}),
        Forked(token=1, pid=77),
        ForkFailed(token=1, message="Resource temporarily unavailable"),
    ],
    FromDaemonToJudge: [
        Evaluate(
            job_id="j",
            candidate=KERNEL,
            reference=KERNEL,
            workloads=(WorkloadPlan(name="w", axes={"N": 4}, inputs=CONTRACT, candidate=CONTRACT),),
            evaluation=Evaluation(seed=(1 << 63) - 1),
            folder="/spool/j.job",
            seconds_left=9.5,
            limits=LIMITS,
        ),
        LeaseGranted(),
        protocol.CandidateEnded(),
        Probe(),
        protocol.Forget(),
    ],
    FromJudge: [
        JudgeReady(device=REPORT),
        Progress(stage="load", role="reference", workload="w"),
        LeaseWanted(),
        LeaseReleased(),
        protocol.CandidateDone(),
        Probed(seconds=0.001, free_bytes=1 << 36, problem="broken"),
        protocol.Forgotten(done=True),
        Evaluated(
            verdict=Verdict(
                status=EvaluationStatus.PASSED,
                correct=True,
                speedup=1.25,
                speedup_ci95=(1.0, 1.5),
                device=REPORT,
                timings=JudgeTimings(load=0.25),
                seed=17,
                notes=("a", "b"),
            )
        ),
    ],
    FromJudgeToRunner: [
        TakeArtifact(nbytes=7),
        Load(
            role="candidate",
            kernel=KERNEL,
            contracts=(CONTRACT, CONTRACT),
            init_seed=(1 << 63) - 1,
            init_inputs=VALUES,
            init_slots=(SLOT,),
        ),
        Map(arena=0, nbytes=4096, handle="AAAA"),
        Bind(index=3, workload=1, values=[{"tensor": 0}], slots=(SLOT,), outputs=(SLOT,)),
        MakeInputs(seed=5),
        Launches(index=1),
        Run(index=0),
        Export(what="outputs", slots=(SLOT,)),
        BindSets(
            count=3, values=[{"tensor": 0}], slots=(SLOT,), stride=512, outputs=(SLOT,), output_stride=256
        ),
        Prepare(bursts=((), (0, 1), (5, 2)), method="graph"),
        Prepare(bursts=((0,),), method="eager", kept=(SLOT,), kept_stride=512, kept_sets=1),
        Burst(index=1, keep=True),
        Listen(),
        runner_protocol.ForgetJob(),
    ],
    FromNewRunner: [Warm()],
    FromRunner: [
        Launched(
            launches=(
                LaunchSeen(kernel="k", count=2, grid=(1, 2, 3), spills=0, config={"B": 1, "A": "relu"}),
            )
        ),
        Loaded(setup_us=1.5, makes_inputs=True, init_inputs=VALUES),
        Made(values=VALUES),
        Ran(values=VALUES, peak_bytes=1 << 40),
        SetsBound(outputs=(SLOT.meta,), in_place=True),
        Prepared(method="eager", reason="no"),
        Done(claimed_us=0.0),
        Okay(),
        Failed(
            status="compile_error", type="SyntaxError", message="línea 3", hint="h", traceback_tail="t\nt"
        ),
    ],
    FromDaemonToCompiler: [
        Compile(kernel=KERNEL, target="cuda", arch="sm_90", contracts=(CONTRACT,), archive_bytes=9, jobs=2),
    ],
    FromCompiler: [Compiled(nbytes=9, unfinished="it wants a device")],
}
CASES = [(adapter, message) for adapter, messages in MESSAGES.items() for message in messages]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
each_message = pytest.mark.parametrize(
    ("adapter", "message"), CASES, ids=[type(message).__name__ for _, message in CASES]
)


def body_of(message):
    return encode(message)[HEADER.size :]


@each_message
def test_round_trip(adapter, message):
    received = decode(adapter, body_of(message))
    assert received == message
    assert type(received) is type(message)


def test_no_message_is_left_out():
    kinds = {
        name
        for name, entry in (vars(protocol) | vars(runner_protocol) | vars(compiler_protocol)).items()
        if isinstance(entry, type) and issubclass(entry, protocol.Message) and "kind" in entry.model_fields
    }
    assert {type(message).__name__ for _, message in CASES} == kinds - {"DeviceTarget", "Overlap"}


@each_message
def test_messages_pass_in_their_own_direction_only(adapter, message):
    for other in MESSAGES:
        if other is not adapter and (other, type(message)) != (FromCompiler, Failed):
            with pytest.raises(BadFrame):
                decode(other, body_of(message))


@each_message
def test_a_surplus_field_is_refused(adapter, message):
    with pytest.raises(BadFrame):
        decode(adapter, json.dumps(json.loads(body_of(message)) | {"surplus": 1}).encode())


@each_message
def test_messages_cannot_be_changed(adapter, message):
    with pytest.raises(ValidationError):
        message.kind = "other"


@given(st.sampled_from(MESSAGES[FromRunner]), st.data())
def test_any_change_to_what_a_runner_says_is_understood_or_refused(message, data):
    fields = json.loads(body_of(message))
    changed = data.draw(st.sampled_from(sorted(fields)))
    fields[changed] = data.draw(JSON)
    try:
        received = decode(FromRunner, json.dumps(fields).encode())
    except BadFrame:
        return
    assert isinstance(received, tuple(type(known) for known in MESSAGES[FromRunner]))


@pytest.mark.parametrize(
    "forged",
    [
        {"shape": [-1], "dtype": "float32"},
        {"shape": [1 << 49], "dtype": "float32"},
        {"shape": [1] * 33, "dtype": "float32"},
        {"shape": [1.5], "dtype": "float32"},
        {"shape": [2], "dtype": "float32", "stride": [-1]},
        {"shape": [2], "dtype": "x" * 257},
        {"shape": [2], "dtype": 7},
        {"shape": None, "dtype": "float32"},
        {"shape": [2], "dtype": "float32", "pointer": 0},
    ],
    ids=str,
)
def test_forged_tensors_are_refused(forged):
    body = json.dumps({"kind": "ran", "values": {"tree": None, "tensors": [forged]}}).encode()
    with pytest.raises(BadFrame):
        decode(FromRunner, body)


@pytest.mark.parametrize(
    "forged",
    [
        {"kind": "loaded", "setup_us": -1, "makes_inputs": False},
        {"kind": "prepared", "method": "psychic"},
        {"kind": "failed", "status": "passed", "type": "T", "message": "m"},
        {"kind": "failed", "status": "runtime_error", "type": "T", "message": "m" * 65_537},
        {"kind": "ran", "values": {"tree": 0, "tensors": []}, "peak_bytes": -1},
        {"kind": "made", "values": {"tree": 0, "tensors": [{"shape": [], "dtype": "int8"}] * 4097}},
    ],
    ids=lambda forged: forged["kind"],
)
def test_forged_answers_are_refused(forged):
    with pytest.raises(BadFrame):
        decode(FromRunner, json.dumps(forged).encode())


def test_a_refusal_never_repeats_the_forged_text():
    with pytest.raises(BadFrame) as refusal:
        decode(FromRunner, b'{"kind": "done", "claimed_us": "the secret"}')
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(("kind", "name"), [("cpu", "cpu"), ("cuda", "cuda:0")])
def test_a_process_sees_one_device_alone(kind, name):
    assert DeviceTarget(kind=kind).torch_name == name


@pytest.mark.parametrize("field", ["load_s", "correctness_s", "timing_s", "timing_budget_s"])
def test_limits_are_positive(field):
    with pytest.raises(ValidationError):
        LIMITS.model_validate(LIMITS.model_dump() | {field: 0})
