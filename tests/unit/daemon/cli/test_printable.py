import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbd.daemon.cli.printable import one_line, printable

OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_nothing_that_a_terminal_obeys_is_left(text):
    left = {character for character in printable(text) if unicodedata.category(character) in OBEYED}
    assert left <= {"\n", "\t"}


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_shown_twice_is_shown_once(text):
    assert printable(printable(text)) == printable(text)


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_one_line_is_one_line(text):
    assert "\n" not in one_line(text)
    assert "\t" not in one_line(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, тоже, そして", "plain text, тоже, そして"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("\x1b]52;c;cm0gLXJm\x07", "\\x1b]52;c;cm0gLXJm\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("abc\u202ecba", "abc\\u202ecba"),
        ("50%\r100%\r\ndone", "50%\n100%\ndone"),
        ("a\tb\n", "a\tb\n"),
        ("\ud800", "\\ud800"),
    ],
)
def test_examples(text, shown):
    assert printable(text) == shown
