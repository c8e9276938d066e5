"""A reference that works in place and returns nothing is compared by its inout arguments."""

import pytest

JOB = """
version: 1
reference: {kernel_type: torch, source_code: "def f(x):\\n    x.add_(1)"}
candidate: {kernel_type: torch, source_code: "def f(x):\\n    pass"}
io:
  args:
    - {name: x, type: tensor, role: inout, tensor_spec: {shape: [64], dtype: float32}}
evaluation: {num_correct_trials: 3, mode: correctness}
"""


@pytest.mark.xdist_group("standing")
def test_a_candidate_that_does_nothing_does_not_pass(standing):
    standing.deliver("does-nothing.yaml", JOB)
    result = standing.await_results("does-nothing")["does-nothing"]
    assert result["status"] != "passed", result
