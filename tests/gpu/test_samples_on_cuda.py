"""The same samples on a CUDA device, judged by the same daemon."""

import json
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parent.parent / "samples"
DEVICE = "cuda"


def expected(sample, name):
    return json.loads((sample / "expected.json").read_text()).get(name, True)


@pytest.mark.xdist_group("gpu")
def test_sample(sample, sample_results, sample_check):
    result = sample_results[sample.name]
    sample_check(sample, result, DEVICE)
    if result["status"] == "passed" and expected(sample, "timed"):
        performance = result["workloads"][0]["performance"]
        assert performance["method"] == ("graph" if expected(sample, "captured") else "events")
        assert (performance["candidate"]["device"] is not None) is expected(sample, "captured")


@pytest.mark.xdist_group("gpu")
def test_result_names_device_driver_and_clocks(sample_results):
    device = sample_results["honest_model"]["device"]
    assert device["kind"] == "cuda"
    assert device["uuid"].startswith("GPU-")
    assert device["arch"].startswith("sm_")
    assert device["driver"]
    assert device["clocks_mhz"]["before"]["sm"] > 0
    assert device["clocks_mhz"]["after"]["sm"] > 0


POISON = """
import torch


class ModelNew(torch.nn.Module):
    def forward(self, x):
        far = torch.full((1,), 1 << 40, device=x.device)
        return torch.relu(x) + x.view(-1)[far]
"""
JOB = """
version: 1
candidate: {kernel_type: torch, source_code: %s}
io: {args: [{name: x, type: tensor, tensor_spec: {shape: [64, 33], dtype: float32}}]}
"""


@pytest.mark.xdist_group("gpu")
def test_device_error_of_one_job_does_not_reach_the_next(make_daemon):
    daemon = make_daemon()
    good = (SAMPLES / "honest_model" / "candidate.py").read_text()
    daemon.deliver("a-poison.yaml", JOB % json.dumps(POISON))
    daemon.deliver("b-good.yaml", JOB % json.dumps(good))
    daemon.run_once(device="cuda")
    results = daemon.results()
    assert results["a-poison"]["status"] in {"runtime_error", "crashed"}
    assert results["a-poison"]["blame"] == "candidate"
    assert results["b-good"]["status"] == "passed"
