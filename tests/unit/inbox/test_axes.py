import contextlib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kbd.inbox.axes import MAX_LENGTH, AxisError, AxisExpression

PYTHON = {"min": min, "max": max, "ceildiv": lambda a, b: -(-a // b), "__builtins__": {}}
BINDINGS = {"M": 7, "N": 1024, "BLOCK_SIZE": 128, "zero": 0}


def evaluate(text: str, **bindings: int) -> int:
    return AxisExpression.parse(text).evaluate(bindings)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", 42),
        (" N ", 1024),
        ("M + N * 2", 2055),
        ("(M + N) * 2", 2062),
        ("N - M - 1", 1016),
        ("N // M // 2", 73),
        ("N % M", 2),
        ("-M // 2", -4),
        ("- -M", 7),
        ("+M", 7),
        ("ceildiv(N, BLOCK_SIZE)", 8),
        ("ceildiv(M, 2) * ceildiv(N + 1, BLOCK_SIZE)", 36),
        ("min(M, N, 3)", 3),
        ("max(M, min(N, 10))", 10),
    ],
)
def test_values(text, value):
    assert evaluate(text, **BINDINGS) == value


def test_names_are_the_axes_and_not_the_functions():
    assert AxisExpression.parse("ceildiv(N, B) + min(M, 4)").names == {"N", "B", "M"}


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("", "expected a number, an axis or '\\('.*the end", 1),
        ("N +", "found the end", 4),
        ("N N", "expected an operator or the end, found 'N'", 3),
        ("N / 2", r"unexpected character '/'; divide with // or ceildiv", 3),
        ("N ** 2", "found '\\*'", 4),
        ("a.b", "unexpected character '.'", 2),
        ("a[0]", r"unexpected character '\['", 2),
        ("1e5", "found 'e5'", 2),
        ("__import__('os')", "unexpected character", 12),
        ("__import__(os)", "unknown function __import__", 1),
        ("cdiv(N, 2)", "unknown function cdiv; expected min, max or ceildiv", 1),
        ("ceildiv(N)", "ceildiv takes 2 arguments, found 1", 1),
        ("ceildiv(1, 2, 3)", "ceildiv takes 2 arguments, found 3", 1),
        ("min(1)", "at least 2 arguments", 1),
        ("min", "min is a function", 1),
        ("(N", "expected '\\)'", 3),
        ("min(1, 2", "expected '\\)'", 9),
        ("N)", "expected an operator or the end", 2),
        ("99999999999999999999", "64 bits", 1),
        ("(" * 40 + "1" + ")" * 40, "levels deep", 33),
        ("-" * 40 + "1", "levels deep", 33),
        ("N" * 65, "at most 64 characters", 1),
    ],
)
def test_what_cannot_be_read_names_its_column(text, message, column):
    with pytest.raises(AxisError, match=message) as caught:
        AxisExpression.parse(text)
    assert caught.value.column == column


def test_the_length_is_bounded():
    with pytest.raises(AxisError, match="at most 256 characters, found 257"):
        AxisExpression.parse("1" + "+1" * 128)
    assert evaluate("1" + "+1" * 127) == 128


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("M + K", "column 5: axis K is not bound"),
        ("M // zero", "column 3: division by zero"),
        ("M % zero", "division by zero"),
        ("ceildiv(M, zero)", "division by zero"),
        ("N" + " * N" * 7, "64 bits"),
    ],
)
def test_what_has_no_value(text, message):
    with pytest.raises(AxisError, match=message):
        evaluate(text, **BINDINGS)


FORMS = [
    "{} + {}",
    "({} - {})",
    "({})*({})",
    "({}) // ({})",
    "({}) % ({})",
    "min({},{})",
    "max({}, {})",
    "ceildiv({}, {})",
    "-({} - {})",
]


@st.composite
def expressions(draw, depth=0):
    if depth > 3 or draw(st.booleans()):
        return draw(st.sampled_from(["M", "N", "K"]) | st.integers(0, 9).map(str))
    left, right = draw(expressions(depth + 1)), draw(expressions(depth + 1))
    form = draw(st.sampled_from(FORMS))
    return form.format(left, right)


@given(expressions(), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_agrees_with_python(text, m, n, k):
    bindings = {"M": m, "N": n, "K": k}
    assume(len(text) <= MAX_LENGTH)  # 16 leaves of one digit stay within 64 bits
    try:
        expected = eval(text, PYTHON, bindings)
    except ZeroDivisionError:
        with pytest.raises(AxisError, match="division by zero"):
            evaluate(text, **bindings)
    else:
        assert evaluate(text, **bindings) == expected


@given(st.text("MN01+-*/%(), minaxcevd", max_size=40) | st.text(max_size=40))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(AxisError):
        expression = AxisExpression.parse(text)
        expression.evaluate(dict.fromkeys(expression.names, 3))
