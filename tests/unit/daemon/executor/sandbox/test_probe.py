"""The way down the ladder, over a host that is only pretended."""

import asyncio
from dataclasses import dataclass, field

import pytest

from kbd.daemon.executor.nursery_client import NurseryFailed
from kbd.daemon.executor.protocol import DeviceTarget
from kbd.daemon.executor.sandbox.cgroup import CgroupHome
from kbd.daemon.executor.sandbox.isolation import IsolationSettings
from kbd.daemon.executor.sandbox.laboratory import Finding
from kbd.daemon.executor.sandbox.layers import FOUNDATIONS, Layer, Level
from kbd.daemon.executor.sandbox.probe import _Ladder
from kbd.daemon.executor.sandbox.refusal import LayerRefused

CPU = DeviceTarget(kind="cpu")
GROUPS = CgroupHome(())
NO_GROUPS = LayerRefused(Layer.CGROUP, "not writable")
ALL = frozenset(Layer) - {Layer.USER_NAMESPACE}


@dataclass
class Host:
    """Refuses some layers; breaks a kernel under others; does not deny some attempts."""

    refuses: dict[Layer, str] = field(default_factory=dict)
    breaks: frozenset[frozenset[Layer]] = frozenset()
    breaches: dict[str, str] = field(default_factory=dict)
    device: DeviceTarget = CPU
    trials: int = 0

    async def observe(self, sandbox):
        self.trials += 1
        for layer, reason in self.refuses.items():
            if sandbox.has(layer):
                return Finding(refused=LayerRefused(layer, reason))
        broken = any(together <= sandbox.layers for together in self.breaks)
        return Finding(faults={"computing": "error 304"} if broken else {}, breaches=self.breaches)


def climb(host, *, root=True, cgroups=GROUPS):
    ladder = _Ladder(host, IsolationSettings(), cgroups, root)
    layers = ALL if root else frozenset(Layer) - {Layer.OWN_UID}
    return asyncio.run(ladder.climb(layers))


def test_where_everything_works_one_trial_is_enough():
    host = Host()
    found = climb(host)
    assert found.layers == ALL
    assert found.level is Level.FULL
    assert found.missing == ()
    assert host.trials == 1


def test_a_refused_layer_is_left_out_with_its_reason():
    found = climb(Host(refuses={Layer.IPC: "Operation not permitted"}))
    assert found.layers == ALL - {Layer.IPC}
    assert found.missing == ("IPC namespace: Operation not permitted",)


def test_what_needs_a_refused_layer_goes_with_it():
    found = climb(Host(refuses={Layer.MOUNT: "EPERM"}))
    assert found.layers == ALL - {Layer.MOUNT, Layer.PID}
    assert set(found.missing) == {"mount namespace: EPERM", "PID namespace: needs the mount namespace"}


def test_without_user_namespaces_an_ordinary_user_keeps_what_needs_none():
    found = climb(Host(refuses={Layer.USER_NAMESPACE: "forbidden here"}), root=False)
    assert found.level is Level.PROCESS
    assert {Layer.LANDLOCK, Layer.SECCOMP, Layer.RESOURCE_LIMITS} <= found.layers
    assert "user namespace: forbidden here" in found.missing
    assert "network namespace: needs the user namespace" in found.missing


def test_without_cgroups_the_rest_is_tried_at_once():
    host = Host()
    found = climb(host, cgroups=NO_GROUPS)
    assert found.layers == ALL - {Layer.CGROUP}
    assert found.missing == ("cgroup: not writable",)
    assert host.trials == 1


@pytest.mark.parametrize("culprit", [Layer.SECCOMP, Layer.LANDLOCK, Layer.OWN_UID, Layer.PROCESS_COUNT])
def test_the_layer_that_breaks_something_is_found(culprit):
    found = climb(Host(breaks=frozenset({frozenset({culprit})})))
    assert found.layers == ALL - {culprit}
    assert found.missing == (f"{culprit}: breaks computing: error 304",)


def test_two_layers_that_break_things_are_both_found():
    both = frozenset({frozenset({Layer.SECCOMP}), frozenset({Layer.IPC})})
    found = climb(Host(breaks=both))
    assert found.layers.isdisjoint({Layer.SECCOMP, Layer.IPC})
    assert asyncio.run(Host(breaks=both).observe(found.sandbox(0))).sound


def test_layers_that_break_something_only_together_cost_one_of_them():
    found = climb(Host(breaks=frozenset({frozenset({Layer.PID, Layer.NETWORK})})))
    assert ALL - found.layers == {Layer.NETWORK}


def test_what_breaks_without_any_layer_is_not_the_sandboxs_fault():
    with pytest.raises(NurseryFailed, match="sandbox or not: computing: error 304"):
        climb(Host(breaks=frozenset({frozenset()})))


def test_a_layer_that_denies_nothing_is_not_claimed():
    found = climb(Host(breaches={"network": "a TCP port of the host can be reached"}))
    assert Layer.NETWORK in found.layers
    assert Layer.NETWORK not in found.in_force
    assert found.level is Level.PROCESS


@pytest.mark.parametrize(("controllers", "bounded"), [({"memory", "pids"}, True), ({"memory"}, False)])
def test_a_group_bounds_processes_where_the_kernel_does_not_count_them(controllers, bounded):
    host = Host(breaches={"more processes than allowed": "the kernel does not count this user's processes"})
    found = climb(host, cgroups=CgroupHome((), frozenset(controllers)))
    assert (Layer.PROCESS_COUNT in found.in_force) is bounded


@pytest.mark.parametrize("foundation", FOUNDATIONS)
def test_root_without_a_foundation_keeps_its_namespaces(foundation):
    ladder = _Ladder(Host(refuses={foundation: "no"}), IsolationSettings(), NO_GROUPS, root=True)
    found = asyncio.run(ladder.climb(frozenset(Layer) - set(FOUNDATIONS) | {foundation}))
    assert {Layer.MOUNT, Layer.PID, Layer.NETWORK} <= found.layers
