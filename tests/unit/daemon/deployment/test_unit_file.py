"""The unit file: what systemd thinks of it, and that it leaves the sandbox what it needs."""

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from kbd.daemon.deployment.unit_file import Service, program, quoted, unit_text

FORBIDDEN = {
    "RestrictNamespaces",
    "ProtectKernelTunables",
    "ProtectKernelLogs",
    "ProtectControlGroups",
    "ProtectProc",
    "ProcSubset",
    "ProtectHostname",
    "PrivateUsers",
    "PrivateTmp",
    "PrivateDevices",
    "PrivateNetwork",
    "MemoryDenyWriteExecute",
}


@pytest.fixture(params=["root", None], ids=["system", "user"])
def service(request, tmp_path):
    return Service(
        tmp_path / "a 100% b" / "config.toml", (tmp_path / "sp ool", tmp_path / "state"), request.param
    )


def parsed(service):
    parser = configparser.RawConfigParser(strict=False, comment_prefixes="#")
    parser.optionxform = str
    parser.read_string(unit_text(service))
    return parser


def test_what_the_daemon_relies_on(service):
    unit = parsed(service)["Service"]
    assert (unit["Type"], unit["NotifyAccess"], unit["ExecReload"]) == (
        "notify",
        "main",
        "/bin/kill -HUP $MAINPID",
    )
    assert int(unit["WatchdogSec"]) > 10
    assert (unit["KillMode"], unit["OOMPolicy"], unit["Restart"]) == ("mixed", "continue", "on-failure")


def test_nothing_is_set_that_breaks_the_sandbox(service):
    unit = parsed(service)["Service"]
    assert FORBIDDEN.isdisjoint(unit)
    denied = unit.get("SystemCallFilter", "")
    assert {"@mount", "@privileged", "@sandbox", "@process", "@debug"}.isdisjoint(denied.lstrip("~").split())


def test_devices_are_those_of_nvidia(tmp_path):
    unit = parsed(Service(tmp_path, (tmp_path,), "nobody"))["Service"]
    assert (unit["DevicePolicy"], unit["DeviceAllow"]) == ("closed", "char-nvidia* rw")
    assert unit["ReadWritePaths"].split() == [str(tmp_path), "/tmp"]


def test_a_user_has_no_rights_to_harden_with(tmp_path):
    unit = parsed(Service(tmp_path, (tmp_path,), None))
    assert "User" not in unit["Service"]
    assert "ProtectSystem" not in unit["Service"]
    assert unit["Install"]["WantedBy"] == "default.target"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_has_nothing_against_it(service, tmp_path):
    path = tmp_path / "kbd.service"
    path.write_text(unit_text(service))
    scope = ["--system"] if service.user else ["--user"]
    ended = subprocess.run(
        ["systemd-analyze", *scope, "verify", str(path)],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)},
    )
    assert [line for line in ended.stderr.splitlines() if str(path) in line] == []
    assert ended.returncode == 0, ended.stderr


def test_the_program_is_there():
    assert Path(program()[0]).is_file()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("/a/b", "/a/b"), ("/a b", '"/a b"'), ("50%", "50%%"), ("$HOME", "$$HOME"), ('a"b\\', '"a\\"b\\\\"')],
)
def test_words_mean_themselves(text, expected):
    assert quoted(text) == expected
