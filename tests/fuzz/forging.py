"""A judge between two runners that lie: they answer as honest ones would, with something changed now and then."""

import contextlib
import json
import os
import threading

import torch
from hypothesis import strategies as st

from kbd.daemon.executor.async_channel import channel_pair
from kbd.daemon.executor.channel import HEADER, Channel, ChannelError
from kbd.daemon.executor.protocol import DeviceTarget, Evaluate, StageLimits
from kbd.daemon.executor.runner_protocol import (
    Done,
    Failed,
    FromJudgeToRunner,
    Launched,
    LaunchSeen,
    Loaded,
    Made,
    Okay,
    Prepared,
    Ran,
    SetsBound,
)
from kbd.daemon.executor.tensor_messages import Overlap, TensorMeta, Values
from kbd.daemon.job_run import workload_plans
from kbd.daemon.judge.device_report import DeviceInspector
from kbd.daemon.judge.hosted_kernel import HostedKernel
from kbd.daemon.judge.pipeline import evaluate
from kbd.daemon.judge.runner_link import Deadline, RunnerLink
from kbd.daemon.judge.session import Session
from kbd.daemon.judge.verdict import Verdict
from kbd.inbox.formats.registry import parse_manifest
from tests.fuzz.documents import VALUES, part, places, replaced

SOURCE = "def double(x):\n    return x + x\n"
JOB = {
    "reference": {"kernel_type": "torch", "source_code": SOURCE},
    "candidate": {"kernel_type": "torch", "source_code": SOURCE},
    "evaluation": {"num_correct_trials": 2, "num_trials": 3, "seed": 7},
}
IO = {"args": [{"name": "x", "type": "tensor", "tensor_spec": {"shape": [4], "dtype": "float32"}}]}
TARGET = DeviceTarget(kind="cpu")
LIMITS = StageLimits(load_s=5, correctness_s=5, timing_s=5, timing_budget_s=0.05)
TENSOR = TensorMeta(shape=(4,), dtype="float32", stride=(1,))
ONE = Values(tree=[{"tensor": 0}, 1.5, {"dict": [["a", {"float": "nan"}]]}], tensors=(TENSOR,))
RETURNED = ONE.model_copy(update={"overlaps": (Overlap(output=0, kind="input", other=0),)})
HONEST = {
    "load": Loaded(setup_us=1, makes_inputs=True, init_inputs=Values(tree=[]), notes=("a remark",)),
    "make_inputs": Made(values=ONE),
    "run": Ran(values=ONE, precise=ONE, peak_bytes=5, exported=("outputs", "precise")),
    "launches": Launched(
        launches=(LaunchSeen(kernel="k", count=1, grid=(1, 1, 1), config={"num_warps": 4}),)
    ),
    "bind_sets": SetsBound(outputs=(TENSOR,), in_place=False),
    "prepare": Prepared(method="eager", reason="no capture"),
    "burst": Done(claimed_us=5),
}
ELSE = (
    Failed(status="runtime_error", type="ValueError", message="m", hint="h", traceback_tail="t"),
    Ran(values=RETURNED, imprecise="no"),
    Okay(),
)

# Of one answer: which part of it, and what to put there; a text is the whole frame instead.
CHANGES = st.tuples(
    st.integers(0, 40),
    st.just(...) | VALUES | st.sampled_from([1 << 40, "x" * 300, "float64", [1 << 20] * 3]),
)
MOVES = st.none() | st.lists(CHANGES, min_size=1, max_size=2) | st.binary(max_size=30) | st.sampled_from(ELSE)
# Most answers are honest, so that a judge gets far.
SCRIPTS = st.dictionaries(st.integers(0, 40), MOVES, max_size=3)
LIES = st.tuples(st.sampled_from([None, IO]), SCRIPTS, SCRIPTS)


def _answer(question, move):
    """A frame."""
    if isinstance(move, bytes):
        return HEADER.pack(len(move)) + move
    honest = HONEST.get(question.kind, Okay()) if move is None or isinstance(move, list) else move
    document = honest.model_dump(mode="json") | {"nonce": question.nonce}
    for place, new in move if isinstance(move, list) else ():
        paths = list(places(document))[1:]
        path = paths[place % len(paths)]
        if new is ... and isinstance(part(document, path[:-1]), list | dict):
            document = replaced(document, path, ...)
        elif new is not ...:
            document = replaced(document, path, new)
    body = json.dumps(document).encode()
    return HEADER.pack(len(body)) + body


class Liar:
    """A runner that is a thread of this process."""

    def __init__(self, script):
        self.ours, self._theirs = channel_pair()
        self._script = script
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        channel = Channel(self._theirs, FromJudgeToRunner)
        with self._theirs, contextlib.suppress(ChannelError, OSError):
            number = 0
            while True:
                question, descriptors = channel.receive_with_descriptors()
                for descriptor in descriptors:
                    with contextlib.suppress(OSError):
                        os.close(descriptor)
                self._theirs.sendall(_answer(question, self._script.get(number)))
                number += 1

    def end(self):
        self._thread.join(60)


def judged(lies):
    """What a judge says of a job whose candidate and reference lie so."""
    contract, candidate_lies, reference_lies = lies
    manifest = parse_manifest(JOB if contract is None else {**JOB, "io": contract}, default_id="job")
    request = Evaluate(
        job_id="job",
        candidate=manifest.candidate,
        reference=manifest.reference,
        workloads=workload_plans(manifest),
        evaluation=manifest.evaluation,
        seconds_left=20.0,
        limits=LIMITS,
    )
    liars = {"candidate": Liar(candidate_lies), "reference": Liar(reference_lies)}
    kernels = {
        role: HostedKernel(RunnerLink(role, liar.ours, Deadline(20)), "cpu", LIMITS)
        for role, liar in liars.items()
    }
    try:
        session = Session(
            request=request,
            device=torch.device("cpu"),
            report_progress=lambda *_: None,
            lease=contextlib.nullcontext,
            inspector=DeviceInspector(TARGET),
            end_candidate=lambda: lambda: None,
            **kernels,
        )
        verdict = evaluate(session)
        return Verdict.model_validate_json(verdict.model_dump_json())
    finally:
        for kernel in kernels.values():
            kernel.release()
        for liar in liars.values():
            liar.end()
