import pickle

from kbd.inbox.errors import (
    InboxError,
    InvalidJob,
    Problem,
    TruncatedDocument,
    UnsafeFile,
    describe,
    pointer_to,
)


def test_a_problem_reads_as_one_line():
    problem = Problem("/io/args/0", "wrong value", "a number", "null", "give a value", line=7)
    assert str(problem) == "/io/args/0 (line 7): wrong value: expected a number, found null; give a value"


def test_a_problem_of_the_whole_document_says_so():
    assert str(Problem("", "empty")) == "the document: empty"


def test_pointers_escape_as_rfc_6901_says():
    assert pointer_to("a/b", "c~d", 0) == "/a~1b/c~0d/0"


def test_the_tree():
    assert issubclass(TruncatedDocument, InvalidJob)
    assert issubclass(InvalidJob, InboxError)
    assert issubclass(UnsafeFile, InboxError)
    assert not issubclass(InboxError, OSError | ValueError)


def test_problems_survive_pickling():
    error = pickle.loads(pickle.dumps(TruncatedDocument([Problem("/a", "b")])))
    assert type(error) is TruncatedDocument
    assert error.problems == (Problem("/a", "b"),)


def test_a_long_list_is_cut_and_says_so():
    text = describe([Problem(f"/{number}", "bad") for number in range(25)])
    assert text.endswith("… and 5 more")
    assert len(text.splitlines()) == 21


def test_a_long_text_is_cut():
    problem = Problem("", "m" * 100_000, found="f" * 100_000, hint="h")
    assert len(str(problem)) < 10_000
    assert problem.hint == "h"


def test_a_pointer_names_a_long_key_by_its_beginning_and_can_be_written():
    assert len(pointer_to("k" * 100_000, 3)) < 200
    assert pointer_to("\ud800", "ü").encode() == b"/\\ud800/\xc3\xbc"
