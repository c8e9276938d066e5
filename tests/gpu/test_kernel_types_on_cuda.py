"""Every kernel type on a CUDA device: requests of the original server, and what the result says of the launches."""

import json
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAYLOADS = sorted((ROOT / "unit" / "inbox" / "payloads").glob("*.json"))
SAMPLES = (
    "triton_autotuned",
    "triton_module",
    "triton_decoy",
    "cuda_cluster",
    "multi_kernel",
    "cuda_sum_reduction",
)
NVRTC = """
version: 1
candidate:
  kernel_type: cuda
  metadata: {backend: nvrtc, name_expressions: ["scale<float>"]}
  source_code: |
    #include <cuda_fp16.h>
    template <typename T>
    __global__ void scale(T* x, T by, int n) {
      int i = blockIdx.x * blockDim.x + threadIdx.x;
      if (i < n) x[i] *= by;
    }
io:
  args:
    - {name: x, type: tensor, role: inout, tensor_spec: {shape: [1000], dtype: float32}}
    - {name: by, type: float, value: 0.5}
    - {name: n, type: int, value: 1000}
  launch: {grid: 4, block: 256}
"""


@pytest.fixture(scope="module")
def results(make_daemon):
    daemon = make_daemon()
    for payload in PAYLOADS:
        daemon.deliver(payload.name, payload.read_text())
    for name in SAMPLES:
        daemon.deliver_sample(ROOT / "samples" / name)
    daemon.deliver("nvrtc.yaml", textwrap.dedent(NVRTC))
    print(daemon.run_once(device="cuda"))
    return daemon.results()


def launches(result, workload=0):
    return result["workloads"][workload]["performance"]["launches"]


@pytest.mark.xdist_group("gpu")
@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: payload.stem)
def test_requests_of_the_original_server_pass(payload, results):
    result = results[payload.stem]
    assert result["status"] == "passed", result["error"]
    performance = result["workloads"][0]["performance"]
    assert performance["method"] == "graph", performance["method_reason"]
    assert performance["interpreted"] is False
    assert performance["speedup"] > 0
    # The sets of the captured bursts, which are about 1,000 us long; those of the plain loops are far fewer.
    assert performance["input_sets"] >= min(700, 250 / performance["candidate"]["device"]["median"])
    (launch,) = launches(result)
    io = json.loads(payload.read_text())["custom_kernel"]["io"]
    assert launch["count"] == 1
    assert launch["grid"][0] == io["launch"]["grid"]["x"]
    assert launch["registers"] > 0
    assert launch["spills"] == 0


@pytest.mark.xdist_group("gpu")
def test_nothing_is_compiled_where_bare_kernels_are_loaded(results):
    for payload in PAYLOADS:
        result = results[payload.stem]
        assert result["timings_s"]["compile"] > 0
        assert not [note for note in result["notes"] if "built where it was loaded" in note]


@pytest.mark.xdist_group("gpu")
def test_the_configuration_that_autotune_chose_is_told(results):
    result = results["triton_autotuned"]
    assert result["status"] == "passed", result["error"]
    (launch,) = launches(result)
    assert launch["config"]["BLOCK_SIZE"] in (128, 256)
    assert launch["num_warps"] == {128: 2, 256: 4}[launch["config"]["BLOCK_SIZE"]]
    assert launch["block"] == [32 * launch["num_warps"], 1, 1]


@pytest.mark.xdist_group("gpu")
def test_launches_of_torch_and_of_ones_own_stand_side_by_side(results):
    names = [launch["kernel"] for launch in launches(results["multi_kernel"])]
    assert "add_kernel" in names
    assert any("reduce" in name for name in names)


@pytest.mark.xdist_group("gpu")
def test_a_decoy_is_noted_with_what_ran_instead(results):
    (note,) = [note for note in results["triton_decoy"]["notes"] if note.startswith("decoy")]
    assert "what ran: " in note


@pytest.mark.xdist_group("gpu")
def test_shared_memory_of_both_kinds_is_told(results):
    (launch,) = [one for one in launches(results["cuda_sum_reduction"]) if one["kernel"].startswith("sum(")]
    assert launch["shared_bytes"] == 1024
    assert launch["block"] == [256, 1, 1]


@pytest.mark.xdist_group("gpu")
@pytest.mark.parametrize("job", ["nvrtc", "cuda_cluster", "triton_module"])
def test_it_passes(job, results):
    assert results[job]["status"] == "passed", results[job]["error"]
