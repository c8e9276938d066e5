"""Tests that share a daemon run in one process; else each process would start one."""

import os

import pytest


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="all tests run in one process")
@pytest.mark.xdist_group("together")
def test_groups_are_kept_together(request):
    assert request.node.nodeid.endswith("@together"), "pytest-xdist does not see the groups of this pytest"
