"""How much memory there is, also where a container says so, and whether the system ran out of it."""

import os

import pytest

from kbd.daemon.executor.sandbox import host_memory
from kbd.daemon.executor.sandbox.host_memory import (
    host_memory_bytes,
    limits_above,
    processes_killed_for_memory,
)

BUILT_IN = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_there_is_no_more_than_what_is_built_in():
    assert 0 < host_memory_bytes() <= BUILT_IN


@pytest.mark.parametrize("name", ["memory.max", "memory.limit_in_bytes"])
def test_a_container_allows_less(tmp_path, monkeypatch, name):
    group = tmp_path / "container" / "daemon"
    group.mkdir(parents=True)
    (tmp_path / "container" / name).write_text("4096\n")
    (group / name).write_text("max\n" if name == "memory.max" else "9223372036854771712\n")
    monkeypatch.setattr(host_memory, "own_groups", lambda: [(group, "memory"), (tmp_path, "pids")])
    assert host_memory_bytes() == 4096


def test_where_groups_cannot_be_read_the_machine_counts(monkeypatch):
    def refuse():
        raise PermissionError

    monkeypatch.setattr(host_memory, "own_groups", refuse)
    assert host_memory_bytes() == BUILT_IN


def test_no_limit_anywhere(tmp_path):
    assert list(limits_above(tmp_path)) == []


def test_the_kernels_count_of_those_it_killed(tmp_path):
    counters = tmp_path / "vmstat"
    counters.write_text("pgfree 7\noom_kill 3\noom_kill_other 9\n")
    assert processes_killed_for_memory(str(counters)) == 3
    assert processes_killed_for_memory(str(tmp_path / "none")) == 0
    counters.write_text("pgfree 7\n")
    assert processes_killed_for_memory(str(counters)) == 0
