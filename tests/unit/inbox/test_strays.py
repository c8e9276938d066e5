import errno
import os
from pathlib import Path

import pytest

from kbd.inbox import strays as strays_module
from kbd.inbox.claim import Taken
from kbd.inbox.epoch import fence_older, make_epoch
from kbd.inbox.spool import Spool
from kbd.inbox.strays import LOOK_INTERVAL_S, Strays


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now

    def next_look(self) -> None:
        self.now += LOOK_INTERVAL_S


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool.create(tmp_path / "spool")


@pytest.fixture
def epoch(spool: Spool) -> Path:
    """The second one, with what the first had claimed."""
    first, second = spool.claimed / "000001", spool.claimed / "000002"
    for folder in (first, second):
        make_epoch(folder)
    (first / "@ann").mkdir()
    (first / "a.yaml").touch()
    fence_older(spool, second)
    return second


def test_what_is_there_at_the_start_is_none(epoch: Path, clock: Clock) -> None:
    strays = Strays(epoch, clock)
    clock.next_look()
    assert strays.look() == []


@pytest.mark.fault("a paused daemon wakes")
def test_what_comes_later_is_found_once(epoch: Path, clock: Clock) -> None:
    strays = Strays(epoch, clock)
    late, of_ann = epoch / "takeover-000001" / "late.yaml", epoch / "takeover-000001" / "@ann" / "b.yaml"
    of_ann.parent.mkdir(exist_ok=True)
    late.touch()
    of_ann.touch()
    assert strays.look() == [], "not yet"
    clock.next_look()
    assert strays.look() == [Taken(of_ann, "ann"), Taken(late, None)]
    clock.next_look()
    assert strays.look() == []


@pytest.mark.fault("a paused daemon wakes")
def test_a_folder_without_jobs_is_shut_for_those_who_hold_it(epoch: Path, clock: Clock) -> None:
    strays = Strays(epoch, clock)
    held = os.open(epoch / "takeover-000001", os.O_RDONLY | os.O_DIRECTORY)
    (epoch / "takeover-000001" / "a.yaml").unlink()
    clock.next_look()
    assert strays.look() == []
    with pytest.raises(FileNotFoundError):
        os.open("late.yaml", os.O_CREAT | os.O_WRONLY, dir_fd=held)
    os.close(held)
    assert list(epoch.iterdir()) == []
    clock.next_look()
    assert strays.look() == []


@pytest.mark.fault("a file handle is stale")
def test_where_looking_fails_nothing_is_forgotten(
    epoch: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    strays = Strays(epoch, clock)
    late = epoch / "takeover-000001" / "late.yaml"
    late.touch()
    clock.next_look()
    with monkeypatch.context() as patch:
        patch.setattr(strays_module, "jobs_under", stale)
        with pytest.raises(OSError, match="Stale"):
            strays.look()
        assert strays.look() == [], "not at once again"
    clock.next_look()
    assert strays.look() == [Taken(late, None)]


def test_an_empty_folder_that_cannot_be_removed_stays(
    epoch: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    strays = Strays(epoch, clock)
    (epoch / "takeover-000001" / "a.yaml").unlink()
    clock.next_look()
    with monkeypatch.context() as patch:
        patch.setattr(os, "rmdir", stale)
        assert strays.look() == []
    clock.next_look()
    assert strays.look() == []
    assert list(epoch.iterdir()) == []


def stale(_path: object) -> None:
    raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
