"""Names of the files of a log."""

from kbd.daemon.job_logs.segments import segment_numbers, segment_path


def test_segments_are_found_in_their_order(tmp_path):
    log = tmp_path / "candidate.log"
    for number in (10, 9, 0):
        segment_path(log, number).touch()
    for name in (
        "candidate.log.x",
        "candidate.log.",
        "candidate.log.-1",
        "candidate.logs",
        "reference.log.3",
    ):
        (tmp_path / name).touch()
    assert segment_numbers(log) == [0, 9, 10]


def test_there_are_none_where_nothing_was_printed(tmp_path):
    assert segment_numbers(tmp_path / "not" / "there.log") == []
