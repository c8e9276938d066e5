"""Who owns the spool: one at a time, the others see silence on their own clock, whoever was replaced notices."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from kbd.inbox import lease as lease_module
from kbd.inbox.epoch import EpochLost, fence_older
from kbd.inbox.lease import FoundLease, Lease, LeaseRecord, LeaseWatch, find_lease, take_lease
from kbd.inbox.spool import Spool, SpoolMissing

LEASE_S = 30.0


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool.create(tmp_path / "spool")


def record(name: str, lease_s: float = LEASE_S) -> LeaseRecord:
    return LeaseRecord(token=name, state=name, host=name, pid=1, place="here", born=1, lease_s=lease_s)


def take(spool: Spool, name: str, former: FoundLease | None = None) -> Lease:
    lease = take_lease(spool, record(name), former)
    assert lease is not None
    return lease


def found(spool: Spool) -> FoundLease:
    lease = find_lease(spool)
    assert lease is not None
    return lease


def test_nobody_owns_a_new_spool(spool: Spool) -> None:
    assert find_lease(spool) is None


def test_the_owner_says_who_it_is_and_has_an_epoch(spool: Spool) -> None:
    lease = take(spool, "a")
    assert found(spool).record == record("a")
    assert found(spool).holder == "the daemon with process id 1 on a"
    assert lease.epoch_folder == spool.claimed / "000001"
    lease.require()


def test_each_beat_changes_the_file_and_leaves_nothing_else(spool: Spool) -> None:
    lease = take(spool, "a")
    texts = {found(spool).text}
    for _ in range(3):
        lease.beat()
        texts.add(found(spool).text)
    assert len(texts) == 4
    assert [path.name for path in spool.lease.iterdir()] == ["000001.json"]


@pytest.mark.fault("a second daemon on another host")
def test_of_two_standbys_one_gets_it(spool: Spool) -> None:
    take(spool, "a")
    silent = found(spool)
    take(spool, "b", silent)
    assert take_lease(spool, record("c"), silent) is None
    assert found(spool).record == record("b")


def test_whoever_is_quicker_between_look_and_link_gets_it(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(spool, "a")
    silent = found(spool)
    link_once = lease_module.link_once

    def link_second(source: Path, target: Path) -> bool:
        monkeypatch.undo()
        take(spool, "quicker", silent)
        return link_once(source, target) if source.exists() else False

    monkeypatch.setattr(lease_module, "link_once", link_second)
    assert take_lease(spool, record("b"), silent) is None
    assert found(spool).record == record("quicker")


def test_an_owner_that_beats_after_all_keeps_it(spool: Spool) -> None:
    lease = take(spool, "a")
    silent = found(spool)
    lease.beat()
    assert take_lease(spool, record("b"), silent) is None


@pytest.mark.fault("a paused daemon wakes")
def test_a_former_owner_notices_and_overwrites_nothing(spool: Spool) -> None:
    old = take(spool, "a")
    take(spool, "b", found(spool))
    for call in (old.require, old.beat):
        with pytest.raises(EpochLost, match=r"process id 1 on b has taken .*epoch 2, ours was 1"):
            call()
    old.release()
    assert found(spool).record == record("b")


def test_a_former_owner_notices_though_its_successor_has_ended_too(spool: Spool) -> None:
    old = take(spool, "a")
    new = take(spool, "b", found(spool))
    fence_older(spool, new.epoch_folder)
    new.release()
    for call in (old.require, old.beat):
        with pytest.raises(EpochLost):
            call()
    assert find_lease(spool) is None


def test_given_back_it_is_free_and_the_next_epoch_is_a_new_one(spool: Spool) -> None:
    take(spool, "a").release()
    assert find_lease(spool) is None
    assert take(spool, "b").number == 2


def test_it_is_given_back_though_the_file_system_fails_for_a_moment(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease, unlink = take(spool, "a"), os.unlink

    def fail_once(path: Path) -> None:
        monkeypatch.setattr(os, "unlink", unlink)
        raise OSError(errno.EIO, os.strerror(errno.EIO), os.fspath(path))

    monkeypatch.setattr(os, "unlink", fail_once)
    lease.release()
    assert find_lease(spool) is None


def test_a_list_that_was_out_of_date_leads_to_nothing(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        take(spool, "a", find_lease(spool))
    with monkeypatch.context() as patch:
        patch.setattr(lease_module, "highest_epoch", lambda _: 0)
        patch.setattr(lease_module, "find_lease", lambda _: None)
        assert take_lease(spool, record("b"), None) is None
    assert found(spool).number == 3
    assert [path.name for path in spool.lease.iterdir()] == ["000003.json"]


@pytest.mark.fault("a second daemon on another host")
def test_whoever_was_paused_while_others_came_and_went_gets_no_epoch_of_old(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs that lie in a higher epoch would not be found by it."""
    create = lease_module.create_durably

    def others_come_and_go(*args: Any) -> None:
        monkeypatch.undo()
        for name in ("quicker", "quickest"):
            lease = take(spool, name)
            fence_older(spool, lease.epoch_folder)
            lease.release()
        create(*args)

    monkeypatch.setattr(lease_module, "create_durably", others_come_and_go)
    assert take_lease(spool, record("paused"), None) is None
    assert [path.name for path in spool.claimed.iterdir()] == ["000002"]
    assert take(spool, "paused").number == 3


def test_whoever_was_quicker_and_has_ended_since_leaves_the_spool_to_be_taken(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It swept our lease away and gave its own back: no lease is left to compare ours with."""

    def sweep(folder: Path) -> None:
        monkeypatch.undo()
        (spool.lease / "000001.json").unlink()
        (spool.claimed / "000002").mkdir()
        lease_module.fsync_folder(folder)

    monkeypatch.setattr(lease_module, "fsync_folder", sweep)
    assert take_lease(spool, record("a"), None) is None
    assert take(spool, "a").number == 3


def test_without_the_spool_nothing_is_said_about_its_owner(spool: Spool) -> None:
    lease = take(spool, "a")
    spool.sentinel.unlink()
    for call in (lease.require, lease.beat):
        with pytest.raises(SpoolMissing):
            call()


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"version": 2}', b"x" * (1 << 20)])
def test_a_lease_that_is_not_understood_is_held_by_somebody(spool: Spool, text: bytes) -> None:
    (spool.lease / "000007.json").write_bytes(text)
    lease = found(spool)
    assert (lease.number, lease.record) == (7, None)
    assert "says nothing" in lease.holder
    assert take(spool, "a", lease).number == 8


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(clock: Clock) -> LeaseWatch:
    return LeaseWatch(LEASE_S, clock, longest_gap_s=6.0)


def looks_until_silent(watch: LeaseWatch, clock: Clock, lease: FoundLease, step_s: float) -> int:
    for look in range(1000):
        if watch.is_silent(lease):
            return look
        clock.now += step_s
    raise AssertionError("never silent")


@pytest.mark.fault("a clock steps by an hour")
def test_silence_is_a_whole_lease_time_of_our_clock(spool: Spool, clock: Clock, watch: LeaseWatch) -> None:
    take(spool, "a")
    assert looks_until_silent(watch, clock, found(spool), 3.0) == 10


def test_every_change_begins_a_new_wait(spool: Spool, clock: Clock, watch: LeaseWatch) -> None:
    lease = take(spool, "a")
    for _ in range(5):
        for _ in range(9):
            assert not watch.is_silent(found(spool))
            clock.now += 3.0
        lease.beat()
    assert watch.changes == 4


def test_a_watcher_that_was_paused_itself_knows_nothing(
    spool: Spool, clock: Clock, watch: LeaseWatch
) -> None:
    take(spool, "a")
    assert not watch.is_silent(found(spool))
    clock.now += 3600.0
    assert not watch.is_silent(found(spool))


def test_the_owner_may_ask_for_more_patience(spool: Spool, clock: Clock, watch: LeaseWatch) -> None:
    take_lease(spool, record("a", lease_s=60.0), None)
    assert looks_until_silent(watch, clock, found(spool), 3.0) == 20


@pytest.mark.parametrize("name", ["\u0660" * 5 + "\u0667.json", "0000007.json", "9" * 30 + ".json", "7.json"])
def test_what_is_not_called_like_a_lease_is_none(spool: Spool, name: str) -> None:
    (spool.lease / name).write_text("{}")
    assert find_lease(spool) is None
