"""A spool on which kbd cannot work is refused at start, with the folder, the deed and the way out."""

import errno
import os
from pathlib import Path

import pytest

from kbd.inbox.probe import SpoolUnfit, probe_folders
from kbd.inbox.spool import Spool


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool.create(tmp_path / "spool")


def everything(spool: Spool) -> list[Path]:
    return sorted(spool.root.rglob("*"))


def test_a_good_spool_passes_and_nothing_is_left(spool: Spool) -> None:
    before = everything(spool)
    probe_folders(spool)
    assert everything(spool) == before


@pytest.mark.parametrize(
    ("call", "number", "advice"),
    [
        ("rename", errno.EXDEV, "one mount"),
        ("link", errno.EXDEV, "one mount"),
        ("link", errno.EPERM, "hard links"),
        ("rename", errno.EACCES, "write permission"),
        ("fsync", errno.EIO, "file system"),
        ("unlink", errno.EROFS, "read-only"),
    ],
)
def test_what_cannot_be_done_is_named(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, call: str, number: int, advice: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    before = everything(spool)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(SpoolUnfit, match=advice) as refused:
            probe_folders(spool)
    assert os.strerror(number) in str(refused.value)
    assert [path for path in everything(spool) if path not in before] == [] or call == "unlink"


def test_every_folder_takes_part(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[Path] = set()
    rename = os.rename

    def noted(source: Path, target: Path) -> None:
        seen.update((source.parent, target.parent))
        rename(source, target)

    monkeypatch.setattr(os, "rename", noted)
    probe_folders(spool)
    assert seen == {spool.root, *spool.folders}


def test_what_a_daemon_left_that_was_killed_while_it_probed_is_no_trouble(spool: Spool) -> None:
    for folder in (spool.claimed, spool.done, spool.outbox_tmp):
        (folder / ".probe.tmp").touch()
    probe_folders(spool)
    assert list(spool.root.rglob(".probe*")) == []
