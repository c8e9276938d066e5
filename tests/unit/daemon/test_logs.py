"""The daemon's log, in a process of its own because logging is set up for the whole process."""

import json
import subprocess
import sys

import pytest

WRITE = """
import logging, sys
from pathlib import Path
import structlog
from kbd.daemon import logs

logs.configure(Path(sys.argv[1]), console=sys.argv[2] == "console")
log = structlog.get_logger("kbd.test")
log.info("claimed", action="claimed", job="j1")
log.info("quoted", action="quoted", reason="\x1b[2J")
log.debug("too much", action="debug")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("broken", action="broken", job="j2")
logging.getLogger("other").warning("from %s", "outside", extra={"action": "elsewhere"})
logging.getLogger("alembic.runtime").info("chatter")
"""


@pytest.fixture
def written(tmp_path):
    """The records of the log file, and what went to stderr."""

    def write(mode="console"):
        folder = tmp_path / "logs"
        command = [sys.executable, "-c", WRITE, str(folder), mode]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout == ""
        return [json.loads(line) for line in (folder / "daemon.log").read_text().splitlines()], done.stderr

    return write


def test_records_have_their_action_and_job(written):
    records, _ = written()
    claimed = records[0]
    assert (claimed["event"], claimed["action"], claimed["job"]) == ("claimed", "claimed", "j1")
    assert claimed["level"] == "info"
    assert claimed["timestamp"].endswith("Z")


def test_records_of_other_libraries_are_the_same(written):
    records, _ = written()
    (outside,) = [record for record in records if record["event"] == "from outside"]
    assert (outside["action"], outside["level"]) == ("elsewhere", "warning")


def test_exceptions_are_told_in_one_record(written):
    records, _ = written()
    (broken,) = [record for record in records if record.get("action") == "broken"]
    assert "ZeroDivisionError" in broken["exception"]


def test_chatter_is_left_out(written):
    records, _ = written()
    assert [record["event"] for record in records] == ["claimed", "quoted", "broken", "from outside"]


def test_stderr_is_for_people_and_can_be_silent(written):
    assert "claimed" in written("console")[1]
    assert written("silent")[1] == ""


def test_what_users_wrote_is_not_obeyed_by_a_terminal(written):
    records, shown = written()
    assert "\\x1b[2J" in shown
    assert "\x1b[2J" not in shown
    assert records[1]["reason"] == "\x1b[2J", "programs get it as it is"


def test_a_second_daemon_goes_on_in_the_same_file(written):
    written()
    records, _ = written()
    assert len(records) == 8
