import pytest
from pydantic import Field, model_validator

from kbd.inbox.dtypes import OTHER_NAMES, DType
from kbd.inbox.errors import InvalidJob, Problem
from kbd.inbox.tensor_spec import TensorSpec
from kbd.inbox.validation import StrictModel, below, collect, construct, did_you_mean, relocated, validate


class Inner(StrictModel):
    count: int = Field(default=1, ge=0, le=9)
    ratio: float = 1.0
    names: tuple[str, ...] = ()


class Outer(StrictModel):
    name: str = Field(description="a name of its own")
    inner: Inner = Inner()
    many: dict[str, tuple[Inner, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self):
        collect(
            [Problem("/inner/count", "too unlucky"), None, Problem("/name", "too short")]
            if self.name == "bad"
            else []
        )
        return self


def problems(document):
    with pytest.raises(InvalidJob) as caught:
        validate(Outer, document)
    return caught.value.problems


def test_a_good_document_becomes_a_model():
    outer = validate(Outer, {"name": "x", "inner": {"count": 2, "ratio": 3, "names": ["a"]}})
    assert outer == Outer(name="x", inner=Inner(count=2, ratio=3.0, names=("a",)))


@pytest.mark.parametrize(
    ("document", "pointer", "text"),
    [
        ({}, "/name", "required field is missing: expected a name of its own; add name"),
        ({"name": 5}, "/name", "expected text, found the number 5; quote it"),
        ({"name": True}, "/name", "found true; quote it"),
        ({"name": None}, "/name", "found null; give a value, or leave the field out"),
        (
            {"name": "x", "iner": {}},
            "/iner",
            "unknown field: expected one of name, inner, many.*did you mean inner",
        ),
        ({"name": "x", "zzz": 1}, "/zzz", "unknown field.*; remove it"),
        ({"name": "x", "inner": {"cuont": 1}}, "/inner/cuont", "expected one of count, ratio, names"),
        ({"name": "x", "many": {"a": [{}, {"b": 1}]}}, "/many/a/1/b", "expected one of count, ratio, names"),
        ({"name": "x", "inner": []}, "/inner", "expected a mapping, found a list of 0"),
        (
            {"name": "x", "inner": {"count": "3"}},
            "/inner/count",
            "a whole number, found the text '3'; write a plain",
        ),
        ({"name": "x", "inner": {"count": 3.0}}, "/inner/count", "a whole number, found the number 3.0"),
        ({"name": "x", "inner": {"count": True}}, "/inner/count", "a whole number, found true"),
        ({"name": "x", "inner": {"count": 10}}, "/inner/count", "expected at most 9, found the number 10"),
        ({"name": "x", "inner": {"count": -1}}, "/inner/count", "expected at least 0, found the number -1"),
        (
            {"name": "x", "inner": {"ratio": "high"}},
            "/inner/ratio",
            "expected a number, found the text 'high'",
        ),
        ({"name": "x", "inner": {"names": "a"}}, "/inner/names", "expected a list, found the text 'a'"),
        ({"name": "x", "inner": {"names": ["a", 1]}}, "/inner/names/1", "expected text"),
    ],
)
def test_each_mistake_has_its_message(document, pointer, text):
    (problem,) = problems(document)
    assert problem.pointer == pointer
    assert text.split(".*")[0] in str(problem)
    assert text.split(".*")[-1] in str(problem)


def test_all_mistakes_are_named_at_once():
    found = problems({"inner": {"count": "x", "ratio": None}, "extra": 1})
    assert {problem.pointer for problem in found} == {"/name", "/inner/count", "/inner/ratio", "/extra"}


def test_a_validator_may_name_several_fields():
    assert [problem.pointer for problem in problems({"name": "bad"})] == ["/inner/count", "/name"]


def test_numbers_must_be_finite():
    (problem,) = problems({"name": "x", "inner": {"ratio": float("nan")}})
    assert "finite" in problem.message or problem.expected == "a finite number"


def test_models_are_built_from_models_with_the_same_errors():
    assert construct(Outer, name="x", inner=Inner()) == Outer(name="x")
    with pytest.raises(InvalidJob, match="too unlucky"):
        construct(Outer, name="bad")


def test_moving_pointers():
    found = [Problem("/a/b", "x"), Problem("/ab", "y"), Problem("/a", "z")]
    assert [problem.pointer for problem in relocated(found, {"/a": "/k/0"})] == ["/k/0/b", "/ab", "/k/0"]
    assert [problem.pointer for problem in below("/p", found)] == ["/p/a/b", "/p/ab", "/p/a"]


def test_only_close_names_are_suggested():
    assert did_you_mean("kernel_typ", ["kernel_type", "io"]) == "did you mean kernel_type?"
    assert did_you_mean("zzz", ["kernel_type", "io"]) is None


def test_a_field_that_is_called_as_pydantic_calls_keys_is_one_like_any_other():
    with pytest.raises(InvalidJob) as caught:
        validate(Outer, {"name": "x", "[key]": 2, "many": {"[key]": 3}})
    assert [problem.pointer for problem in caught.value.problems] == ["/many", "/[key]"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [("fp32", "float32"), ("torch.bfloat16", "bfloat16"), ("torch.half", "float16"), ("FLOAT32", "float32")],
)
def test_element_types_as_other_programs_call_them(written, meant):
    with pytest.raises(InvalidJob) as refused:
        validate(TensorSpec, {"shape": [4], "dtype": written})
    (problem,) = refused.value.problems
    assert problem.hint == f"write {meant}"


def test_every_other_name_means_one_of_ours():
    assert set(OTHER_NAMES.values()) <= set(DType)
    assert not set(OTHER_NAMES) & set(DType)


def test_one_value_for_a_list():
    with pytest.raises(InvalidJob, match=r"write it in brackets: \[256\]"):
        validate(TensorSpec, {"shape": 256, "dtype": "float32"})
