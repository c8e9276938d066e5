import pytest
from pydantic import TypeAdapter, ValidationError

from kbd.inbox.sizes import Resolver, Size, Size3, names_in, names_in_all

SIZE = TypeAdapter(Size)
SIZE3 = TypeAdapter(Size3)


@pytest.mark.parametrize("value", [0, 7, "N", "ceildiv(N, 2)", "12"])
def test_a_size_is_a_number_or_an_expression(value):
    assert SIZE.validate_python(value) == value


@pytest.mark.parametrize("value", [1.5, True, None, [1], "N /", ""])
def test_what_is_no_size(value):
    with pytest.raises(ValidationError):
        SIZE.validate_python(value)


@pytest.mark.parametrize(
    ("value", "triple"),
    [
        (5, (5, 1, 1)),
        ("M * 2", ("M * 2", 1, 1)),
        ([4], (4, 1, 1)),
        ([4, "N"], (4, "N", 1)),
        ([4, 5, 6], (4, 5, 6)),
        ({"x": 3}, (3, 1, 1)),
        ({"z": 2, "x": "N"}, ("N", 1, 2)),
    ],
)
def test_three_sizes_may_be_written_in_many_ways(value, triple):
    assert SIZE3.validate_python(value) == triple
    assert SIZE3.validate_json(SIZE3.dump_json(triple)) == triple


@pytest.mark.parametrize("value", [[], [1, 2, 3, 4], {"w": 1}, None, True, 1.5, [None]])
def test_what_is_no_triple(value):
    with pytest.raises(ValidationError):
        SIZE3.validate_python(value)


def test_names():
    assert names_in(4) == frozenset()
    assert names_in("M * N") == {"M", "N"}
    assert names_in_all([1, "M", "N + M"]) == {"M", "N"}


def test_a_resolver_keeps_all_problems():
    resolver = Resolver({"N": 10})
    assert resolver.numbers([3, "N * 2", "N - 20", "K"], "/shape", 0, 100) == (3, 20, 0, 0)
    assert [(problem.pointer, problem.found) for problem in resolver.problems] == [
        ("/shape/2", "-10 = N - 20 with N=10"),
        ("/shape/3", None),
    ]
    assert "axis K is not bound" in resolver.problems[1].message
