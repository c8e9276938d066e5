"""What keeps kernels from the host: told by a daemon, or tried."""

import json

import pytest

from kbd.daemon.doctor import isolation as isolation_module
from kbd.daemon.doctor.check import State
from kbd.daemon.doctor.isolation import isolation

CODE = """
from dataclasses import replace
from pathlib import Path
from kbd.daemon.cli.place import Place
from kbd.daemon.config import Settings
from kbd.daemon.doctor.check import Patient
from kbd.daemon.doctor import isolation as isolation_module
from kbd.daemon.doctor.isolation import isolation
from kbd.daemon.executor.sandbox.layers import Level
from kbd.daemon.isolation_options import IsolationOptions
spool = Path({!r})
for minimum in (Level.NONE, Level.FULL):
    settings = Settings(spool, spool, isolation=IsolationOptions(minimum=minimum))
    for check in isolation(Patient(Place(spool, spool, True), settings)):
        print(check.state, check.finding, "→", check.cure)
"""


def told(patient, **kinds):
    (patient.settings.spool / "status.json").write_text(json.dumps({"isolation": kinds}))
    return list(isolation(patient))


def test_a_daemon_that_has_every_layer(patient):
    (check,) = told(patient, cpu={"level": "full", "missing": []})
    assert (check.state, "full" in check.finding) == (State.OK, True)


def test_a_daemon_that_lacks_some(patient):
    missing = ["PID namespace: unshare: Operation not permitted", "cgroup: not writable"]
    (check,) = told(patient, cuda={"level": "process", "missing": missing})
    assert check.state is State.WARN
    assert all(reason in check.finding for reason in missing)
    assert "start the daemon anew" in check.cure


@pytest.mark.parametrize(("kind", "layer"), [("net", "network namespace"), ("pid", "PID namespace")])
def test_a_namespace_that_the_host_refuses(patient, in_namespaces, kind, layer):
    said = in_namespaces(
        f"echo 0 > /proc/sys/user/max_{kind}_namespaces", CODE.format(str(patient.settings.spool))
    )
    relaxed, strict = said.splitlines()
    assert relaxed.startswith(f"warn refused here: {layer}: ")
    assert strict.startswith(f"fail refused here: {layer}: ")
    assert "will not start" in strict


def test_the_switch_that_is_off_is_named(patient, in_namespaces):
    said = in_namespaces(
        "echo 0 > /proc/sys/user/max_user_namespaces; echo 0 > /proc/sys/user/max_mnt_namespaces",
        CODE.format(str(patient.settings.spool)),
    )
    assert "→ set: sysctl user.max_user_namespaces=" in said


@pytest.mark.parametrize(
    ("name", "bad", "cure"),
    [
        ("user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=15000"),
        ("kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"),
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ],
)
def test_each_switch_has_its_cure(tmp_path, name, bad, cure):
    switch = tmp_path / name
    switch.parent.mkdir()
    switch.write_text(f"{bad}\n")
    assert cure in isolation_module._cure(tmp_path)
    switch.write_text(f"{1 - int(bad)}\n")
    assert "if this is a container" in isolation_module._cure(tmp_path)
