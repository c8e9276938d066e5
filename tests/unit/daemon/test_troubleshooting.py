"""docs/troubleshooting.md: the messages that it explains are messages of kbd."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
ROOMS = ("daemon", "inbox", "outbox", "store", "backends")


def messages():
    """The messages of the table's first column, each as its parts between what varies."""
    page = (REPOSITORY / "docs" / "troubleshooting.md").read_text()
    rows = [line.split(" | ")[0] for line in page.splitlines() if line.startswith("| `")]
    return [message for row in rows for message in re.findall(r"`([^`]+)`", row) if " " in message]


@pytest.fixture(scope="module")
def sources():
    """All code, with strings that are written in pieces put together."""
    text = "\n".join(path.read_text() for room in ROOMS for path in (REPOSITORY / room).rglob("*.py"))
    return re.sub(r'"\s*\n\s*f?"', "", text)


def test_there_is_a_table():
    assert len(messages()) > 15


@pytest.mark.parametrize("message", messages())
def test_a_message_that_is_explained_exists(message, sources):
    parts = [re.escape(part.strip()) for part in re.split(r"…|'…'|\bN\b", message) if part.strip(" :'")]
    assert re.search(r"[^\n]*".join(parts), sources), f"no message says {message}"
