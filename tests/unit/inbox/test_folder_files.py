import hashlib
import os

import pytest

from kbd.inbox.errors import UnsafeFile
from kbd.inbox.folder_files import FolderFiles, ReadLimits


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "a.job"
    (path / "kernels").mkdir(parents=True)
    (path / "kernels" / "k.cu").write_text("source")
    (path / "x.npy").write_bytes(b"12345")
    (tmp_path / "secret").write_text("secret")
    return path


@pytest.fixture
def files(folder):
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    yield FolderFiles(descriptor, ReadLimits(manifest_bytes=10, source_bytes=6, sidecar_bytes=5))
    os.close(descriptor)


def test_what_is_read_is_remembered(files):
    assert files.read_source("kernels/k.cu") == "source"
    files.check("x.npy")
    files.check("x.npy")
    assert [(side.name, side.size_bytes) for side in files.side_files] == [("kernels/k.cu", 6), ("x.npy", 5)]
    assert files.side_files[1].sha256 == hashlib.sha256(b"12345").hexdigest()


def test_the_manifest_is_no_side_file(files, folder):
    (folder / "job.yaml").write_text("a: 1")
    assert files.read_manifest("job.yaml") == b"a: 1"
    assert files.side_files == ()


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "kernels/../../secret", "kernels/../x.npy", ".."]
)
@pytest.mark.parametrize("method", ["read_source", "check", "read_manifest"])
def test_no_name_leaves_the_folder(files, method, name):
    with pytest.raises(UnsafeFile, match="leaves the job's folder"):
        getattr(files, method)(name)


@pytest.mark.parametrize("name", ["", ".", "./x.npy", "kernels//k.cu", "a/" * 20 + "b", "a\0b"])
def test_names_are_plain(files, name):
    with pytest.raises(UnsafeFile):
        files.check(name)


def test_symlinks_are_not_followed(files, folder):
    (folder / "link").symlink_to(folder.parent / "secret")
    (folder / "out").symlink_to(folder.parent)
    (folder / "inner").symlink_to("kernels")
    for name in ("link", "out/secret", "inner/k.cu"):
        with pytest.raises(UnsafeFile, match="symlink"):
            files.check(name)


def test_other_kinds_of_files_never_block(files, folder):
    os.mkfifo(folder / "fifo")
    for name in ("fifo", "kernels"):
        with pytest.raises(UnsafeFile, match="expected a regular file"):
            files.check(name)


def test_files_are_bounded(files, folder):
    (folder / "x.npy").write_bytes(b"123456")
    (folder / "kernels" / "k.cu").write_text("1234567")
    with pytest.raises(UnsafeFile, match="at most 5 bytes"):
        files.check("x.npy")
    with pytest.raises(UnsafeFile, match="at most 6 bytes"):
        files.read_source("kernels/k.cu")


@pytest.mark.fault("a manifest is huge")
def test_all_files_of_a_job_are_bounded_together(folder):
    """By the sizes that they tell: a file with nothing but holes in it costs its user nothing."""
    for number in range(3):
        with (folder / f"{number}.npy").open("wb") as hole:
            hole.truncate(2 << 30)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    files = FolderFiles(descriptor, ReadLimits(sidecar_bytes=2 << 30, job_bytes=(2 << 30) + 4))
    files.check("x.npy")
    for number in range(3):
        with pytest.raises(UnsafeFile, match=r"in all files of a job.*\(init\)"):
            files.check(f"{number}.npy")
    assert [side.name for side in files.side_files] == ["x.npy"]
    os.close(descriptor)


def test_source_is_text(files, folder):
    (folder / "k.py").write_bytes(b"a = \xff")
    with pytest.raises(UnsafeFile, match="UTF-8 text, found byte 0xff at offset 4"):
        files.read_source("k.py")


def test_what_is_not_there(files):
    with pytest.raises(FileNotFoundError):
        files.check("gone/too.npy")


def test_names_can_always_be_printed(files, folder):
    (folder / os.fsdecode(b"\xff")).write_text("")
    assert files.names() == ["\\xff", "kernels", "x.npy"]


def test_no_descriptor_is_left_open(files):
    before = len(os.listdir("/proc/self/fd"))
    files.read_source("kernels/k.cu")
    with pytest.raises(FileNotFoundError):
        files.check("kernels/gone")
    files.names()
    assert len(os.listdir("/proc/self/fd")) == before
