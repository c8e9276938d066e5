"""`kbd schema`: what editors and other programs read."""

import json

import pytest
from jsonschema import Draft202012Validator

from kbd.daemon.cli.exit_codes import ExitCode
from kbd.outbox.verdict import EvaluationStatus


@pytest.mark.parametrize("what", ["job", "result", "control"])
def test_a_schema_is_one(kbd, what):
    ended = kbd("schema", what)
    assert (ended.code, ended.err) == (0, "")
    schema = json.loads(ended.out)
    Draft202012Validator.check_schema(schema)
    assert schema["title"] == f"kbd {what}"


def test_results_agree_with_theirs(kbd, make_result, make_failure):
    validator = Draft202012Validator(json.loads(kbd("schema", "result").out))
    for result in (make_result(), make_failure(EvaluationStatus.CRASHED)):
        assert [error.message for error in validator.iter_errors(json.loads(result.to_json()))] == []


def test_without_a_name_it_is_the_jobs(kbd):
    assert kbd("schema").out == kbd("schema", "job").out
    assert kbd("schema", "else").code == ExitCode.USAGE
