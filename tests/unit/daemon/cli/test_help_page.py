"""The page of `--help`: frames that close, columns that stand, colours where these are seen."""

import re

import click
import pytest

from kbd.daemon.cli.help_page import NARROWEST, WIDEST, PageCommand, PageGroup
from kbd.daemon.cli.main import COMMANDS
from kbd.daemon.cli.main import kbd as whole


@click.command("weigh", cls=PageCommand)
@click.argument("things", nargs=-1)
@click.option(
    "-u",
    "--unit",
    default="kg",
    show_default=True,
    help="As in `kbd weigh -u kg`, or any other that is known.",
)
@click.option(
    "--how", type=click.Choice(["exactly", "roughly", "not at all if it can be avoided"]), help="How."
)
@click.option("--silent", is_flag=True, help="Say nothing.")
def weigh(things, unit, how, silent):
    """Weigh things.

    Those that are `heavy` take longer.
    """


def page(command, monkeypatch, columns=80):
    monkeypatch.setenv("COLUMNS", str(columns))
    with command.make_context("kbd weigh", [], resilient_parsing=True) as context:
        return command.get_help(context)


@pytest.mark.parametrize("columns", [10, NARROWEST, 57, 80, WIDEST, 300])
def test_frames_close_at_every_width(monkeypatch, columns):
    width = max(NARROWEST, min(WIDEST, columns))
    framed = [
        line
        for line in click.unstyle(page(weigh, monkeypatch, columns)).split("\n")
        if line[:1] in set("╭│╰")
    ]
    assert {(len(line), line[0] + line[-1]) for line in framed} == {
        (width, "╭╮"),
        (width, "││"),
        (width, "╰╯"),
    }


def test_as_it_looks(monkeypatch, same_as_golden):
    same_as_golden(click.unstyle(page(weigh, monkeypatch)), "help.txt")


def test_its_colours(monkeypatch, same_as_golden):
    same_as_golden(page(weigh, monkeypatch).replace("\x1b", "␛"), "help_coloured.txt")


def test_a_colour_ends_with_its_line(monkeypatch):
    """Whatever frames the line has a colour of its own."""
    for line in page(weigh, monkeypatch, columns=NARROWEST).split("\n"):
        assert "\x1b" not in re.sub(r"(\x1b\[\d+m)+[^\x1b]+\x1b\[0m", "", line)


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
)
def test_colours_are_a_matter_of_the_environment(kbd, monkeypatch, environment, coloured):
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ("\x1b[" in kbd("--help").out) is coloured


def test_each_command_is_told_in_one_line(kbd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = kbd("--help").out.split("\n")
    for name, said in COMMANDS.items():
        assert f"│ {name:<11} {said:<65}│" in lines


def test_commands_below_a_command_have_the_same_page():
    for name in COMMANDS:
        command = whole.get_command(click.Context(whole), name)
        for inner in command.commands.values() if isinstance(command, PageGroup) else ():
            assert isinstance(inner, PageCommand)


def test_a_misspelt_command_is_guessed(kbd):
    assert "there is no command 'stauts'. Did you mean stats or status?" in kbd("stauts").err
