import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from kbd.inbox import delivery as delivery_module
from kbd.inbox.delivery import UndeliverableJob, deliver
from kbd.inbox.errors import UnsafeFile
from kbd.inbox.spool import Spool, SpoolMissing


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool.create(tmp_path / "spool")


@pytest.fixture(autouse=True)
def strict_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "softmax"
    (folder / "deep").mkdir(parents=True)
    (folder / "__pycache__").mkdir()
    (folder / "job.yaml").write_text("id: declared")
    (folder / "deep" / "kernel.cu").write_text("code")
    (folder / ".hidden").write_text("")
    return folder


def inbox_of(spool: Spool) -> list[str]:
    return sorted(str(path.relative_to(spool.inbox)) for path in spool.inbox.rglob("*"))


def test_bytes(spool: Spool) -> None:
    assert deliver(b"text: here", spool, "a.yaml") == "a"
    assert inbox_of(spool) == ["a.yaml"]
    assert (spool.inbox / "a.yaml").read_bytes() == b"text: here"
    assert stat.S_IMODE((spool.inbox / "a.yaml").stat().st_mode) == 0o644


def test_a_file(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"id": "declared"}')
    assert deliver(tmp_path / "mine.json", spool, "a.json") == "declared"
    assert inbox_of(spool) == ["a.json"]


def test_a_folder(spool: Spool, folder: Path) -> None:
    assert deliver(folder, spool, "a.job") == "declared"
    assert inbox_of(spool) == ["a.job", "a.job/deep", "a.job/deep/kernel.cu", "a.job/job.yaml"]
    assert (spool.inbox / "a.job" / "deep" / "kernel.cu").read_text() == "code"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in spool.inbox.rglob("*")}
    assert modes == {"a.job": 0o775, "deep": 0o775, "kernel.cu": 0o644, "job.yaml": 0o644}


def test_for_an_owner(spool: Spool) -> None:
    spool.inbox.chmod(0o2770)
    deliver(b"1", spool, "a.yaml", owner="bob")
    deliver(b"1", spool, "b.yaml", owner="bob")
    assert inbox_of(spool) == ["bob", "bob/a.yaml", "bob/b.yaml"]
    assert stat.S_IMODE((spool.inbox / "bob").stat().st_mode) == 0o2775


def test_the_name_appears_when_everything_is_on_disk(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("fsync", "rename"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, n=name, r=real: (calls.append(n), r(*args))[1])
    deliver(b"1", spool, "a.yaml")
    assert calls == ["fsync", "rename", "fsync"]


@pytest.mark.parametrize(
    "name", ["a.txt", "a", "../a.yaml", "a/b.yaml", ".a.yaml", "ü.yaml", "a b.yaml", "a.job", ""]
)
def test_bad_names(spool: Spool, name: str) -> None:
    with pytest.raises(UndeliverableJob, match=r"expected NAME"):
        deliver(b"1", spool, name)
    assert inbox_of(spool) == []


def test_a_folder_must_be_called_job(spool: Spool, folder: Path) -> None:
    with pytest.raises(UndeliverableJob, match=r"\.job"):
        deliver(folder, spool, "a.yaml")


@pytest.mark.parametrize("owner", ["..", "a/b", "", "bob.job", ".tmp"])
def test_bad_owners(spool: Spool, owner: str) -> None:
    with pytest.raises(UndeliverableJob, match="owner"):
        deliver(b"1", spool, "a.yaml", owner=owner)
    assert inbox_of(spool) == []


def test_never_over_a_waiting_job(spool: Spool, folder: Path) -> None:
    deliver(b"first", spool, "a.yaml")
    deliver(folder, spool, "a.job")
    with pytest.raises(UndeliverableJob, match="waiting in the inbox already"):
        deliver(b"second", spool, "a.yaml")
    with pytest.raises(UndeliverableJob, match="waiting in the inbox already"):
        deliver(folder, spool, "a.job")
    assert (spool.inbox / "a.yaml").read_bytes() == b"first"
    assert ".a.tmp" not in inbox_of(spool)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_never_into_the_delivery_of_another(spool: Spool, folder: Path, kind: str) -> None:
    if kind == "file":
        (spool.inbox / ".a.tmp").write_text("theirs")
    else:
        (spool.inbox / ".a.tmp").mkdir()
    for source, name in ((b"1", "a.yaml"), (folder, "a.job")):
        with pytest.raises(UndeliverableJob, match="by somebody else"):
            deliver(source, spool, name)
    assert inbox_of(spool) == [".a.tmp"]


def test_too_large(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"x" * (delivery_module.MANIFEST_LIMIT_BYTES + 1))
    with pytest.raises(UnsafeFile, match="too large"):
        deliver(tmp_path / "a.yaml", spool, "a.yaml")
    assert inbox_of(spool) == []


def test_too_large_beside_it(spool: Spool, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_module, "SIDE_FILE_LIMIT_BYTES", 3)
    with pytest.raises(UnsafeFile, match=r"(kernel\.cu|job\.yaml) is too large"):
        deliver(folder, spool, "a.job")
    assert inbox_of(spool) == []


@pytest.mark.parametrize("kind", ["symlink", "fifo"])
def test_only_files_travel(spool: Spool, folder: Path, kind: str) -> None:
    if kind == "symlink":
        (folder / "odd").symlink_to("job.yaml")
    else:
        os.mkfifo(folder / "odd")
    with pytest.raises(UnsafeFile, match="odd"):
        deliver(folder, spool, "a.job")
    assert inbox_of(spool) == []


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_nothing_is_left_behind(
    spool: Spool, folder: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, fail)
    for source, name in ((b"1", "a.yaml"), (folder, "a.job")):
        with pytest.raises(OSError, match="No space"):
            deliver(source, spool, name)
    assert inbox_of(spool) == []


def test_a_missing_spool(spool: Spool) -> None:
    spool.sentinel.unlink()
    with pytest.raises(SpoolMissing):
        deliver(b"1", spool, "a.yaml")


def test_a_missing_source(spool: Spool, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        deliver(tmp_path / "nothing.yaml", spool, "a.yaml")


def test_a_folder_with_another_document(spool: Spool, folder: Path) -> None:
    assert deliver(folder, spool, "b.job", document=b'{"id": "b"}') == "b"
    assert inbox_of(spool) == ["b.job", "b.job/deep", "b.job/deep/kernel.cu", "b.job/job.json"]
    assert (spool.inbox / "b.job" / "job.json").read_bytes() == b'{"id": "b"}'
    assert stat.S_IMODE((spool.inbox / "b.job" / "job.json").stat().st_mode) == 0o644
    assert (folder / "job.yaml").exists()
