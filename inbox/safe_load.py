"""Reading what users wrote, trusting none of it.

A file is opened without following a symlink or blocking on a FIFO, and is read up to a limit. A document is
YAML or JSON and becomes plain values: mappings with text keys, lists, text, numbers, true, false and null.
"""

import errno
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from kbd.inbox.errors import InvalidJob, Problem, TruncatedDocument, UnsafeFile
from kbd.inbox.freshness import refresh
from kbd.inbox.json_text import parse_json
from kbd.inbox.plain_values import problems_in

YAML_SUFFIXES = frozenset({".yaml", ".yml"})
JSON_SUFFIX = ".json"
DOCUMENT_SUFFIXES = YAML_SUFFIXES | {JSON_SUFFIX}

# NONBLOCK: opening a FIFO returns at once. NOCTTY: opening a terminal does not make it ours.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_CHUNK_BYTES = 1 << 20
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFLNK: "a symlink",
}
_REFUSALS = {
    errno.ELOOP: "a symlink; deliver the file itself",
    errno.ENXIO: "a socket or a device; deliver a regular file",
    errno.ENODEV: "a device without a driver; deliver a regular file",
    errno.ENOTDIR: "no folder; deliver a folder, or a file named .yaml, .yml or .json",
    errno.ENAMETOOLONG: "a name longer than the file system allows; shorten it",
}


@dataclass(frozen=True, slots=True)
class Document:
    """A loaded document: its plain value, and its text for finding lines."""

    value: object
    text: str

    def with_lines(self, problems: Iterable[Problem]) -> tuple[Problem, ...]:
        """The problems with the line of the field they name, or of the nearest one around it."""
        from kbd.inbox.yaml_lines import lines_of

        found = tuple(problems)
        lines = lines_of(self.text, {problem.pointer for problem in found if not problem.line})
        return tuple(
            problem if problem.line else replace(problem, line=_nearest_line(problem.pointer, lines))
            for problem in found
        )


def open_regular(path: str | os.PathLike[str], dir_fd: int | None = None) -> int:
    """A descriptor of the regular file `path`, relative to `dir_fd` if given; never follows, never blocks.

    Its size is the one it has now, also where other hosts write.

    Only the last component is guarded against symlinks; walk folders with `open_folder`.

    Raises:
        UnsafeFile: it is something else.
        FileNotFoundError: there is nothing by that name.
        OSError: the file system fails.
    """
    descriptor = _open(path, _READ, dir_fd)
    try:
        refresh(descriptor)
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise UnsafeFile(f"{_shown(path)}: expected a regular file, found {_kind_of(mode)}")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_folder(path: str | os.PathLike[str], dir_fd: int | None = None) -> int:
    """A descriptor of the folder `path`, which must not be a symlink. Raises as `open_regular` does."""
    return _open(path, _READ | os.O_DIRECTORY, dir_fd)


def read_bounded(path: str | os.PathLike[str], limit_bytes: int, dir_fd: int | None = None) -> bytes:
    """The whole content of a regular file of at most `limit_bytes`. Raises as `open_regular` does."""
    descriptor = open_regular(path, dir_fd)
    try:
        return read_descriptor(descriptor, limit_bytes, _shown(path))
    finally:
        os.close(descriptor)


def read_descriptor(descriptor: int, limit_bytes: int, name: str) -> bytes:
    """What an open regular file holds; a file that is too large, or grows beyond the limit, is UnsafeFile."""
    size_bytes = os.fstat(descriptor).st_size
    if size_bytes > limit_bytes:
        raise _too_large(name, f"{size_bytes} bytes", limit_bytes)
    chunks: list[bytes] = []
    room = limit_bytes + 1
    while room and (chunk := os.read(descriptor, min(room, _CHUNK_BYTES))):
        chunks.append(chunk)
        room -= len(chunk)
    if not room:
        raise _too_large(name, "more, while it was read", limit_bytes)
    return b"".join(chunks)


def load_yaml(data: bytes | str) -> object:
    """One YAML document as plain values. Raises InvalidJob (TruncatedDocument where it ends too early)."""
    return load_document(data, ".yaml").value


def load_json(data: bytes | str) -> object:
    """One JSON document as plain values. Raises InvalidJob (TruncatedDocument where it ends too early)."""
    return load_document(data, JSON_SUFFIX).value


def load_document(data: bytes | str, suffix: str) -> Document:
    """Load by suffix: `.json`, `.yaml` or `.yml`. Raises InvalidJob, with lines where they are known."""
    text = _text_of(data)
    document = Document(_parsed(text, suffix), text)
    value = document.value
    if problems := problems_in(value):
        raise InvalidJob(document.with_lines(problems))
    return document


def check_end(data: bytes, suffix: str) -> None:
    """Raise TruncatedDocument where a document ends too early. Quick: what else is wrong may be raised or not."""
    text = _text_of(data)
    if suffix == JSON_SUFFIX:
        parse_json(text)
    else:
        from kbd.inbox.yaml_text import check_yaml_end

        check_yaml_end(text)


def _text_of(data: bytes | str) -> str:
    text = data if isinstance(data, str) else _decode(data)
    if not text.strip():
        raise TruncatedDocument([Problem("", "the document is empty", hint="write the job into it")])
    return text


def _parsed(text: str, suffix: str) -> object:
    if suffix == JSON_SUFFIX:
        return parse_json(text)
    # Imported here: who reads a file or JSON, such as `kbd status`, need not wait for PyYAML.
    from kbd.inbox.yaml_text import parse_yaml

    return parse_yaml(text)


def _open(path: str | os.PathLike[str], flags: int, dir_fd: int | None) -> int:
    try:
        return os.open(path, flags, dir_fd=dir_fd)
    except ValueError as error:  # a NUL in the name
        raise UnsafeFile(f"{_shown(path)}: no file can have this name: {error}") from None
    except OSError as error:
        reason = _REFUSALS.get(error.errno or 0)
        if reason is None:
            raise
        if error.errno == errno.ENOTDIR and _is_symlink(path, dir_fd):
            reason = _REFUSALS[errno.ELOOP]
        raise UnsafeFile(f"{_shown(path)}: {reason}") from error


def _is_symlink(path: str | os.PathLike[str], dir_fd: int | None) -> bool:
    """Linux answers ENOTDIR for O_DIRECTORY | O_NOFOLLOW on a symlink; this is for the message alone."""
    try:
        return stat.S_ISLNK(os.stat(path, dir_fd=dir_fd, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _kind_of(mode: int) -> str:
    return _KINDS.get(stat.S_IFMT(mode), "something else")


def _too_large(name: str, found: str, limit_bytes: int) -> UnsafeFile:
    expected = f"expected at most {limit_bytes} bytes"
    return UnsafeFile(f"{name}: {expected}, found {found}; shorten it")


def _shown(path: str | os.PathLike[str]) -> str:
    """A name that can be printed, whatever bytes it has."""
    return Path(path).name.encode("utf-8", "backslashreplace").decode("utf-8")


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        found = f"byte 0x{data[error.start]:02x} at offset {error.start}"
        problem = Problem("", "the text is not UTF-8", found=found, hint="save it as UTF-8", line=line)
        is_cut = error.reason == "unexpected end of data"
        raise (TruncatedDocument if is_cut else InvalidJob)([problem]) from None


def _nearest_line(pointer: str, lines: dict[str, int]) -> int | None:
    while pointer and pointer not in lines:
        pointer = pointer.rpartition("/")[0]
    return lines.get(pointer)
