"""What Landlock leaves within reach, for each kind of sandbox."""

from pathlib import Path

import pytest

from kbd.daemon.executor.sandbox import landlock
from kbd.daemon.executor.sandbox.confinement import rules_for
from kbd.daemon.executor.sandbox.layers import Layer
from kbd.daemon.executor.sandbox.plan import Sandbox
from kbd.daemon.executor.sandbox.visible_tree import Link, Shown, VisibleTree

VISIBLE = VisibleTree((Shown("/usr", "/usr"),), (Link("/bin", "usr/bin"),))
BOTH = {Layer.MOUNT, Layer.PID}


def rights(*layers, cuda=False):
    rules = rules_for(Sandbox(layers=frozenset(layers), cuda=cuda), VISIBLE, Path("/work/runner"))
    return {rule.path: rule.rights for rule in rules}


def test_a_cuda_driver_may_write_to_the_processes_entries_of_its_own_namespace():
    assert rights(*BOTH, cuda=True)["/proc"] & landlock.WRITE_FILE
    assert not rights(*BOTH, cuda=True)["/proc"] & landlock.MAKE_REG


@pytest.mark.parametrize(
    ("layers", "cuda"), [(BOTH, False), ({Layer.MOUNT}, True), (set(), True)], ids=["cpu", "no PID", "bare"]
)
def test_nobody_else_may(layers, cuda):
    assert rights(*layers, cuda=cuda)["/proc"] == landlock.READING


@pytest.mark.parametrize("layers", [BOTH, set()], ids=["own root", "host's root"])
def test_the_system_is_for_reading(layers):
    found = rights(*layers)
    assert found["/" if layers else "/usr"] == landlock.READING
    assert not found["/dev"] & (landlock.MAKE_REG | landlock.EXECUTE)


def test_in_the_hosts_root_only_the_runners_own_folder_is_its_own():
    found = rights()
    assert found["/work/runner"] == landlock.OWN
    assert "/" not in found
    assert "/work" not in found
