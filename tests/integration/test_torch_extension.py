"""An extension on PyTorch's own headers, as people write them, in a payload of the original server.

Compiling these headers takes a minute or more, so there is one such test, it asks everything, and it includes only
what it needs; with KBD_TEST_LONG=1 all that `load_inline` includes by itself.
"""

import json

import pytest

from kbd.backends.torch_cuda.builder import why_cannot_build

LIMIT_S = 1500

REFERENCE = """
import torch

class Model(torch.nn.Module):
    def forward(self, x):
        return torch.relu(x) + 1

def get_inputs():
    return [torch.randn(33, 65)]

def get_init_inputs():
    return []
"""
CANDIDATE = '''
import torch
import torch.nn as nn
from torch.utils.cpp_extension import load_inline

headers = """
#include <ATen/Dispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/Exceptions.h>
#include <torch/csrc/utils/pybind.h>
namespace torch { using at::Tensor; using at::empty_like; }
"""
source = """
torch::Tensor shifted_relu(torch::Tensor x) {
    auto y = torch::empty_like(x);
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "shifted_relu", [&] {
        const scalar_t* from = x.data_ptr<scalar_t>();
        scalar_t* to = y.data_ptr<scalar_t>();
        for (int64_t i = 0; i < x.numel(); ++i) to[i] = (from[i] > 0 ? from[i] : scalar_t(0)) + 1;
    });
    return y;
}
"""

extension = load_inline(
    name="shifted_relu",
    cpp_sources=source if ALL_HEADERS else headers + source,
    functions=["shifted_relu"],
    extra_cflags=["-O0"],
    no_implicit_headers=not ALL_HEADERS,
    verbose=True,
)


class ModelNew(nn.Module):
    def forward(self, x):
        return extension.shifted_relu(x)
'''


@pytest.mark.slow
@pytest.mark.timeout(2 * LIMIT_S)
@pytest.mark.skipif(why_cannot_build(needs_cuda=False) is not None, reason="no compiler, or no ninja")
def test_a_legacy_payload_is_built_once_and_passes(daemon, long_tests):
    candidate = f"ALL_HEADERS = {long_tests}" + CANDIDATE
    payload = {"ref_code": REFERENCE, "custom_code": candidate, "num_trials": 10, "timeout": LIMIT_S}
    for name in ("first", "second"):
        daemon.deliver(f"{name}.json", json.dumps(payload))
        process = daemon.start("--once", KBD_COMPILE_S=str(LIMIT_S))
        output, _ = process.communicate(timeout=2 * LIMIT_S)
        assert process.returncode == 0, output.decode()
    for name, result in daemon.results().items():
        assert result["status"] == "passed", (name, result["error"])
    assert sum(record.get("action") == "compiler_forked" for record in daemon.log()) == 1
