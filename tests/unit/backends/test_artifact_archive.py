"""Archives of artifacts: the same files give the same bytes, and nothing leaves its folder."""

import io
import os
import tarfile

import pytest

from kbd.backends.artifact_archive import ArtifactTooLarge, BadArchive, pack, unpack


@pytest.fixture
def memory():
    descriptor = os.memfd_create("test")
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "artifact"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "artifact.json").write_text("{}")
    (folder / "deep" / "er" / "library.so").write_bytes(os.urandom(100_000))
    return folder


def archive_of(*members):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return raw.getvalue()


def test_there_and_back(folder, memory, tmp_path):
    nbytes = pack(folder, memory)
    copy = tmp_path / "copy"
    copy.mkdir()
    unpack(memory, nbytes, copy)
    names = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    assert {str(path.relative_to(copy)) for path in copy.rglob("*")} == names
    library = "deep/er/library.so"
    assert (copy / library).read_bytes() == (folder / library).read_bytes()


def test_neither_owner_nor_time_is_in_it(folder, memory):
    nbytes = pack(folder, memory)
    before = os.pread(memory, nbytes, 0)
    os.utime(folder / "artifact.json", (1, 1))
    assert pack(folder, memory) == nbytes
    assert os.pread(memory, nbytes, 0) == before


def test_links_do_not_travel(folder, memory, tmp_path):
    (folder / "passwd").symlink_to("/etc/passwd")
    nbytes = pack(folder, memory)
    copy = tmp_path / "copy"
    copy.mkdir()
    unpack(memory, nbytes, copy)
    assert not (copy / "passwd").exists()


def test_what_is_too_large(folder, memory):
    with pytest.raises(ArtifactTooLarge, match="more than 0 MiB"):
        pack(folder, memory, limit=50_000)


@pytest.mark.parametrize(
    "name",
    ["/tmp/outside", "../outside", "in/../../outside", "."],
    ids=["absolute", "up", "in and up", "itself"],
)
def test_names_that_lead_out(memory, tmp_path, name):
    content = archive_of((tarfile.TarInfo(name), b"x"))
    os.write(memory, content)
    with pytest.raises(BadArchive):
        unpack(memory, len(content), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_only_files_are_unpacked(memory, tmp_path, kind):
    member = tarfile.TarInfo("odd")
    member.type, member.linkname = kind, "/etc/passwd"
    content = archive_of((member, b""))
    os.write(memory, content)
    with pytest.raises(BadArchive, match="odd"):
        unpack(memory, len(content), tmp_path)


def test_a_file_is_never_written_over(memory, tmp_path):
    content = archive_of((tarfile.TarInfo("a"), b"1"), (tarfile.TarInfo("a"), b"2"))
    os.write(memory, content)
    with pytest.raises(FileExistsError):
        unpack(memory, len(content), tmp_path)


@pytest.mark.parametrize("content", [b"", b"nonsense" * 200, b"\0" * 100], ids=["empty", "nonsense", "zeros"])
def test_what_is_no_archive(memory, tmp_path, content):
    os.write(memory, content)
    with pytest.raises(BadArchive):
        unpack(memory, len(content), tmp_path)
