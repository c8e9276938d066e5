"""The method in a result is the one that was really prepared."""

import pytest

from kbd.daemon.executor.runner_protocol import Prepared
from kbd.daemon.judge.timing import time_kernels


class Kernel:
    def __init__(self, role, longest):
        self.role, self._longest, self.methods = role, longest, []

    def prepare(self, sets, lengths, method):
        self.lengths = lengths
        method = method if max(lengths) <= self._longest else "eager"
        self.methods.append(method)
        return Prepared(method=method, reason=None if method == "graph" else "out of memory")

    def burst(self, index):
        us = 5.0 + 10.0 * self.lengths[index]
        return us, us


@pytest.mark.parametrize("longest", [1, 8])
def test_all_bursts_that_count_are_of_the_method_that_is_reported(longest):
    candidate, reference = Kernel("candidate", longest), Kernel("reference", 10_000)
    found = time_kernels(candidate, reference, sets=1, method="graph", max_samples=2, budget_s=100)
    assert {candidate.methods[-1], reference.methods[-1]} == {found.method}
