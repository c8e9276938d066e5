"""Reading a log while it grows: everything in order, and an honest word about what is gone."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kbd.daemon.job_logs.log_reader import LogReader, Piece
from kbd.daemon.job_logs.segments import SEGMENT_BYTES, segment_path


def pieces(reader):
    return list(iter(reader.read, None))


def test_nothing_yet_then_all_that_comes(writing, log_path):
    reader = LogReader(log_path)
    assert reader.read() is None
    log = writing.begin(log_path)
    for text in (b"one\n", b"two\n"):
        log.write(text)
        writing.settle()
        assert pieces(reader) == [Piece(text)]
    assert reader.read() is None


def test_a_late_reader_is_told_how_much_is_gone(writing, log_path):
    data = bytes(range(256)) * 4096
    writing.begin(log_path).write(data)
    writing.settle()
    head, *tail = pieces(LogReader(log_path))
    assert head == Piece(data[:SEGMENT_BYTES])
    rest = b"".join(piece.data for piece in tail)
    assert data.endswith(rest)
    assert [piece.left_out for piece in tail if piece.left_out] == [len(data) - SEGMENT_BYTES - len(rest)]


def test_a_segment_that_ended_early_is_left_for_the_next(log_path):
    """The writer leaves out the middle when the disk is slow: then a segment may never be full."""
    log_path.parent.mkdir(parents=True)
    log_path.write_bytes(b"h" * SEGMENT_BYTES)
    segment_path(log_path, 1).write_bytes(b"a" * 10)
    reader = LogReader(log_path)
    assert len(pieces(reader)) == 2
    segment_path(log_path, 1).write_bytes(b"a" * 15)
    segment_path(log_path, 4).write_bytes(b"b" * 5)
    assert pieces(reader) == [Piece(b"a" * 5), Piece(b"b" * 5, 3 * SEGMENT_BYTES - 15)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(sizes=st.lists(st.integers(1, 150_000), max_size=12), looks=st.sets(st.integers(0, 11)))
def test_whenever_it_is_read_every_byte_is_shown_or_counted(writing, tmp_path_factory, sizes, looks):
    path = tmp_path_factory.mktemp("log") / "candidate.log"
    log, reader, shown, data = writing.begin(path), LogReader(path), [], b""
    for number, size in enumerate(sizes):
        more = bytes([number + 1]) * size
        data += more
        log.write(more)
        writing.settle()
        if number in looks:
            shown += pieces(reader)
    shown += pieces(reader)
    log.close()
    at = 0
    for piece in shown:
        at += piece.left_out
        assert data[at : at + len(piece.data)] == piece.data
        at += len(piece.data)
    assert at == len(data)


def test_a_writer_is_known_until_it_has_ended(writing, log_path):
    reader = LogReader(log_path)
    assert not reader.is_written(), "nothing was ever written"
    log = writing.begin(log_path)
    log.write(b"x")
    writing.settle()
    assert reader.is_written()
    log.close()
    writing.settle()
    assert not reader.is_written()
    assert pieces(reader) == [Piece(b"x")]
