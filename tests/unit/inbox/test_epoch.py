from pathlib import Path

import pytest

from kbd.inbox.epoch import EpochLost, fence_older, highest_epoch, make_epoch, require_epoch
from kbd.inbox.spool import ClaimedPath, Spool, SpoolMissing, jobs_under


def next_epoch(spool: Spool) -> Path:
    """As the holder of the next lease makes it."""
    folder = spool.claimed / f"{highest_epoch(spool) + 1:06d}"
    make_epoch(folder)
    return folder


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool.create(tmp_path / "spool")


def test_epochs_count_up(spool: Spool) -> None:
    assert [next_epoch(spool).name for _ in range(3)] == ["000001", "000002", "000003"]


def test_epochs_go_on_after_the_highest_and_past_six_digits(spool: Spool) -> None:
    for name in ("000002", "999999", "notes", "12"):
        (spool.claimed / name).mkdir()
    assert next_epoch(spool).name == "1000000"
    assert next_epoch(spool).name == "1000001"


def test_restarts_put_old_epochs_side_by_side(spool: Spool) -> None:
    for restart in range(4):
        epoch = next_epoch(spool)
        fence_older(spool, epoch)
        (epoch / f"{restart}.yaml").touch()
    assert [path.name for path in spool.claimed.iterdir()] == ["000004"]
    assert set(jobs_under(epoch)) == {
        ClaimedPath(epoch / "takeover-000001" / "0.yaml", None),
        ClaimedPath(epoch / "takeover-000002" / "1.yaml", None),
        ClaimedPath(epoch / "takeover-000003" / "2.yaml", None),
        ClaimedPath(epoch / "3.yaml", None),
    }


def test_takeovers_that_were_cut_short_come_side_by_side_too(spool: Spool) -> None:
    for old in ("000003", "000003/takeover-000002", "000003/takeover-000002/takeover-000001"):
        (spool.claimed / old).mkdir(exist_ok=True)
        (spool.claimed / old / f"{old[-1]}.yaml").touch()
    last = next_epoch(spool)
    fence_older(spool, last)
    assert sorted(path.name for path in last.iterdir()) == [f"takeover-00000{old}" for old in (1, 2, 3)]
    assert sorted(job.path.name for job in jobs_under(last)) == ["1.yaml", "2.yaml", "3.yaml"]


def test_epochs_without_jobs_leave_no_trace(spool: Spool) -> None:
    for _ in range(3):
        epoch = next_epoch(spool)
        fence_older(spool, epoch)
        (epoch / "@bob" / "+2").mkdir(parents=True)
    last = next_epoch(spool)
    (epoch / "@bob" / "empty.job").mkdir()
    fence_older(spool, last)
    assert set(jobs_under(last)) == {ClaimedPath(last / "takeover-000003" / "@bob" / "empty.job", "bob")}
    assert [path.name for path in last.iterdir()] == ["takeover-000003"]


def test_a_fence_leaves_newer_epochs_alone(spool: Spool) -> None:
    older, newer = next_epoch(spool), next_epoch(spool)
    fence_older(spool, older)
    assert newer.is_dir()
    require_epoch(spool, older)


def test_a_former_owner_notices(spool: Spool) -> None:
    old = next_epoch(spool)
    require_epoch(spool, old)
    fence_older(spool, next_epoch(spool))
    with pytest.raises(EpochLost, match="another daemon"):
        require_epoch(spool, old)


def test_a_spool_that_is_gone_says_nothing_about_who_owns_it(spool: Spool) -> None:
    epoch = next_epoch(spool)
    spool.root.rename(spool.root.with_name("elsewhere"))
    with pytest.raises(SpoolMissing):
        require_epoch(spool, epoch)
