import os
import socket

import pytest

from kbd.inbox.errors import InvalidJob, TruncatedDocument, UnsafeFile
from kbd.inbox.safe_load import (
    check_end,
    load_document,
    load_json,
    load_yaml,
    open_folder,
    open_regular,
    read_bounded,
)


def test_reads_a_file_up_to_its_limit(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_bytes(b"x" * 100)
    assert read_bounded(path, 100) == b"x" * 100
    with pytest.raises(UnsafeFile, match="expected at most 99 bytes, found 100 bytes"):
        read_bounded(path, 99)


def test_reads_relative_to_a_folder(tmp_path):
    (tmp_path / "a").write_text("inside")
    folder = open_folder(tmp_path)
    try:
        assert read_bounded("a", 10, dir_fd=folder) == b"inside"
    finally:
        os.close(folder)


@pytest.mark.fault("a file is still growing")
def test_a_file_whose_size_is_a_lie_is_still_bounded():
    # Files of /proc report size 0, as a file that grows while it is read reports too little.
    with pytest.raises(UnsafeFile, match="while it was read"):
        read_bounded("/proc/self/status", 10)


def make_fifo(path):
    os.mkfifo(path)


def make_symlink(path):
    target = path.with_name("target")
    target.write_text("secret")
    path.symlink_to(target)


def make_socket(path):
    os.chdir(path.parent)  # the address of a unix socket may not be long
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (make_fifo, "a FIFO"),
        (make_symlink, "symlink"),
        (make_socket, "socket"),
        (lambda path: path.mkdir(), "a folder"),
    ],
    ids=["fifo", "symlink", "socket", "folder"],
)
@pytest.mark.fault("a symlink, FIFO or device is delivered")
def test_only_regular_files_are_opened(tmp_path, monkeypatch, make, found):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "job.yaml"
    make(path)
    with pytest.raises(UnsafeFile, match=f"job.yaml: .*{found}"):
        open_regular(path)


@pytest.mark.fault("a symlink, FIFO or device is delivered")
def test_a_device_is_refused():
    with pytest.raises(UnsafeFile, match="a character device"):
        open_regular("/dev/null")


def test_no_descriptor_is_left_open(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with pytest.raises(UnsafeFile):
            open_regular(tmp_path / "fifo")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_folder_is_not_opened_through_a_symlink(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link.job").symlink_to(tmp_path / "real")
    with pytest.raises(UnsafeFile, match="symlink"):
        open_folder(tmp_path / "link.job")


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "a.job").write_text("")
    with pytest.raises(UnsafeFile, match="no folder"):
        open_folder(tmp_path / "a.job")


def test_what_is_not_there_is_not_unsafe(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_bounded(tmp_path / "gone", 10)


def test_a_name_no_file_can_have():
    with pytest.raises(UnsafeFile, match="no file can have this name"):
        open_regular("a\0b")


def test_the_name_in_a_message_can_always_be_printed(tmp_path):
    name = os.fsdecode(b"\xff\xfe.yaml")
    (tmp_path / name).mkdir()
    with pytest.raises(UnsafeFile) as caught:
        open_regular(tmp_path / name)
    str(caught.value).encode("utf-8")


@pytest.mark.parametrize("load", [load_yaml, load_json])
@pytest.mark.parametrize("data", [b"", b" \n\t ", b"\xef\xbb\xbf"])
def test_an_empty_document_may_still_be_arriving(load, data):
    with pytest.raises(TruncatedDocument, match="empty"):
        load(data)


@pytest.mark.parametrize("load", [load_yaml, load_json])
def test_a_byte_order_mark_is_no_content(load):
    assert load(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


@pytest.mark.parametrize("load", [load_yaml, load_json])
def test_text_must_be_utf8(load):
    with pytest.raises(InvalidJob, match=r"line 2.*not UTF-8.*0xff at offset 8") as caught:
        load(b'{"a":\n "\xff"}')
    assert not isinstance(caught.value, TruncatedDocument)


@pytest.mark.parametrize("load", [load_yaml, load_json])
def test_a_character_cut_in_half_may_still_be_arriving(load):
    with pytest.raises(TruncatedDocument):
        load('{"a": "ä'.encode()[:-1])


def test_problems_get_the_line_of_the_nearest_field():
    document = load_document(b"a:\n  b:\n    - 1\n    - c: 2\n", ".yaml")
    from kbd.inbox.errors import Problem

    pointers = ["/a/b/1/c", "/a/b/1/missing", "/a/other", "/gone", ""]
    located = document.with_lines([Problem(pointer, "x") for pointer in pointers])
    assert [problem.line for problem in located] == [4, 4, 1, 1, 1]


YAML = b"version: 1\ncandidate: {code: 'a * b'}\nlist: [1, 2]\n# end\n"
JSON = b'{"version": 1, "candidate": {"code": "a * b", "list": [1, 2]}}'


def is_truncated(look, data, suffix):
    try:
        look(data, suffix)
    except TruncatedDocument:
        return True
    except InvalidJob:
        return False
    return False


@pytest.mark.parametrize(("suffix", "text"), [(".yaml", YAML), (".yaml", JSON), (".json", JSON)])
def test_the_quick_look_finds_the_same_documents_cut(suffix, text):
    found = [
        (is_truncated(check_end, text[:end], suffix), is_truncated(load_document, text[:end], suffix))
        for end in range(len(text) + 1)
    ]
    assert all(quick == whole for quick, whole in found)
    assert {quick for quick, _ in found} == {True, False}
