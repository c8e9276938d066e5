"""What terminals get: colours where they are wanted, tables and texts that fit."""

import pytest

from kbd.daemon.cli.painting import Column, Painter, cut, cut_middle, is_terminal, width

PLAIN = Painter(columns=40, styles=False)
COLUMNS = (
    Column("job", most=20, least=8, is_id=True),
    Column("verdict"),
    Column("took", right=True),
    Column("", style="dim", least=6),
)
ROW = (("softmax-fused-17", ""), ("✗ crashed", "red"), ("0.31 s", ""), ("killed by SIGSEGV", ""))


def table(columns, *rows):
    return list(Painter(columns=columns, styles=False).table(COLUMNS, rows or [ROW]))


def test_where_there_is_room_nothing_is_cut():
    assert table(60) == [
        "job               verdict      took",
        "──────────────────────────────────────────────────────",
        "softmax-fused-17  ✗ crashed  0.31 s  killed by SIGSEGV",
    ]


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (53, "softmax-fused-17  ✗ crashed  0.31 s  killed by SIGSE…"),
        (46, "softmax-fused-17  ✗ crashed  0.31 s  killed b…"),
        (42, "softmax…used-17  ✗ crashed  0.31 s  kille…"),
        (34, "softmax…used-17  ✗ crashed  0.31 s"),
        (22, "softm…ed-17  ✗ crashed"),
        (16, "so…17  ✗ crashed"),
    ],
)
def test_what_is_most_to_the_right_gives_way_first(columns, line):
    assert table(columns)[2] == line


@pytest.mark.parametrize("columns", range(20, 80))
def test_no_line_is_wider_than_the_terminal(columns):
    wide = (("x" * 30, ""), ("✓ passed", ""), ("1.0 s", ""), ("日本語の長い説明" * 4, ""))
    assert max(map(width, table(columns, ROW, wide))) <= columns


def test_a_column_of_nothing_takes_no_room():
    assert table(80, (*ROW[:3], ("", "")))[1] == "─" * 35


def test_colours_and_styles_of_cells():
    painter = Painter(columns=80)
    row = next(line for number, line in enumerate(painter.table(COLUMNS, [ROW])) if number == 2)
    assert "\x1b[31m✗ crashed\x1b[0m" in row
    assert "\x1b[2mkilled by SIGSEGV\x1b[0m" in row


@pytest.mark.parametrize(
    ("painter", "painted"),
    [
        (Painter(), "\x1b[1;31mbad\x1b[0m"),
        (Painter(colours=False), "\x1b[1mbad\x1b[0m"),
        (Painter(styles=False), "bad"),
    ],
)
def test_who_wants_no_colours_gets_none(painter, painted):
    assert painter.paint("bad", "bold red") == painted
    assert painter.paint("", "bold red") == ""


def test_long_texts_are_folded_between_words_and_stay_right_of_their_label():
    folded = PLAIN.fold(
        [("paused  ", "bold"), ("by ann@box: the driver of the second GPU is replaced", "")], 8
    )
    assert folded.split("\n") == [
        "paused  by ann@box: the driver of the",
        "        second GPU is replaced",
    ]


def test_styles_do_not_reach_over_a_fold():
    painter = Painter(columns=12)
    assert painter.fold([("one two three", "red")], 2) == "\x1b[31mone two\x1b[0m\n  \x1b[31mthree\x1b[0m"


def test_a_word_that_fits_nowhere_stays_whole():
    path = "/a/very/long/path/that/is/wider/than/any/terminal"
    assert PLAIN.fold([(path, "")], 8) == path


@pytest.mark.parametrize(
    ("text", "room", "shown"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdef", 5, "abcd…"),
        ("ab cdef", 4, "ab…"),
        ("日本語", 5, "日本…"),
        ("e\u0301e", 2, "e\u0301e"),
    ],
)
def test_cut(text, room, shown):
    assert cut(text, room) == shown


def test_ids_that_differ_at_the_end_still_differ():
    assert cut_middle("run-2025-11-layernorm-0017", 11) == "run-2…-0017"
    assert cut_middle("short", 5) == "short"


@pytest.mark.parametrize(
    ("environment", "answer"),
    [
        ({}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": ""}, False),
        ({"TTY_COMPATIBLE": "1"}, True),
        ({"TTY_COMPATIBLE": "0", "FORCE_COLOR": "1"}, False),
    ],
)
def test_what_is_taken_for_a_terminal_is_what_rich_takes_for_one(monkeypatch, environment, answer):
    from rich.console import Console

    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert is_terminal() is answer
    assert Console().is_terminal is answer


@pytest.mark.parametrize(
    ("environment", "painter"),
    [
        ({"COLUMNS": "93"}, Painter(columns=93)),
        ({"COLUMNS": "93", "NO_COLOR": "1"}, Painter(columns=93, colours=False)),
        ({"COLUMNS": "93", "TERM": "dumb"}, Painter(columns=80, styles=False)),
    ],
)
def test_a_terminal_is_known_by_its_environment(monkeypatch, environment, painter):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = Painter.of_stdout()
    assert (found.columns, found.styles, found.colours) == (painter.columns, painter.styles, painter.colours)
