import errno
import logging
import os
import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kbd.inbox import watcher as watcher_module
from kbd.inbox.mounts import Mount
from kbd.inbox.spool import Spool
from kbd.inbox.watcher import Hint, HintKind, InboxWatcher

ENOUGH_S = 20


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool.create(tmp_path / "spool")


class Heard:
    """The hints of a watcher, in order."""

    def __init__(self) -> None:
        self.queue: queue.Queue[Hint] = queue.Queue()

    def up_to(self, last: Hint) -> list[Hint]:
        hints = []
        while not hints or hints[-1] != last:
            hints.append(self.queue.get(timeout=ENOUGH_S))
        return hints


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def watcher(spool: Spool, heard: Heard) -> Iterator[InboxWatcher]:
    watcher = InboxWatcher(spool, heard.queue.put)
    yield watcher
    watcher.stop()


def deliver(path: Path) -> Hint:
    temporary = path.with_name(f".{path.stem}.tmp")
    temporary.write_text("x")
    temporary.rename(path)
    return Hint(HintKind.ARRIVED, path)


def test_renamed_into_place(spool: Spool, heard: Heard, watcher: InboxWatcher) -> None:
    assert watcher.start()
    arrival = deliver(spool.inbox / "a.yaml")
    assert heard.up_to(arrival) == [arrival]  # and nothing about the temporary name


def test_moved_in_from_elsewhere(spool: Spool, heard: Heard, watcher: InboxWatcher) -> None:
    watcher.start()
    (spool.root / "a.yaml").write_text("x")
    (spool.root / "a.yaml").rename(spool.inbox / "a.yaml")
    assert heard.up_to(Hint(HintKind.ARRIVED, spool.inbox / "a.yaml"))


def test_a_folder_renamed_into_place(spool: Spool, heard: Heard, watcher: InboxWatcher) -> None:
    watcher.start()
    (spool.inbox / ".a.tmp").mkdir()
    (spool.inbox / ".a.tmp").rename(spool.inbox / "a.job")
    assert heard.up_to(Hint(HintKind.ARRIVED, spool.inbox / "a.job"))


def test_written_in_place(spool: Spool, heard: Heard, watcher: InboxWatcher) -> None:
    watcher.start()
    (spool.inbox / "a.yaml").write_text("x")
    os.mkfifo(spool.inbox / "b.yaml")
    hints = heard.up_to(Hint(HintKind.TOUCHED, spool.inbox / "b.yaml"))
    assert Hint(HintKind.TOUCHED, spool.inbox / "a.yaml") in hints
    assert HintKind.ARRIVED not in {hint.kind for hint in hints}


def test_what_leaves_is_not_told_and_holds_nothing_back(
    spool: Spool, heard: Heard, watcher: InboxWatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Were the event of leaving asked for, watchdog would sleep here before it gives the next one.
    grouper = "watchdog.observers.inotify_move_event_grouper.InotifyMoveEventGrouper.delay"
    monkeypatch.setattr(grouper, 10 * ENOUGH_S, raising=False)
    watcher.start()
    heard.up_to(deliver(spool.inbox / "a.yaml"))
    (spool.inbox / "a.yaml").rename(spool.claimed / "a.yaml")
    arrival = deliver(spool.inbox / "b.yaml")
    assert heard.up_to(arrival) == [arrival]


@pytest.mark.parametrize("before", [True, False])
def test_folders_of_owners(spool: Spool, heard: Heard, watcher: InboxWatcher, before: bool) -> None:
    owner = spool.inbox / "bob"
    if before:
        owner.mkdir()
        watcher.start()
    else:
        watcher.start()
        owner.mkdir()
        heard.up_to(Hint(HintKind.TOUCHED))
    assert heard.up_to(deliver(owner / "a.yaml"))


def test_a_folder_of_an_owner_that_is_made_again(spool: Spool, heard: Heard, watcher: InboxWatcher) -> None:
    (spool.inbox / "bob").mkdir()
    watcher.start()
    (spool.inbox / "bob").rmdir()
    (spool.inbox / "bob").mkdir()
    heard.up_to(Hint(HintKind.TOUCHED))
    assert heard.up_to(deliver(spool.inbox / "bob" / "a.yaml"))


def test_owners_over_the_limit_are_left_to_scans(
    spool: Spool,
    heard: Heard,
    watcher: InboxWatcher,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(watcher_module, "_OWNERS_LIMIT", 1)
    for name in ("bob", "eve"):
        (spool.inbox / name).mkdir()
    assert watcher.start()
    assert [record.__dict__["action"] for record in caplog.records] == ["not_watched"]


@pytest.mark.fault("thousands of jobs at once")
def test_lost_events_are_told(spool: Spool, heard: Heard, watcher: InboxWatcher) -> None:
    watcher.start()
    logging.getLogger("watchdog.observers.inotify_c").warning("Inotify queue overflowed; events were lost")
    assert heard.up_to(Hint(HintKind.OVERFLOW)) == [Hint(HintKind.OVERFLOW)]


def test_watchdog_still_says_overflow_in_its_log() -> None:
    # What the test above imitates: were the words changed, lost events would go unnoticed.
    import watchdog.observers.inotify_c

    assert "overflow" in Path(watchdog.observers.inotify_c.__file__).read_text().lower()


def test_network_file_systems_are_not_watched(
    spool: Spool, watcher: InboxWatcher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watcher_module, "filesystem_of", lambda path: Mount(path, "nfs4", "server:/"))
    assert not watcher.start()
    assert "nfs4" in caplog.text
    watcher.stop()


def test_without_inotify_scans_do_the_work(
    spool: Spool, watcher: InboxWatcher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_more() -> object:
        raise OSError(errno.EMFILE, "inotify instance limit reached")

    monkeypatch.setattr(watcher_module, "_ArrivalObserver", no_more)
    assert not watcher.start()
    assert "inotify instance limit reached" in caplog.text


def test_stop_ends_all_threads_and_may_be_called_again(spool: Spool, heard: Heard) -> None:
    before = set(threading.enumerate())
    (spool.inbox / "bob").mkdir()
    watcher = InboxWatcher(spool, heard.queue.put)
    watcher.stop()
    watcher.start()
    assert set(threading.enumerate()) > before
    watcher.stop()
    watcher.stop()
    assert set(threading.enumerate()) == before


def test_a_request_is_announced(spool: Spool, heard: Heard, watcher: InboxWatcher) -> None:
    assert watcher.start()
    (spool.control / ".x.tmp").write_text("x")
    (spool.control / ".x.tmp").rename(spool.control / "x.json")
    asked = Hint(HintKind.ASKED)
    assert heard.up_to(asked) == [asked]  # and nothing about the temporary name
    (spool.answers / "x.json").write_text("x")
    arrival = deliver(spool.inbox / "a.yaml")
    assert heard.up_to(arrival) == [arrival]  # nor about answers
