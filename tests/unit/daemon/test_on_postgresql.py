"""A daemon's desk and the commands beside it, with history in PostgreSQL."""

import json
from dataclasses import replace

import pytest

from kbd.daemon.assembly import JobIdentity, refused
from kbd.daemon.cli.main import main
from kbd.daemon.doctor.rebuilding import rebuild
from kbd.outbox.report import ErrorReport
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage
from kbd.store.location import database_path
from kbd.store.readers import JobReader
from kbd.store.source import open_source
from kbd.store.states import JobState

pytestmark = pytest.mark.xdist_group("postgresql")


@pytest.fixture
def settings(settings, clean_postgresql):
    """As of the other tests of the daemon, without a database file."""
    database_path(settings.state).unlink()
    return replace(settings, database=clean_postgresql)


@pytest.fixture
def finished(desk, queue):
    """Two jobs with a published result."""
    queue("a", "b", owner="ann")
    for job_id in ("a", "b"):
        attempt = desk.store.begin_attempt(job_id, "cpu0", JobState.COMPILING)
        identity = JobIdentity(job_id, desk.store.get(job_id).manifest_sha256, attempt, {})
        error = ErrorReport(type="Unsupported", message="not here")
        result = refused(identity, EvaluationStatus.UNSUPPORTED, Blame.JOB, Stage.LOAD, error)
        desk.store.finish(job_id, JobState.COMPLETED, result.to_json(), "unsupported")
    assert desk.publishing.publish_owed() == 2


@pytest.fixture
def kbd(settings, tmp_path, monkeypatch, capsys):
    """Run a command as its user does, with the database named in the environment."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("KBD_SPOOL", str(settings.spool))
    monkeypatch.setenv("KBD_STATE", str(settings.state))
    monkeypatch.setenv("KBD_DATABASE", settings.database)

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        assert not ended.value.code, capsys.readouterr().err
        return capsys.readouterr().out

    return run


@pytest.mark.usefixtures("finished")
def test_a_restart_goes_on_with_what_there_is(restart, queue, files_in):
    queue("c", "d")
    desk = restart()
    desk.store.begin_attempt("c", "cpu0", JobState.COMPILING)
    desk = restart()
    assert [row.job_id for row in desk.store.next_submitted(9)] == ["c", "d"]
    assert files_in("done") == ["a.yaml", "b.yaml"]


@pytest.mark.usefixtures("finished")
def test_commands_read_it(kbd, settings):
    status = json.loads(kbd("status", "--json"))
    assert (status["jobs"][0]["job_id"], status["counts"]["completed"]) == ("b", 2)
    assert "unsupported" in kbd("show", "a")
    assert "2" in kbd("stats")
    assert not database_path(settings.state).exists()


def test_a_lost_history_is_rebuilt_into_it(settings, desk, finished, clean_postgresql):
    before = desk.store.get("a")
    with desk.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM jobs")
        connection.exec_driver_sql("DELETE FROM tallies")
    desk.close()
    assert (rebuild(settings).restored, rebuild(settings).known) == (2, 2)
    with open_source(settings.state, settings.database) as source:
        reader = JobReader(source)
        after = reader.get("a")
        assert reader.counts()[JobState.COMPLETED] == 2
    for name in ("owner", "status", "claimed_path", "manifest_text", "result_text", "published", "labels"):
        assert getattr(after, name) == getattr(before, name)


def test_a_rebuilt_one_takes_new_jobs(settings, finished, desk, restart, queue, deliver):
    with desk.engine.begin() as connection:
        connection.exec_driver_sql(
            "TRUNCATE jobs, manifests, results, attempts, labels, tallies RESTART IDENTITY"
        )
    desk.close()
    rebuild(settings)
    desk = restart()
    assert desk.take_in.round([deliver("new.yaml")]).queued == 1


def test_passwords_are_not_shown(kbd, monkeypatch):
    monkeypatch.setenv("KBD_DATABASE", "postgresql://kbd:hidden@db/kbd")
    for shown in (kbd("config", "show"), kbd("config", "show", "--json")):
        assert "postgresql://kbd:***@db/kbd" in shown
        assert "hidden" not in shown


def test_text_that_postgresql_cannot_hold_is_a_job_nevertheless(desk, deliver):
    """Zero bytes, in everything that users may write."""
    job = {
        "version": 1,
        "labels": {"a": "x\0y"},
        "candidate": {"kernel_type": "torch", "source_code": "def f(x): return x  # \0"},
    }
    desk.take_in.round([deliver("j.json", json.dumps(job)), deliver("bad.json", '{"version": "\\u0000"}')])
    assert desk.store.get("j").state is JobState.SUBMITTED
    assert desk.store.get("bad").status == "invalid_job"
