import pytest

from kbd.daemon.cli.schema_reference import page


@pytest.fixture(scope="module")
def job():
    return page("job")


def test_a_field_with_its_type_default_limits_and_meaning(job):
    assert "| `timeout` | number, > 0, ≤ 86400.0 | `120.0` | seconds for the whole job. |" in job
    assert "| `candidate` | [KernelCode](#kernelcode) | needed | the kernel under test |" in job
    assert (
        "| `cache` | `cold`, `warm` | `cold` | whether the L2 cache is cold or warm before each sample. |"
        in job
    )
    assert "| `is_meta` | true or false | `false` |" in job


def test_every_link_leads_to_a_model_of_the_page(job):
    for text in (job, page("result")):
        models = {line.removeprefix("## ").lower() for line in text.splitlines() if line.startswith("## ")}
        links = {part.partition(")")[0] for part in text.split("](#")[1:]}
        assert links
        assert links <= models


def test_enumerations_and_what_may_be_anything(job):
    assert "One of `candidate`, `reference`, `job`, `device`, `harness`." in page("result")
    assert "mapping to anything" in job
    assert "None" not in job


def test_a_result_has_no_defaults():
    assert "| field | type | meaning |" in page("result")
    assert "default" not in page("result").split("## EvaluationStatus")[0]
