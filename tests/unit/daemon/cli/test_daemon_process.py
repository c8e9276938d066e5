"""A daemon as a child: started, quoted, and always ended."""

import os

import pytest

from kbd.daemon.cli.daemon_process import daemon_process
from kbd.daemon.cli.place import Place


def test_a_daemon_that_cannot_start_is_quoted(tmp_path):
    place = Place(tmp_path / "no-spool", tmp_path / "state", spool_named=True)
    with daemon_process(place, tmp_path / "output.log", ["--device", "cpu"]) as daemon:
        daemon.wait()
        assert daemon.exit_status == 3
    assert "is not a spool" in daemon.last_words()


def test_it_is_ended_when_the_block_fails(place, tmp_path):
    pids = []

    def fail():
        with daemon_process(place, tmp_path / "output.log") as daemon:
            pids.append(daemon.pid)
            os.kill(daemon.pid, 0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_stopping_twice_is_harmless(place, tmp_path):
    with daemon_process(place, tmp_path / "output.log") as daemon:
        first = daemon.stop()
        assert daemon.stop() == first
