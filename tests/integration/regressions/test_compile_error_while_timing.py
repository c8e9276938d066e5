"""A kernel that has compiled cannot fail to compile later."""

import contextlib

import pytest
import torch

from kbd.daemon.assembly import JobIdentity, Times, result_of
from kbd.daemon.executor.local import Outcome
from kbd.daemon.executor.protocol import DeviceTarget, Evaluate, StageLimits
from kbd.daemon.executor.runner_protocol import Failed
from kbd.daemon.job_run import workload_plans
from kbd.daemon.judge.device_report import DeviceInspector
from kbd.daemon.judge.pipeline import _describe
from kbd.daemon.judge.runner_link import RunnerFailed
from kbd.daemon.judge.session import Session
from kbd.daemon.judge.verdict import JudgeTimings
from kbd.inbox.formats.registry import parse_manifest
from kbd.outbox.correctness import Correctness
from kbd.outbox.verdict import Stage

DOCUMENT = {
    "version": 1,
    "candidate": {"kernel_type": "torch", "source_code": "def f(x): return x"},
    "reference": {"kernel_type": "torch", "source_code": "def f(x): return x"},
    "io": {"args": [{"name": "x", "type": "tensor", "tensor_spec": {"shape": [4], "dtype": "float32"}}]},
}


@pytest.mark.parametrize("stage", [Stage.CORRECTNESS, Stage.TIMING])
def test_a_result_can_be_made(stage):
    manifest = parse_manifest(DOCUMENT, default_id="j", folder=None)
    request = Evaluate(
        job_id="j",
        candidate=manifest.candidate,
        reference=manifest.reference,
        workloads=workload_plans(manifest),
        evaluation=manifest.evaluation,
        seconds_left=5,
        limits=StageLimits(load_s=1, correctness_s=1, timing_s=1, timing_budget_s=1),
    )
    session = Session(
        request,
        torch.device("cpu"),
        None,
        None,
        lambda *_: None,
        contextlib.nullcontext,
        DeviceInspector(DeviceTarget(kind="cpu")),
        lambda: lambda: None,
    )
    session.stage = stage
    session.findings[0].correctness = (
        Correctness(trials=1, oracle="reference") if stage is Stage.TIMING else None
    )
    error = RunnerFailed("candidate", Failed(status="compile_error", type="CompileFailed", message="x"))
    verdict = session.verdict(JudgeTimings(), stage=stage, **_describe(session, error))
    result_of(
        JobIdentity("j", "a" * 64, 1, {}), Outcome(verdict, None, {}, None, None), Times(0, 1), {}, None
    )
