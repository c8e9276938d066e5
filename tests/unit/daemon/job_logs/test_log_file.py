"""A log on the disk: bounded, its beginning and end kept, and harmless whatever the disk does."""

import errno
import os
import threading

import pytest

from kbd.daemon.job_logs.segments import SEGMENT_BYTES, segment_numbers, segment_path


def output(nbytes):
    """Bytes that tell where they stood."""
    return b"".join(b"%015d\n" % number for number in range(nbytes // 16 + 1))[:nbytes]


def on_disk(log):
    return {number: segment_path(log, number).read_bytes() for number in segment_numbers(log)}


def test_nothing_is_made_before_something_is_written(writing, log_path):
    log = writing.begin(log_path)
    log.write(b"")
    writing.settle()
    assert not log_path.exists()
    log.write(b"hello\n")
    writing.settle()
    assert log_path.read_bytes() == b"hello\n", "while the job still runs"


@pytest.mark.parametrize("chunk", [1_000, 65_536, 1 << 20])
@pytest.mark.parametrize("total", [1, 65_536, 65_537, 196_608, 200_000, 1_000_000])
def test_beginning_and_end_are_kept_and_the_rest_is_bounded(writing, log_path, chunk, total):
    log, data = writing.begin(log_path), output(total)
    for start in range(0, total, chunk):
        log.write(data[start : start + chunk])
    log.close()
    writing.settle()
    found = on_disk(log_path)
    assert found[0] == data[:SEGMENT_BYTES]
    for number, segment in found.items():
        assert segment == data[number * SEGMENT_BYTES :][:SEGMENT_BYTES], "each where it belongs"
    kept = b"".join(found[number] for number in sorted(found) if number)
    assert data.endswith(kept)
    assert len(kept) >= min(SEGMENT_BYTES, max(0, total - SEGMENT_BYTES))
    assert sum(map(len, found.values())) <= 3 * SEGMENT_BYTES
    assert writing.troubles == []


def test_a_slow_disk_costs_the_middle_and_no_memory(writing, log_path):
    log, data = writing.begin(log_path), output(2_000_000)
    gate = threading.Event()
    writing.thread.submit(gate.wait)
    for start in range(0, len(data), 10_000):
        log.write(data[start : start + 10_000])
        assert len(log._head) + len(log._tail) <= 5 * SEGMENT_BYTES
    gate.set()
    writing.settle()
    found = on_disk(log_path)
    assert found[0] == data[:SEGMENT_BYTES]
    assert data.endswith(b"".join(found[number] for number in sorted(found)[1:]))
    assert sum(map(len, found.values())) >= 2 * SEGMENT_BYTES


def test_what_lay_there_of_another_job_is_gone(writing, log_path):
    log_path.parent.mkdir(parents=True)
    for number in (0, 3):
        segment_path(log_path, number).write_bytes(b"old")
    writing.begin(log_path).write(b"new")
    writing.settle()
    assert on_disk(log_path) == {0: b"new"}


def test_a_folder_that_cannot_be_made_is_told_once(writing, log_path):
    log_path.parent.parent.write_text("in the way")
    log = writing.begin(log_path)
    for _ in range(3):
        log.write(b"x")
        writing.settle()
    log.close()
    writing.settle()
    assert [type(trouble) for trouble in writing.troubles] == [NotADirectoryError]


def test_a_full_disk_is_told_once_and_what_fitted_stays(writing, log_path, monkeypatch):
    room = 100
    write = os.write

    def write_while_there_is_room(descriptor, data):
        nonlocal room
        if room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(descriptor, bytes(data[:room]))
        room -= written
        return written

    log = writing.begin(log_path)
    monkeypatch.setattr("kbd.daemon.job_logs.log_file.os.write", write_while_there_is_room)
    for _ in range(3):
        log.write(output(70))
        writing.settle()
    log.close()
    writing.settle()
    assert [trouble.errno for trouble in writing.troubles] == [errno.ENOSPC]
    assert log_path.read_bytes() == (output(70) + output(70))[:100]


def test_nothing_stays_open(writing, log_path):
    before = set(os.listdir("/proc/self/fd"))
    log = writing.begin(log_path)
    log.write(output(300_000))
    log.close()
    writing.settle()
    assert set(os.listdir("/proc/self/fd")) <= before
