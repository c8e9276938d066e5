import contextlib
import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kbd.inbox.errors import InvalidJob, TruncatedDocument
from kbd.inbox.safe_load import load_yaml
from kbd.inbox.yaml_text import MAX_EVENTS

# Without digits: the dumper leaves 1e5 unquoted, which is text for it and a number for us.
TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="\x85\u2028\u20290123456789", min_codepoint=32),
    max_size=10,
)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | TEXT
DOCUMENTS = st.dictionaries(
    st.text("abcxyz", min_size=1, max_size=4),
    st.recursive(
        SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3)
    ),
    min_size=1,
    max_size=4,
)


@given(DOCUMENTS)
def test_what_is_written_is_read(document):
    assert load_yaml(yaml.safe_dump(document, allow_unicode=True)) == document


@given(st.text(max_size=60) | st.text("ab:-[]{}&*!|>'\"#%@\n\t 01.", max_size=60))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(InvalidJob):
        load_yaml(text.encode("utf-8", "replace"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", "010"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("1e-5", 1e-5),
        ("-1E+3", -1000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("1_000", 1000),
        ("0x1f", 31),
        ("0b101", 5),
        ("0", 0),
        ("yes", True),
        ("Off", False),
        ("~", None),
        ("", None),
        ("''", ""),
        ("'1'", "1"),
        ("y", "y"),
        ("n", "n"),
        ("=", "="),
        ("1.2.3", "1.2.3"),
    ],
)
def test_plain_scalars_mean_what_people_mean(text, value):
    loaded = load_yaml(f"a: {text}")
    assert loaded == {"a": value}
    assert type(loaded["a"]) is type(value)


@pytest.mark.parametrize(
    ("text", "pointer", "message", "line"),
    [
        ("a: &x 1", "", r"an anchor \(&x\)", 1),
        ("a: 1\nb: *x", "", r"an alias \(\*x\)", 2),
        ("a: !!python/object:os.system 1", "", r"a tag \(.*python/object", 1),
        ("a: !custom 1", "", "a tag", 1),
        ("a: !!binary aGk=", "", "a tag", 1),
        ("a: 1\na: 2", "/a", "given twice", 2),
        ("a:\n  - {b: 1, b: 2}", "/a/0/b", "given twice", 2),
        ("yes: 1", "/yes", "key must be text.*YAML reads as bool; quote it", 1),
        ("1: 1", "/1", "key must be text.*YAML reads as int", 1),
        ("? [a]\n: 1", "", "key must be text", 1),
        ("a: .nan", "/a", "not a finite number", 1),
        ("a: -.inf", "/a", "not a finite number", 1),
        ("a: 1e999", "/a", "not a finite number", 1),
        ("a: 0x" + "f" * 17, "/a", "64 bits", 1),
        ("a: " + "9" * 5000, "", "thousands of digits", None),
        ("---\na: 1\n---\nb: 2", "", "several documents", 3),
        ("a: 1\n\tb: 2", "", "no YAML.*tab", 2),
        ("a: b: c", "", "no YAML", 1),
        ("a: \x01", "", "no YAML.*control characters", None),
        ("[" * 65 + "]" * 65, "", "nested too deeply", 1),
        ("[" * 900_000, "", "nested too deeply", 1),
        ("- 1\n" * (MAX_EVENTS + 1), "", "more than 200000 YAML events", None),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)
@pytest.mark.fault("a manifest is a bomb")
@pytest.mark.fault("a manifest is ambiguous or has unknown fields")
def test_what_no_job_may_contain(text, pointer, message, line):
    with pytest.raises(InvalidJob, match=message) as caught:
        load_yaml(text)
    assert type(caught.value) is InvalidJob
    (problem,) = caught.value.problems
    assert problem.pointer == pointer
    assert line is None or problem.line == line


def test_a_merge_key_is_a_plain_name():
    assert load_yaml("<<: {a: 1}") == {"<<": {"a": 1}}


def test_everything_wrong_is_named_at_once():
    with pytest.raises(InvalidJob) as caught:
        load_yaml("a: 1\na: 2\nb: {no: 1}\nc: {d: 1, d: 2}")
    assert [(problem.pointer, problem.line) for problem in caught.value.problems] == [
        ("/a", 2),
        ("/b/no", 3),
        ("/c/d", 4),
    ]


@pytest.mark.parametrize("text", ["a: [1, 2", 'a: "b', "a: {b: 1", "# only a comment", "a: 'x\n\n"])
def test_a_text_that_ends_too_early_may_still_be_arriving(text):
    with pytest.raises(TruncatedDocument):
        load_yaml(text)


def test_the_default_loader_of_others_is_not_changed():
    assert yaml.safe_load("a: 010") == {"a": 8}
    assert math.isinf(yaml.safe_load("a: .inf")["a"])
