import os
from pathlib import Path

import pytest

from kbd.inbox.leftovers import Leftovers


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (".a.tmp", ".b.tmp", ".c.tmp", "d.tmp", ".e.yaml"):
        (tmp_path / name).touch()
    return tmp_path


def look(leftovers: Leftovers, folder: Path, number: int, now: float) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            leftovers.note(entry, number, now)
    leftovers.forget_all_but(number)


@pytest.mark.fault("a client dies while writing")
def test_only_temporaries_of_the_recipe_that_are_idle(folder: Path) -> None:
    leftovers = Leftovers(idle_s=10, limit=100)
    look(leftovers, folder, 1, 0)
    (folder / ".a.tmp").write_text("still at work")
    (folder / ".b.tmp").unlink()
    look(leftovers, folder, 2, 9)
    assert leftovers.abandoned(9) == []
    assert leftovers.abandoned(10) == [folder / ".c.tmp"]
    assert set(leftovers.abandoned(19)) == {folder / ".a.tmp", folder / ".c.tmp"}


def test_memory_is_bounded(folder: Path) -> None:
    leftovers = Leftovers(idle_s=10, limit=2)
    look(leftovers, folder, 1, 0)
    assert len(leftovers.abandoned(10)) == 2
