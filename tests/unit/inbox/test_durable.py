import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kbd.inbox import durable
from kbd.inbox.tidying import remove_leftovers


class Faults:
    """Makes system calls fail in a chosen way, and notes which were made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.calls: list[str] = []

    def fail(self, name: str, code: int, *, times: int = 1, after_doing_it: bool = False) -> None:
        real: Callable[..., Any] = getattr(os, name)
        left = [times]

        def call(*arguments: Any, **options: Any) -> Any:
            self.calls.append(name)
            if not left[0]:
                return real(*arguments, **options)
            left[0] -= 1
            if after_doing_it:
                real(*arguments, **options)
            raise OSError(code, os.strerror(code))

        self._monkeypatch.setattr(os, name, call)

    def note(self, name: str) -> None:
        self.fail(name, 0, times=0)


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    return Faults(monkeypatch)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_text("content")
    return path


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestRenameOnce:
    def test_moves(self, source: Path, tmp_path: Path) -> None:
        durable.rename_once(source, tmp_path / "target")
        assert names_in(tmp_path) == ["target"]

    def test_never_replaces(self, source: Path, tmp_path: Path) -> None:
        (tmp_path / "target").write_text("first")
        with pytest.raises(FileExistsError):
            durable.rename_once(source, tmp_path / "target")
        assert (tmp_path / "target").read_text() == "first"
        assert source.exists()

    def test_second_name_of_the_same_file_is_no_success(self, source: Path, tmp_path: Path) -> None:
        # rename(2) would say yes and do nothing: the delivery would stay in the inbox for ever.
        os.link(source, tmp_path / "target")
        with pytest.raises(FileExistsError):
            durable.rename_once(source, tmp_path / "target")

    def test_a_gone_source(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            durable.rename_once(tmp_path / "nothing", tmp_path / "target")

    def test_a_gone_target_folder(self, source: Path, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            durable.rename_once(source, tmp_path / "nowhere" / "target")
        assert source.exists()

    def test_enoent_after_success_is_success(self, source: Path, tmp_path: Path, faults: Faults) -> None:
        faults.fail("rename", errno.ENOENT, after_doing_it=True)
        durable.rename_once(source, tmp_path / "target")
        assert names_in(tmp_path) == ["target"]

    @pytest.mark.parametrize("call", ["rename", "lstat"])
    @pytest.mark.fault("a file handle is stale")
    def test_stale_once_is_tried_again(self, call: str, source: Path, tmp_path: Path, faults: Faults) -> None:
        faults.fail(call, errno.ESTALE)
        durable.rename_once(source, tmp_path / "target")
        assert names_in(tmp_path) == ["target"]

    def test_stale_after_success_is_success(self, source: Path, tmp_path: Path, faults: Faults) -> None:
        faults.fail("rename", errno.ESTALE, after_doing_it=True)
        durable.rename_once(source, tmp_path / "target")
        assert names_in(tmp_path) == ["target"]

    @pytest.mark.fault("a file handle is stale")
    def test_stale_twice_counts_as_gone(self, source: Path, tmp_path: Path, faults: Faults) -> None:
        faults.fail("rename", errno.ESTALE, times=2)
        with pytest.raises(FileNotFoundError, match="stale"):
            durable.rename_once(source, tmp_path / "target")
        assert faults.calls.count("rename") == 2

    def test_other_errors_are_told(self, source: Path, tmp_path: Path, faults: Faults) -> None:
        faults.fail("rename", errno.EXDEV)
        with pytest.raises(OSError, match="cross-device") as caught:
            durable.rename_once(source, tmp_path / "target")
        assert caught.value.errno == errno.EXDEV

    def test_symlinks_and_fifos_are_moved_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(tmp_path / "nothing")
        os.mkfifo(tmp_path / "fifo")
        durable.rename_once(tmp_path / "link", tmp_path / "moved-link")
        durable.rename_once(tmp_path / "fifo", tmp_path / "moved-fifo")
        assert (tmp_path / "moved-link").is_symlink()
        assert (tmp_path / "moved-fifo").is_fifo()


class TestLinkOnce:
    def test_links(self, source: Path, tmp_path: Path) -> None:
        assert durable.link_once(source, tmp_path / "target")
        assert (tmp_path / "target").samefile(source)

    def test_again_is_success(self, source: Path, tmp_path: Path) -> None:
        durable.link_once(source, tmp_path / "target")
        assert durable.link_once(source, tmp_path / "target")

    def test_another_file_is_not_touched(self, source: Path, tmp_path: Path) -> None:
        (tmp_path / "target").write_text("first")
        assert not durable.link_once(source, tmp_path / "target")
        assert (tmp_path / "target").read_text() == "first"

    @pytest.mark.parametrize("code", [errno.EEXIST, errno.ENOENT, errno.ESTALE])
    def test_error_about_itself_is_success(
        self, code: int, source: Path, tmp_path: Path, faults: Faults
    ) -> None:
        faults.fail("link", code, after_doing_it=True)
        assert durable.link_once(source, tmp_path / "target")

    def test_a_real_enoent_is_told(self, source: Path, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            durable.link_once(source, tmp_path / "nowhere" / "target")


class TestWriteDurably:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "folder"
        folder.mkdir()
        return folder

    @pytest.fixture
    def tmp_folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "tmp"
        folder.mkdir()
        return folder

    @pytest.mark.parametrize("overwrite", [True, False])
    def test_writes(self, folder: Path, tmp_folder: Path, overwrite: bool) -> None:
        durable.write_durably(folder / "a", b"data", tmp_folder=tmp_folder, overwrite=overwrite)
        assert (folder / "a").read_bytes() == b"data"
        assert names_in(tmp_folder) == []

    def test_readable_whatever_the_umask(self, folder: Path, tmp_folder: Path) -> None:
        before = os.umask(0o077)
        try:
            durable.write_durably(folder / "a", b"data", tmp_folder=tmp_folder, overwrite=False)
        finally:
            os.umask(before)
        assert (folder / "a").stat().st_mode & 0o777 == 0o644

    def test_overwrites_only_when_told(self, folder: Path, tmp_folder: Path) -> None:
        (folder / "a").write_bytes(b"first")
        with pytest.raises(FileExistsError):
            durable.write_durably(folder / "a", b"second", tmp_folder=tmp_folder, overwrite=False)
        assert (folder / "a").read_bytes() == b"first"
        assert names_in(tmp_folder) == []
        durable.write_durably(folder / "a", b"second", tmp_folder=tmp_folder, overwrite=True)
        assert (folder / "a").read_bytes() == b"second"

    @pytest.mark.parametrize("overwrite", [True, False])
    def test_order_of_calls(self, folder: Path, tmp_folder: Path, faults: Faults, overwrite: bool) -> None:
        for name in ("write", "fsync", "link", "replace", "unlink"):
            faults.note(name)
        durable.write_durably(folder / "a", b"data", tmp_folder=tmp_folder, overwrite=overwrite)
        naming = ["replace", "fsync"] if overwrite else ["link", "unlink", "fsync"]
        assert faults.calls == ["write", "fsync", *naming]

    def test_many_files_one_flush_of_the_folder(self, folder: Path, tmp_folder: Path, faults: Faults) -> None:
        faults.note("fsync")
        items = [(folder / f"{number}", b"%d" % number) for number in range(300)]
        durable.write_all_durably(items, tmp_folder=tmp_folder, overwrite=False)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
            path.name: data for path, data in items
        }
        assert len(faults.calls) == 300 + 1
        assert names_in(tmp_folder) == []

    @pytest.mark.fault("fsync or close reports an error")
    def test_an_eio_of_fsync_means_a_new_file(self, folder: Path, tmp_folder: Path, faults: Faults) -> None:
        faults.fail("fsync", errno.EIO)
        faults.note("write")
        durable.write_durably(folder / "a", b"data", tmp_folder=tmp_folder, overwrite=False)
        assert faults.calls == ["write", "fsync", "write", "fsync", "fsync"]
        assert (folder / "a").read_bytes() == b"data"
        assert names_in(tmp_folder) == []

    @pytest.mark.parametrize(
        ("call", "code", "times"),
        [
            ("fsync", errno.EIO, 2),
            ("fsync", errno.ENOSPC, 1),
            ("write", errno.ENOSPC, 1),
            ("link", errno.EPERM, 1),
        ],
    )
    @pytest.mark.fault("a disk is full")
    @pytest.mark.fault("a quota is used up")
    @pytest.mark.fault("fsync or close reports an error")
    def test_nothing_is_left_behind(
        self, folder: Path, tmp_folder: Path, faults: Faults, call: str, code: int, times: int
    ) -> None:
        faults.fail(call, code, times=times)
        with pytest.raises(OSError) as caught:  # noqa: PT011 - which one is asserted below
            durable.write_durably(folder / "a", b"data", tmp_folder=tmp_folder, overwrite=False)
        assert caught.value.errno == code
        assert names_in(folder) == names_in(tmp_folder) == []

    def test_short_writes_are_continued(
        self, folder: Path, tmp_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write = os.write
        monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data)[:3]))
        durable.write_durably(folder / "a", b"more than three", tmp_folder=tmp_folder, overwrite=False)
        assert (folder / "a").read_bytes() == b"more than three"


class TestCreateDurably:
    def test_never_replaces(self, source: Path) -> None:
        with pytest.raises(FileExistsError):
            durable.create_durably(source, b"second")
        assert source.read_text() == "content"

    @pytest.mark.parametrize("call", ["write", "fsync", "fchmod"])
    @pytest.mark.fault("a disk is full")
    @pytest.mark.fault("a quota is used up")
    @pytest.mark.fault("fsync or close reports an error")
    def test_nothing_is_left_behind(self, call: str, tmp_path: Path, faults: Faults) -> None:
        faults.fail(call, errno.EDQUOT)
        with pytest.raises(OSError, match=r"[qQ]uota"):
            durable.create_durably(tmp_path / "a", b"data")
        assert names_in(tmp_path) == []


class TestFolders:
    def test_unsupported_fsync_of_folders_is_let_pass(self, tmp_path: Path, faults: Faults) -> None:
        faults.fail("fsync", errno.EINVAL)
        durable.fsync_folder(tmp_path)
        assert faults.calls == ["fsync"]

    def test_failed_fsync_of_folders_is_told(self, tmp_path: Path, faults: Faults) -> None:
        faults.fail("fsync", errno.EIO)
        with pytest.raises(OSError, match="Input/output"):
            durable.fsync_folder(tmp_path)

    def test_make_folder(self, tmp_path: Path, source: Path) -> None:
        assert durable.make_folder(tmp_path / "new")
        assert not durable.make_folder(tmp_path / "new")
        with pytest.raises(FileExistsError):
            durable.make_folder(source)


class TestRemove:
    def test_what_is_there(self, tmp_path: Path, source: Path) -> None:
        (tmp_path / "folder" / "deep").mkdir(parents=True)
        (tmp_path / "folder" / "link").symlink_to(source)
        os.mkfifo(tmp_path / "fifo")
        (tmp_path / "link").symlink_to(tmp_path / "folder")
        assert all(durable.remove(tmp_path / name) for name in ("link", "fifo", "folder"))
        assert names_in(tmp_path) == ["source"]

    def test_what_is_not(self, tmp_path: Path) -> None:
        assert not durable.remove(tmp_path / "nothing")

    @pytest.mark.fault("a file handle is stale")
    def test_what_is_busy_keeps_nothing_else_from_being_removed(
        self, tmp_path: Path, faults: Faults, caplog: pytest.LogCaptureFixture
    ) -> None:
        names = [".nfs0000000000a1", "a.tmp", "b.tmp"]
        for name in names:
            (tmp_path / name).touch()
        faults.fail("unlink", errno.EBUSY)
        assert remove_leftovers(tmp_path / name for name in names) == 2
        assert names_in(tmp_path) == [".nfs0000000000a1"]
        assert "busy" in caplog.text
