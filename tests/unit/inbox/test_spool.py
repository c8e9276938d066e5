from pathlib import Path

import pytest

from kbd.inbox.errors import InboxError
from kbd.inbox.spool import ClaimedPath, Spool, SpoolMissing, job_places, jobs_under, move_to_place, owner_of


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool.create(tmp_path / "spool")


def test_create_makes_every_folder_and_the_sentinel(spool: Spool) -> None:
    present = {str(path.relative_to(spool.root)) for path in spool.root.rglob("*")}
    assert present == {
        ".kbd-spool",
        "inbox",
        "outbox",
        "outbox/.tmp",
        "claimed",
        "done",
        "quarantine",
        "control",
        "control/answers",
        "lease",
    }


def test_create_again_changes_nothing(spool: Spool) -> None:
    (spool.inbox / "a.yaml").write_text("a")
    inode = spool.sentinel.stat().st_ino
    assert Spool.create(spool.root) == spool
    assert (spool.inbox / "a.yaml").read_text() == "a"
    assert spool.sentinel.stat().st_ino == inode


def test_open_a_spool(spool: Spool) -> None:
    assert Spool.open(spool.root) == spool


def test_open_makes_paths_absolute(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(spool.root.parent)
    assert Spool.open(Path("spool")) == spool


@pytest.mark.parametrize("missing", ["sentinel", "all", "file"])
def test_open_without_a_sentinel_says_what_to_do(tmp_path: Path, missing: str) -> None:
    root = tmp_path / "root"
    if missing == "sentinel":
        (root / "inbox").mkdir(parents=True)
    elif missing == "file":
        root.write_text("")
    with pytest.raises(SpoolMissing, match=f"kbd init --spool {root}") as caught:
        Spool.open(root)
    assert isinstance(caught.value, InboxError)


def test_the_command_that_makes_it_can_be_typed_as_it_is_told(tmp_path: Path) -> None:
    root = tmp_path / "my spool"
    with pytest.raises(SpoolMissing, match=f"kbd init --spool '{root}'$"):
        Spool.open(root)


def test_a_spool_that_was_unmounted_is_missing_not_empty(spool: Spool) -> None:
    spool.require()
    spool.root.rename(spool.root.with_name("elsewhere"))
    spool.root.mkdir()
    with pytest.raises(SpoolMissing):
        spool.require()


def test_places_of_a_job_never_end_and_never_repeat(tmp_path: Path) -> None:
    places = job_places(tmp_path, "bob")
    first = [next(places) for _ in range(30)]
    assert first[:3] == [tmp_path / "@bob", tmp_path / "@bob" / "+2", tmp_path / "@bob" / "+3"]
    assert len(set(first)) == 30


@pytest.mark.parametrize("owner", [None, "bob"])
def test_jobs_of_one_name_lie_apart_and_are_found_again(spool: Spool, owner: str | None) -> None:
    epoch = spool.claimed / "000001"
    epoch.mkdir()
    moved = []
    for _ in range(12):
        (spool.inbox / "a.yaml").write_text("a")
        moved.append(move_to_place(spool.inbox / "a.yaml", epoch, owner))
    assert {path.name for path in moved} == {"a.yaml"}
    assert {owner_of(path, spool.claimed) for path in moved} == {owner}
    assert sorted(jobs_under(epoch), key=lambda job: job.path) == [
        ClaimedPath(path, owner) for path in sorted(moved)
    ]


def test_owners_are_read_below_the_base_only(tmp_path: Path) -> None:
    assert (
        owner_of(tmp_path / "@home" / "claimed" / "000001" / "a.yaml", tmp_path / "@home" / "claimed") is None
    )


def test_no_name_of_a_user_passes_for_a_folder_of_kbd(spool: Spool) -> None:
    epoch = spool.claimed / "000001"
    epoch.mkdir()
    odd = ["@bob", "+2", "takeover-000000.yaml", "takeover-000000"]
    for name in odd:
        (spool.inbox / name).mkdir()
        move_to_place(spool.inbox / name, epoch, "bob")
    (spool.inbox / "@bob").mkdir()
    move_to_place(spool.inbox / "@bob", epoch, None)
    found = {(job.path.name, job.owner) for job in jobs_under(epoch)}
    assert found == {
        ("%40bob", None),
        ("%40bob", "bob"),
        ("%2B2", "bob"),
        ("takeover-000000.yaml", "bob"),
        ("takeover-000000", "bob"),
    }


def test_job_folders_are_found_whole_and_takeovers_are_searched(spool: Spool) -> None:
    epoch = spool.claimed / "000002"
    for path in ("a.job/job.yaml", "takeover-000001/@bob/+2/b.job/job.yaml", "takeover-000001/c.job/@d/e"):
        (epoch / path).parent.mkdir(parents=True)
        (epoch / path).touch()
    assert set(jobs_under(epoch)) == {
        ClaimedPath(epoch / "a.job", None),
        ClaimedPath(epoch / "takeover-000001/@bob/+2/b.job", "bob"),
        ClaimedPath(epoch / "takeover-000001/c.job", None),
    }
