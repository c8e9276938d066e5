import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbd.inbox.errors import InvalidJob, TruncatedDocument
from kbd.inbox.safe_load import load_json

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~é", max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.text("abc", min_size=1, max_size=3), VALUES, min_size=1, max_size=3)


@given(DOCUMENTS, st.booleans())
def test_what_is_written_is_read(document, ensure_ascii):
    assert load_json(json.dumps(document, ensure_ascii=ensure_ascii)) == document


@given(DOCUMENTS, st.booleans(), st.data())
def test_every_beginning_of_a_document_may_still_be_arriving(document, ensure_ascii, data):
    encoded = json.dumps(document, ensure_ascii=ensure_ascii).encode()
    length = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(TruncatedDocument):
        load_json(encoded[:length])


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data):
    with contextlib.suppress(InvalidJob):
        load_json(data)


@pytest.mark.parametrize(
    ("text", "pointer", "message", "line"),
    [
        ('{"a": 1,\n "a": 2}', "/a", "given twice", 2),
        ('{"a": [{"b": 1,\n "b": 2}]}', "/a/0/b", "given twice", 2),
        ('{"a":\n [1, NaN]}', "/a/1", "not a finite number", 2),
        ('{"a": -Infinity}', "/a", "not a finite number", 1),
        ('{"a": 1e999}', "/a", "not a finite number", 1),
        ('{"a": "\\ud800"}', "/a", "surrogate", None),
        ('{"a": 99999999999999999999}', "/a", "64 bits", 1),
        ('{"a": ' + "9" * 5000 + "}", "", "thousands of digits", None),
        ('{"a" 1}', "", "no JSON", 1),
        ('{"a": 1} x', "", "no JSON", 1),
        ("[" * 65 + "]" * 65, "/0" * 64, "nested too deeply", None),
        ("[" * 200_000, "", "nested too deeply", None),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)
@pytest.mark.fault("a manifest is a bomb")
@pytest.mark.fault("a manifest is ambiguous or has unknown fields")
def test_what_no_job_may_contain(text, pointer, message, line):
    with pytest.raises(InvalidJob, match=message) as caught:
        load_json(text)
    assert type(caught.value) is InvalidJob
    (problem,) = caught.value.problems
    assert problem.pointer == pointer
    assert line is None or problem.line == line


def test_everything_wrong_is_named_at_once():
    with pytest.raises(InvalidJob) as caught:
        load_json('{"a": NaN, "b": {"c": 1, "c": 2}, "d": [Infinity]}')
    assert [problem.pointer for problem in caught.value.problems] == ["/a", "/b/c", "/d/0"]


def test_sixty_four_levels_are_fine():
    assert load_json("[" * 64 + "]" * 64)
