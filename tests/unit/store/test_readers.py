import pytest

from kbd.store.readers import JobReader
from kbd.store.states import JobState

DATABASES = ("sqlite", "postgresql")


@pytest.fixture
def history(store, make_job, make_rejected):
    """Six jobs: done, done badly, running, two queued, refused."""
    store.add([make_job("done", owner="ann", labels={"step": "1", "run": "x"})])
    store.add([make_job("bad", owner="bob", labels={"step": "2", "run": "x"})])
    store.add([make_job("busy", owner="ann", labels={"step": "1"}), make_job("next"), make_job("later")])
    store.add_rejected(make_rejected("refused", owner="bob"))
    store.begin_attempt("busy", "cuda:0", JobState.PROFILING)
    store.finish("done", JobState.COMPLETED, "good result", "passed", speedup=2.5)
    failure = {"stage": "load", "blame": "harness", "error_message": "no luck"}
    store.finish("bad", JobState.FAILED, "bad result", "harness_error", **failure)
    store.mark_published("done")


def names(rows):
    return [row.job_id for row in rows]


ALL = ["refused", "later", "next", "busy", "bad", "done"]
CONDITIONS = [
    ({}, ALL),
    ({"state": JobState.SUBMITTED}, ["later", "next"]),
    ({"state": JobState.COMPILING}, []),
    ({"status": "passed"}, ["done"]),
    ({"status": "suspect"}, []),
    ({"owner": "ann"}, ["busy", "done"]),
    ({"owner": ""}, ["later", "next"]),
    ({"label": ("step", "1")}, ["busy", "done"]),
    ({"label": ("step", "3")}, []),
    ({"label": ("run", "x"), "state": JobState.FAILED}, ["bad"]),
    ({"label": ("run", "x"), "status": "passed", "owner": "ann"}, ["done"]),
    ({"owner": "bob", "state": JobState.REJECTED}, ["refused"]),
    ({"state": JobState.FAILED, "status": "passed"}, []),
    ({"since": 0.0}, ALL),
    ({"since": 4e9}, []),
    ({"since": 0.0, "owner": "ann"}, ["busy", "done"]),
]


@pytest.mark.usefixtures("history")
def test_jobs_since_a_moment_between_two_arrivals(reader):
    arrivals = sorted({row.submitted_at for row in reader.list()})
    assert len(arrivals) > 1
    for moment in arrivals:
        expected = [row.job_id for row in reader.list() if row.submitted_at >= moment]
        assert names(reader.list(since=moment)) == expected


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(("conditions", "expected"), CONDITIONS)
@pytest.mark.parametrize("few", [0, 20_000])
def test_all_conditions_apply_wherever_the_search_starts(reader, monkeypatch, conditions, expected, few):
    monkeypatch.setattr("kbd.store.job_filter.FEW_JOBS", few)
    assert names(reader.list(**conditions)) == expected
    assert names(reader.list(**conditions, limit=1)) == expected[:1]
    assert names(reader.list(sorted(ALL), **conditions)) == sorted(expected)


@pytest.mark.usefixtures("history")
def test_named_jobs_come_as_asked(reader):
    assert names(reader.list(["next", "nobody", "done", "next"])) == ["next", "done"]
    assert reader.list([]) == []


@pytest.mark.usefixtures("history")
def test_a_summary(reader):
    (row,) = reader.list(["bad"])
    assert (row.state, row.status, row.stage, row.blame) == (
        (JobState.FAILED, "harness_error", "load", "harness")
    )
    assert (row.owner, row.labels, row.error_message) == ("bob", {"step": "2", "run": "x"}, "no luck")
    assert (row.published, row.speedup, row.attempts, row.device) == (False, None, 0, None)
    (done,) = reader.list(["done"])
    assert (done.published, done.speedup) == (True, 2.5)


@pytest.mark.usefixtures("history")
def test_a_detail_agrees_with_the_writer(reader, store):
    for job_id in ALL:
        detail, row = reader.get(job_id), store.get(job_id)
        assert {name: getattr(detail, name) for name in row.__dataclass_fields__} == (
            {name: getattr(row, name) for name in row.__dataclass_fields__}
        )
    assert [attempt.device for attempt in reader.get("busy").history] == ["cuda:0"]
    assert reader.get("nobody") is None


@pytest.mark.usefixtures("history")
def test_counts(reader):
    counts = {state: count for state, count in reader.counts().items() if count}
    assert counts == {
        JobState.SUBMITTED: 2,
        JobState.PROFILING: 1,
        JobState.COMPLETED: 1,
        JobState.FAILED: 1,
        JobState.REJECTED: 1,
    }
    assert set(reader.counts()) == set(JobState)
    assert reader.status_counts() == {"passed": 1, "harness_error": 1, "invalid_job": 1}


def test_many_named_jobs(reader, store, make_job):
    store.add([make_job(f"j{number}") for number in range(1200)])
    wanted = [f"j{number}" for number in range(1199, -1, -1)]
    assert names(reader.list(wanted)) == wanted
    assert len(reader.list()) == 100


def test_values_that_look_like_sql_are_values(reader, store, make_job):
    store.add([make_job("j", owner="x' OR '1'='1", labels={"k'": "v;--"})])
    assert names(reader.list(owner="x' OR '1'='1")) == ["j"]
    assert names(reader.list(label=("k'", "v;--"))) == ["j"]
    assert names(reader.list(owner="' OR 1 --")) == []


def test_labels_of_a_database_that_knows_json_come_as_they_are():
    class Source:
        def rows(self, sql, parameters):
            if "tallies" in sql:
                return [("submitted", "", 1)]
            row = [1, "j", "submitted", None, None, None, "", 0, {"a": "b"}]
            return [(*row, None, 0, 1.0, None, None, False, None, None)]

    (row,) = JobReader(Source()).list()
    assert row.labels == {"a": "b"}


@pytest.mark.usefixtures("history")
def test_what_users_still_wait_for(reader):
    assert sorted(reader.unpublished()) == ["bad", "busy", "later", "next", "refused"]
