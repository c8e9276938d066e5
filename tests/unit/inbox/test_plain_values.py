import math

import pytest

from kbd.inbox.plain_values import MAX_PROBLEMS, problems_in, shown


def test_a_harmless_tree_has_no_problems():
    assert problems_in({"a": [1, 2.5, None, True, "text"], "b": {}}) == []


def test_problems_come_in_document_order():
    found = problems_in({"b": math.nan, "a": [0, math.inf, {"c": 1 << 64}], "d": "\ud800"})
    assert [problem.pointer for problem in found] == ["/b", "/a/1", "/a/2/c", "/d"]


def test_the_list_is_bounded():
    assert len(problems_in([math.nan] * 10_000)) == MAX_PROBLEMS


def test_a_deep_tree_is_not_walked_to_its_end():
    tree: object = 1
    for _ in range(100_000):
        tree = [tree]
    (problem,) = problems_in(tree)
    assert problem.pointer == "/0" * 64


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (3, "the number 3"),
        (1.5, "the number 1.5"),
        ("a\nb", r"the text 'a\nb'"),
        ({"a": 1, "b": 2}, "a mapping (a, b)"),
        ({}, "an empty mapping"),
        ([1, 2], "a list of 2"),
    ],
)
def test_a_value_is_shown_with_its_type(value, text):
    assert shown(value) == text


def test_a_long_value_is_cut():
    assert len(shown("x" * 10_000)) < 100
