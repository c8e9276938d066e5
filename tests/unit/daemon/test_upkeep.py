import shutil

import pytest
from structlog.testing import capture_logs

from kbd.daemon.upkeep import MEND_INTERVAL_S, Upkeep
from kbd.inbox.epoch import EpochLost
from kbd.inbox.spool import SpoolMissing


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def upkeep(desk, clock):
    return Upkeep(desk.spool, desk.lease, clock)


def test_folders_that_somebody_has_removed_are_made_again(desk, deliver, upkeep, clock, files_in):
    spool = desk.spool
    for folder in (spool.inbox, spool.outbox, spool.done, spool.quarantine, spool.control, spool.lease):
        shutil.rmtree(folder)
    clock.now += MEND_INTERVAL_S
    with capture_logs() as logs:
        upkeep.round()
    assert [len(record["folders"]) for record in logs] == [8], "those in outbox/ and control/ too"
    desk.take_in.round([deliver("bad.yaml", "no job")])
    assert (files_in("outbox"), len(files_in("quarantine"))) == (["bad.json"], 2)
    with capture_logs() as logs:
        clock.now += MEND_INTERVAL_S
        upkeep.round()
    assert logs == []


def test_where_the_spool_is_away_nothing_is_made(desk, upkeep, clock):
    desk.spool.sentinel.unlink()
    shutil.rmtree(desk.spool.inbox)
    clock.now += MEND_INTERVAL_S
    with pytest.raises(SpoolMissing):
        upkeep.round()
    assert not desk.spool.inbox.exists()


def test_a_lost_epoch_is_not_made_again(desk, upkeep, clock):
    shutil.rmtree(desk.spool.claimed)
    clock.now += MEND_INTERVAL_S
    with pytest.raises(EpochLost):
        upkeep.round()
