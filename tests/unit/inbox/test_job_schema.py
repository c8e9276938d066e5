"""The schema of jobs says yes to what kbd accepts, and no to what editors are to underline."""

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from kbd.inbox.job_schema import job_schema

REPOSITORY = Path(__file__).parents[3]
DOCUMENTS = sorted(
    path
    for folder in ("tests/samples/*", "examples", "examples/*")
    for path in REPOSITORY.glob(f"{folder}/*.yaml")
    if path.stem == "job" or path.parent.name == "examples"
)


@pytest.fixture(scope="module")
def validator():
    Draft202012Validator.check_schema(job_schema())
    return Draft202012Validator(job_schema())


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.parent.name)
def test_jobs_that_are_judged_agree_with_the_schema(validator, path):
    document = json.loads(json.dumps(yaml.safe_load(path.read_text())))
    assert [error.message for error in validator.iter_errors(document)] == []


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"candidate": {"kernel_type": "torch"}}, "candidate"),
        ({"candidate": {"kernel_type": "torch", "source_code": "a", "source_file": "b"}}, "candidate"),
        ({"timeout": "soon"}, "timeout"),
        ({"candidat": {}}, None),
        ({"priority": 1e9}, "priority"),
    ],
)
def test_mistakes_are_found_where_they_are(validator, changes, where):
    document = {"candidate": {"kernel_type": "torch", "source_code": "x"}} | changes
    errors = list(validator.iter_errors(document))
    assert [error.path[0] if error.path else None for error in errors] == [where]
