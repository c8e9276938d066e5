"""What the service manager hears."""

import os
import secrets

import pytest

from kbd.daemon.operation.notifier import Notifier


def test_every_word_of_the_protocol(manager):
    notifier = Notifier({"NOTIFY_SOCKET": manager.address})
    notifier.ready()
    notifier.alive()
    notifier.stopping()
    assert manager.heard() == ["READY=1", "WATCHDOG=1", "STOPPING=1"]
    notifier.reloading()
    first, second = manager.heard()[0].split("\n")
    assert first == "RELOADING=1"
    assert int(second.removeprefix("MONOTONIC_USEC=")) > 0


def test_a_status_is_one_line_and_told_once(manager):
    notifier = Notifier({"NOTIFY_SOCKET": manager.address})
    notifier.status("a\nREADY=1")
    notifier.status("a\nREADY=1")
    assert manager.heard() == ["STATUS=a READY=1"]


def test_abstract_sockets(manager_at):
    name = f"@kbd-test-{secrets.token_hex(8)}"
    manager = manager_at(name)
    Notifier({"NOTIFY_SOCKET": name}).ready()
    assert manager.heard() == ["READY=1"]


def test_without_a_manager_nothing_happens(tmp_path):
    Notifier({}).ready()
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).ready()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_how_often_a_sign_of_life_is_due(variables, expected):
    assert Notifier({"NOTIFY_SOCKET": "/x", **variables}).watchdog_s == expected
