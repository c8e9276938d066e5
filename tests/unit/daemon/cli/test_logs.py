"""`kbd logs`: what is on the disk, what comes, and what the result holds where there is nothing else."""

import pytest

from kbd.daemon.cli.exit_codes import ExitCode
from kbd.daemon.job_logs.archive import LogArchive
from kbd.daemon.job_logs.segments import SEGMENT_BYTES, segment_path
from kbd.outbox.report import Logs


@pytest.fixture
def printed(place):
    """Leave output of a job as its daemon does."""

    def leave(job_id, name, data, attempt=1, segment=0):
        path = segment_path(LogArchive(place.state).path(job_id, attempt, name), segment)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    return leave


@pytest.mark.parametrize("flags", [(), ("--follow",)])
def test_both_kernels_under_headlines(kbd, has_published, make_result, printed, flags):
    has_published(make_result("a"))
    printed("a", "candidate", b"one\ntwo")
    printed("a", "reference", b"three\n")
    ended = kbd("logs", "a", *flags)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == "==> candidate <==\none\ntwo\n==> reference <==\nthree\n"


def test_one_of_them_as_it_is(kbd, has_published, make_result, printed):
    has_published(make_result("a"))
    printed("a", "candidate", b"one\n")
    printed("a", "reference", b"two\n")
    assert kbd("logs", "a", "--role", "reference").out == "two\n"


def test_compilers_come_first_or_alone(kbd, has_published, make_result, printed):
    has_published(make_result("a"))
    printed("a", "candidate", b"one\n")
    printed("a", "candidate_compiler", b"two\n")
    printed("a", "reference_compiler", b"three\n")
    compilers = "==> candidate_compiler <==\ntwo\n==> reference_compiler <==\nthree\n"
    assert kbd("logs", "a").out == f"{compilers}==> candidate <==\none\n"
    assert kbd("logs", "a", "--role", "compiler").out == compilers


def test_what_compilers_said_is_not_in_the_result(kbd, has_published, make_result):
    has_published(make_result("a", logs=Logs.of("spoken\n", "")))
    ended = kbd("logs", "a", "--role", "compiler")
    assert (ended.code, ended.out) == (0, "")
    assert "a has printed nothing" in ended.err


def test_the_latest_attempt(kbd, has_queued, printed):
    has_queued("a")
    printed("a", "candidate", b"first\n", attempt=1)
    printed("a", "candidate", b"second\n", attempt=10)
    assert kbd("logs", "a", "--role", "candidate").out == "second\n"


def test_nothing_in_it_is_obeyed_and_no_character_is_torn(kbd, has_queued, printed):
    has_queued("a")
    euro = "€".encode()
    printed("a", "candidate", b"\x1b[2J10%\r20%\r\n" + b"x" * (SEGMENT_BYTES - 14) + euro[:1])
    printed("a", "candidate", euro[1:] + b"\x07\xff", segment=1)
    out = kbd("logs", "a", "--role", "candidate").out
    assert out.startswith("\\x1b[2J10%\n20%\n")
    assert out.endswith("x€\\x07\N{REPLACEMENT CHARACTER}\n")


def test_what_is_gone_is_said(kbd, has_queued, printed):
    has_queued("a")
    printed("a", "candidate", b"x" * SEGMENT_BYTES)
    printed("a", "candidate", b"end\n", segment=3)
    assert kbd("logs", "a", "--role", "candidate").out.endswith(
        f"x\n… {2 * SEGMENT_BYTES} bytes left out …\nend\n"
    )


def test_the_result_has_it_where_the_files_are_not_there(kbd, has_published, make_result):
    has_published(make_result("a", logs=Logs.of("spoken\x1b\n", "")))
    assert kbd("logs", "a").out == "==> candidate <==\nspoken\\x1b\n"


def test_a_job_that_printed_nothing(kbd, has_published, make_result):
    has_published(make_result("a"))
    ended = kbd("logs", "a")
    assert (ended.code, ended.out) == (0, "")
    assert "a has printed nothing" in ended.err


def test_following_a_job_for_which_nobody_works(kbd, has_queued):
    has_queued("a")
    ended = kbd("logs", "a", "-f")
    assert ended.code == ExitCode.NO_DAEMON
    assert "kbd run" in ended.err


@pytest.mark.parametrize("job_id", ["unknown", "../../etc/passwd", ""])
def test_unknown(kbd, job_id):
    assert kbd("logs", job_id).code == ExitCode.NOT_FOUND
