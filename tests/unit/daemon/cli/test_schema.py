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


def brief(field):
    """The type of a field in a few characters."""
    if "$ref" in field:
        return field["$ref"].rpartition("/")[2]
    for choice in ("anyOf", "oneOf"):
        if choice in field:
            return " | ".join(map(brief, field[choice]))
    if "enum" in field or "const" in field:
        return " | ".join(json.dumps(value) for value in field.get("enum", [field.get("const")]))
    if field.get("type") == "array":
        return f"[{brief(field.get('items', {}))}]"
    return field.get("type", "anything")


def outline(schema):
    """A line for each model and each of its fields; `*`: needed, `+`: others are allowed beside them."""
    for name, model in {schema["title"]: schema, **schema.get("$defs", {})}.items():
        open_ended = "" if model.get("additionalProperties") is False or "enum" in model else " +"
        yield f"{name}{open_ended}" + (f": {brief(model)}" if "enum" in model else "")
        for field, said in model.get("properties", {}).items():
            yield f"  {field}{'*' if field in model.get('required', ()) else ''}: {brief(said)}"


@pytest.mark.parametrize("what", ["job", "result", "control"])
def test_names_types_and_what_is_needed(kbd, what, same_as_golden):
    lines = outline(json.loads(kbd("schema", what).out))
    same_as_golden("".join(f"{line}\n" for line in lines), f"schema_{what}.txt")
