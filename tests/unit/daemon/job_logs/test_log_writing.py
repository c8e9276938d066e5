"""The daemon's thread for logs."""

import structlog

from kbd.daemon.job_logs.archive import LogArchive
from kbd.daemon.job_logs.log_writing import LogWriting


def test_all_is_on_the_disk_when_it_is_closed(tmp_path):
    archive = LogArchive(tmp_path)
    writing = LogWriting(archive)
    logs = [writing.begin(f"job-{number}", 1, "candidate") for number in range(50)]
    for log in logs:
        log.write(b"spoken")
        log.close()
    writing.close()
    assert {path.read_bytes() for path in tmp_path.glob("logs/jobs/*/1/candidate.log")} == {b"spoken"}
    assert len(list(tmp_path.glob("logs/jobs/*"))) == 50


def test_a_disk_that_refuses_is_in_the_daemons_log_with_the_job(tmp_path):
    (tmp_path / "logs").write_text("in the way")
    writing = LogWriting(LogArchive(tmp_path))
    with structlog.testing.capture_logs() as records:
        log = writing.begin("job", 1, "candidate")
        log.write(b"spoken")
        log.write(b"again")
        writing.close()
    assert [(each["action"], each["job"], each["log"]) for each in records] == [
        ("job_log_failed", "job", "candidate")
    ]
