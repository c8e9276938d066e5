"""The other side of the overhead benchmark: the same evaluation in one fresh interpreter.

It does what evaluators commonly do: start Python, import torch, load both kernels into this very process, judge,
exit. Inputs, comparison, bursts and statistics are the judge's own code, so that both sides do the same work;
only the isolation is missing.
"""

import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path

from kbd.daemon.executor.protocol import DeviceTarget, Evaluate
from kbd.daemon.executor.runner_protocol import Okay
from kbd.inbox.job_file import read_job


class SameProcessLink:
    """Stands where the judge's link to a runner stands; the harness is called directly.

    Memory needs no sharing inside one process, so "mapped" arenas are the judge's own.
    """

    rings = False  # nobody can ring and listen at once
    has_news = False

    def __init__(self, role, harness):
        self.role = role
        self.harness = harness
        self.kernel = None
        self._answers = []

    def ask(self, question, answer, limit_s, descriptors=()):
        if question.kind == "map":
            arenas = self.kernel.lender._arenas
            self.harness._arenas[question.arena] = arenas[question.arena].memory
            return Okay()
        return getattr(self.harness, question.kind)(question)

    def pose(self, question, limit_s, descriptors=()):
        self._answers.append(self.ask(question, None, limit_s))
        return len(self._answers) - 1

    def answer_to(self, nonce, answer, limit_s):
        return self._answers[nonce]

    def limit(self, seconds):
        return seconds

    def ask_timed(self, question, answer, limit_s):
        started = time.perf_counter_ns()
        found = self.ask(question, answer, limit_s)
        return (time.perf_counter_ns() - started) / 1e3, found


def main():
    job = read_job(Path(sys.argv[1]))
    kind = sys.argv[2]

    import torch

    from kbd.daemon.config import Limits
    from kbd.daemon.job_run import workload_plans
    from kbd.daemon.judge.device_report import DeviceInspector
    from kbd.daemon.judge.hosted_kernel import HostedKernel
    from kbd.daemon.judge.pipeline import evaluate
    from kbd.daemon.judge.session import Session
    from kbd.daemon.runner.harness import Harness

    target = DeviceTarget(kind=kind, visible=sys.argv[3] if len(sys.argv) > 3 else "", threads=2)
    limits = Limits().stages
    request = Evaluate(
        job_id=job.job_id,
        candidate=job.manifest.candidate,
        reference=job.manifest.reference,
        workloads=workload_plans(job.manifest),
        evaluation=job.manifest.evaluation,
        seconds_left=job.manifest.timeout,
        limits=limits,
    )
    torch.zeros(1, device=target.torch_name)
    kernels = {}
    for role in ("candidate", "reference"):
        folder = Path(tempfile.mkdtemp())
        link = SameProcessLink(role, Harness(target, folder))
        link.kernel = kernels[role] = HostedKernel(link, kind, limits)
    session = Session(
        request=request,
        device=torch.device(target.torch_name),
        candidate=kernels["candidate"],
        reference=kernels["reference"],
        report_progress=lambda *_: None,
        lease=contextlib.nullcontext,
        end_candidate=lambda: lambda: None,
        inspector=DeviceInspector(target),
    )
    verdict = evaluate(session)
    print(json.dumps({"status": verdict.status, "error": verdict.error and verdict.error.message}))


if __name__ == "__main__":
    main()
