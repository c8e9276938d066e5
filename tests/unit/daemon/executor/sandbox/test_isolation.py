"""The outcome of a probe: what it gives to runners, to results and to whoever asks for more."""

from pathlib import Path

import pytest

from kbd.daemon.executor.sandbox.cgroup import CgroupHome
from kbd.daemon.executor.sandbox.isolation import Isolation, IsolationSettings, IsolationTooWeak
from kbd.daemon.executor.sandbox.layers import Layer, Level
from kbd.daemon.executor.sandbox.plan import Bounds

ROOTS = frozenset(Layer) - {Layer.USER_NAMESPACE}
USERS = frozenset(Layer) - {Layer.OWN_UID}
SETTINGS = IsolationSettings(first_uid=500, uids=3, bounds=Bounds(processes=7), hidden=("/state",))


def test_runners_get_the_layers_and_the_bounds():
    sandbox = Isolation(SETTINGS, layers=ROOTS, cuda=True).sandbox(0)
    assert sandbox.layers == ROOTS
    assert sandbox.bounds.processes == 7
    assert sandbox.hidden == ("/state",)
    assert sandbox.cuda
    assert sandbox.cgroups == ()


def test_uids_go_round():
    isolation = Isolation(SETTINGS, layers=ROOTS)
    assert [isolation.sandbox(number).uid for number in range(5)] == [500, 501, 502, 500, 501]


def test_groups_are_never_used_twice():
    isolation = Isolation(SETTINGS, layers=ROOTS, cgroups=CgroupHome((Path("/cgroup"),)))
    groups = [isolation.sandbox(number).cgroups for number in range(5)]
    assert len(set(groups)) == 5


def test_everything_in_force_is_reported():
    report = Isolation(SETTINGS, layers=ROOTS, landlock_abi=7).report()
    assert report.user == "a uid of its own (500 to 502)"
    assert (report.landlock_abi, report.network, report.pids) == (7, "none", "own namespace")
    assert report.layers == tuple(layer.value for layer in Layer if layer in ROOTS)
    assert report.missing == ()


def test_an_ordinary_user_is_reported():
    assert Isolation(SETTINGS, layers=USERS).report().user == "uid 1000 in a user namespace"


def test_nothing_in_force_is_reported():
    report = Isolation(SETTINGS, absent=((Layer.PID, "no such thing"),)).report()
    assert (report.user, report.network, report.pids) == ("the daemon's own", "the host's", "the host's")
    assert report.landlock_abi is None
    assert report.missing == ("PID namespace: no such thing",)


def test_a_layer_that_does_not_hold_is_applied_but_not_claimed():
    isolation = Isolation(SETTINGS, layers=ROOTS, ineffective=((Layer.SECCOMP, "tracing works"),))
    assert Layer.SECCOMP in isolation.sandbox(0).layers
    assert Layer.SECCOMP not in isolation.in_force
    assert isolation.level is Level.NONE
    assert isolation.report().missing == ("seccomp: tracing works",)


def test_enough_is_enough():
    Isolation(SETTINGS, layers=ROOTS).require(Level.FULL)
    Isolation(SETTINGS).require(Level.NONE)


def test_too_little_is_refused_with_what_is_missing():
    absent = ((Layer.NETWORK, "Operation not permitted"),)
    isolation = Isolation(SETTINGS, layers=ROOTS - {Layer.NETWORK}, absent=absent)
    with pytest.raises(IsolationTooWeak) as caught:
        isolation.require(Level.NAMESPACES)
    message = str(caught.value)
    assert "isolation.minimum is namespaces, this host gives process" in message
    assert "network namespace: Operation not permitted" in message
