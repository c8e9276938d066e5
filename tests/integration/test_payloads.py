"""Requests of the original server, dropped as they are, on a machine without a GPU."""

import json
from pathlib import Path

import pytest

from kbd.backends.build_tools import find_nvcc

PAYLOADS = sorted((Path(__file__).parent.parent / "unit" / "inbox" / "payloads").glob("*.json"))


@pytest.fixture(scope="module")
def results(make_daemon):
    daemon = make_daemon()
    for payload in PAYLOADS:
        # Interpreted, a launch takes seconds, and on a busy host many: few trials, and patience.
        document = json.loads(payload.read_text())
        daemon.deliver(payload.name, json.dumps(document | {"num_trials": 2, "timeout": 200}))
    daemon.run_once()
    return daemon.results()


@pytest.mark.xdist_group("payloads")
@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: payload.stem)
def test_triton_is_interpreted_and_cuda_compiled(payload, results):
    result = results[payload.stem]
    kernel_type = json.loads(payload.read_text())["custom_kernel"]["kernel_type"]
    if kernel_type == "triton":
        (workload,) = result["workloads"]
        assert result["status"] == "passed", result["error"]
        assert workload["performance"]["interpreted"] is True
        assert (result["speedup"], workload["performance"]["speedup"]) == (None, None)
        assert workload["performance"]["launches"][0]["kernel"].endswith(("kernel", "naive"))
        return
    if find_nvcc() is None:
        pytest.skip("nvcc is not installed")
    assert (result["status"], result["blame"]) == ("unsupported", "job")
    assert "was compiled, and cannot be run" in result["error"]["message"]
    assert result["timings_s"]["compile"] > 0
