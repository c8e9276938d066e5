"""Requests of the original server, dropped as they are, on a machine without a GPU."""

import json
from pathlib import Path

import pytest

from kbd.backends.build_tools import find_nvcc

PAYLOADS = sorted((Path(__file__).parent.parent / "unit" / "inbox" / "payloads").glob("*.json"))


# Interpreted, a launch of a million elements takes seconds, and on a busy host many: one such payload is enough.
SMALLER = {"[1024, 1024]": "[64, 1024]", "1048576": "65536", '"x": 1024': '"x": 64'}


@pytest.fixture(scope="module")
def results(make_daemon):
    daemon = make_daemon()
    for payload in PAYLOADS:
        text = json.dumps(json.loads(payload.read_text()) | {"num_trials": 2, "timeout": 200})
        if "gelu" in payload.stem:
            for large, small in SMALLER.items():
                assert large in text
                text = text.replace(large, small)
        daemon.deliver(payload.name, text)
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
