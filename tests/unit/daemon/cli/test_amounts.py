import click
import pytest

from kbd.daemon.cli.amounts import bytes_of, seconds_of

CONTEXT = click.Context(click.Command("x"))
OPTION = click.Option(["--x"])


@pytest.mark.parametrize(
    ("text", "value"), [(None, None), ("30s", 30), ("1.5m", 90), ("2h", 7200), ("7d", 604_800)]
)
def test_ages(text, value):
    assert seconds_of(CONTEXT, OPTION, text) == value


@pytest.mark.parametrize(
    ("text", "value"), [(None, None), ("5", 5), ("1.5K", 1536), ("2GiB", 2 << 30), ("3MB", 3 << 20), ("0", 0)]
)
def test_sizes(text, value):
    assert bytes_of(CONTEXT, OPTION, text) == value


@pytest.mark.parametrize("text", ["", "x", "-1", "5 weeks", "1E"])
def test_nonsense(text):
    for read in (seconds_of, bytes_of):
        with pytest.raises(click.BadParameter, match="expected a number"):
            read(CONTEXT, OPTION, text)
