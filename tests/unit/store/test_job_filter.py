import sqlite3
from contextlib import closing

import pytest

from kbd.store.job_filter import JobFilter
from kbd.store.states import JobState

MANY = 900_000
TALLIES = {
    (JobState.SUBMITTED, ""): 20_000,
    (JobState.COMPLETED, "passed"): MANY,
    (JobState.COMPLETED, "crashed"): 12,
    (JobState.FAILED, "harness_error"): 50_000,
}


@pytest.mark.parametrize(
    ("wanted", "start"),
    [
        (JobFilter(), None),
        (JobFilter(state=JobState.COMPLETED), "state"),
        (JobFilter(state=JobState.SUBMITTED, owner="ann"), "state"),
        (JobFilter(state=JobState.COMPLETED, owner="ann"), "owner"),
        (JobFilter(state=JobState.COMPLETED, status="crashed", label=("a", "b")), "status"),
        (JobFilter(state=JobState.COMPLETED, status="passed"), "status"),
        (JobFilter(state=JobState.COMPLETED, label=("a", "b"), owner="ann"), "label"),
    ],
)
def test_the_search_starts_from_what_is_rare(wanted, start):
    assert wanted.start(TALLIES) == start


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (JobFilter(), True),
        (JobFilter(state=JobState.FAILED, status="passed"), False),
        (JobFilter(state=JobState.COMPLETED, status="crashed"), True),
        (JobFilter(status="suspect", owner="ann"), False),
    ],
)
def test_what_was_never_counted_is_not_searched(wanted, matches):
    assert wanted.matches_any(TALLIES) is matches


def test_one_index_is_left_to_choose():
    wanted = JobFilter(state=JobState.COMPLETED, status="passed", owner="ann")
    _, conditions, values = wanted.sql("owner")
    assert [condition for condition in conditions if "||" not in condition] == ["jobs.owner = :owner"]
    assert values == {"state": "completed", "status": "passed", "owner": "ann"}


@pytest.mark.parametrize(
    ("wanted", "start"),
    [
        (JobFilter(state=JobState.FAILED, owner="ann"), "state"),
        (JobFilter(status="crashed", owner="ann"), "status"),
        (JobFilter(state=JobState.COMPLETED, status="passed", owner="ann"), "owner"),
    ],
)
def test_of_thousands_it_starts_from_no_row_is_read_to_see_whose_it_is(empty_database, wanted, start):
    tables, conditions, values = wanted.sql(start)
    query = f"SELECT jobs.sequence FROM {tables} WHERE {' AND '.join(conditions)} ORDER BY jobs.sequence DESC"
    with closing(sqlite3.connect(empty_database)) as connection:
        plan = [step[-1] for step in connection.execute(f"EXPLAIN QUERY PLAN {query}", values)]
    assert plan == [f"SEARCH jobs USING COVERING INDEX jobs_by_{start} ({start}=?)"]
