"""Requests of the original server, dropped as they are but for the size of some, on a machine without a GPU."""

import json
from pathlib import Path

import pytest

from kbd.backends.build_tools import find_nvcc

PAYLOADS = sorted((Path(__file__).parent.parent / "unit" / "inbox" / "payloads").glob("*.json"))


# Interpreted, a launch of a million elements takes seconds, and on a busy host many.
SMALLER = {"[1024, 1024]": "[16, 1024]", "1048576": "16384", '"x": 1024': '"x": 16'}


@pytest.fixture(scope="module")
def results(standing, long_tests):
    for payload in PAYLOADS:
        text = json.dumps(json.loads(payload.read_text()) | {"num_trials": 2, "timeout": 200})
        if payload.stem.startswith("triton") and "1048576" in text and not long_tests:
            for large, small in SMALLER.items():
                assert large in text
                text = text.replace(large, small)
        standing.deliver(payload.name, text)
    return standing.await_results(*(payload.stem for payload in PAYLOADS))


@pytest.mark.xdist_group("standing")
@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: payload.stem)
def test_triton_is_interpreted_and_cuda_compiled(payload, results):
    result = results[payload.stem]
    kernel_type = json.loads(payload.read_text())["custom_kernel"]["kernel_type"]
    if kernel_type == "triton":
        (workload,) = result["workloads"]
        assert result["status"] == "passed", result["error"]
        assert workload["performance"]["interpreted"] is True
        assert result["interpreted"] is True
        assert (result["speedup"], workload["performance"]["speedup"]) == (None, None)
        assert workload["performance"]["launches"][0]["kernel"].endswith(("kernel", "naive"))
        return
    if find_nvcc() is None:
        pytest.skip("nvcc is not installed")
    assert (result["status"], result["blame"]) == ("unsupported", "job")
    assert "was compiled, and cannot be run" in result["error"]["message"]
    assert result["timings_s"]["compile"] > 0
