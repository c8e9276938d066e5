"""A real daemon under a service manager: signs of life, settings read again, metrics, a clean end."""

import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

LIMIT_S = 120


class Manager:
    """The socket that systemd would listen on."""

    def __init__(self, path):
        self.path = path
        self.ears = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ears.bind(str(path))
        self.ears.settimeout(LIMIT_S)

    def hear(self, word):
        """Everything up to the first message that holds a word."""
        heard = []
        while not heard or word not in heard[-1]:
            heard.append(self.ears.recv(4096).decode())
        return heard


@pytest.fixture
def manager(tmp_path):
    found = Manager(tmp_path / "notify")
    yield found
    found.ears.close()


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("[limits]\nqueue_limit = 5\n")
    return path


@pytest.fixture
def process(daemon, manager, config):
    started = daemon.start("--config", str(config), NOTIFY_SOCKET=str(manager.path), WATCHDOG_USEC="2000000")
    manager.hear("READY=1")
    return started


def actions(daemon, name):
    return [record for record in daemon.log() if record["action"] == name]


def test_a_life_as_the_manager_hears_it(daemon, manager, process, config):
    def read_again(text):
        config.write_text(text)
        process.send_signal(signal.SIGHUP)
        manager.hear("RELOADING=1\nMONOTONIC_USEC=")

    manager.hear("WATCHDOG=1")

    read_again("cpu_slots = 2\n[limits]\nqueue_limit = 6\n")
    manager.hear("READY=1")
    (record,) = actions(daemon, "reloaded")
    assert (record["changed"], record["needs_restart"]) == (["limits.queue_limit"], ["cpu_slots"])

    read_again("[limits]\nqueue_limit = 0\nload = 1\n")  # wrong: changes nothing, and is told
    manager.hear("READY=1")
    (record,) = actions(daemon, "reload_refused")
    assert len(record["problems"]) == 2
    assert "STATUS" in manager.hear("settings kept, the new ones are wrong")[-1]

    read_again(f"[limits]\nmin_free_bytes = {1 << 60}\n")  # room for no byte: nothing is claimed
    daemon.deliver("held.yaml", "candidate: 1\n")
    assert manager.hear("KBD_MIN_FREE_BYTES")
    read_again("[limits]\nmin_free_bytes = 0\n")
    while not daemon.results():
        manager.hear("WATCHDOG=1")
    assert daemon.results()["held"]["status"] == "invalid_job"

    process.send_signal(signal.SIGTERM)
    manager.hear("STOPPING=1")
    assert process.wait(LIMIT_S) == 0


def test_metrics_in_a_file_and_on_a_port(daemon, manager, tmp_path):
    pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    file = tmp_path / "kbd.prom"
    daemon.start("--metrics-file", str(file), "--metrics-port", str(port), NOTIFY_SOCKET=str(manager.path))
    manager.hear("READY=1")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=LIMIT_S) as answer:
        served = answer.read().decode()
    for text in (served, file.read_text()):
        assert 'kbd_jobs{state="submitted"} 0.0' in text
        assert "kbd_held 0.0" in text


def health(daemon):
    places = ("--spool", str(daemon.spool.root), "--state", str(daemon.state))
    return subprocess.run(
        [sys.executable, "-m", "kbd.daemon.cli.main", "health", *places], capture_output=True, text=True
    )


def test_health_of_a_daemon_that_lives_and_of_one_that_was_killed(daemon, manager, process):
    while (ended := health(daemon)).returncode != 0:
        assert ended.stdout.startswith("starting: ")
        manager.hear("WATCHDOG=1")
    assert ended.stdout == "healthy: 0 running, 0 waiting\n"
    process.kill()
    process.wait(LIMIT_S)
    ended = health(daemon)
    assert (ended.returncode, ended.stdout.split(":")[0]) == (1, "absent")


def test_a_port_that_is_taken_is_told(daemon):
    pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = daemon.start("--metrics-port", str(taken.getsockname()[1]))
        output, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 1
    assert b"choose another metrics.port" in output
