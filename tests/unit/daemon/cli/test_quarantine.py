import json

import pytest

from kbd.daemon.cli.exit_codes import ExitCode
from kbd.daemon.cli.painting import Painter
from kbd.daemon.cli.quarantine_page import terminal_lines
from kbd.inbox.claim import Refusal, Refused
from kbd.inbox.errors import Problem
from kbd.inbox.quarantine import Quarantine
from kbd.inbox.quarantine_contents import QuarantineContents, Quarantinee

GOOD = "candidate: {kernel_type: torch, source_code: 'def f(): ...'}\n"
EVIL = "\x1b[2Jgone\u202e"


@pytest.fixture
def put(spool, tmp_path):
    def quarantine(name, text="", message="it is wrong", owner=None):
        subject = tmp_path / name
        subject.write_text(text)
        problem = Problem("/candidate", message, hint="mend it")
        refused = Refused(subject, owner, subject.stem, Refusal.INVALID_JOB, (problem,), message)
        Quarantine(spool).put_all([refused])

    return quarantine


def test_nothing_there(kbd):
    ended = kbd("quarantine", "ls")
    assert (ended.code, ended.out) == (0, "")
    assert "empty" in ended.err
    assert json.loads(kbd("quarantine", "ls", "--json").out) == {"schema_version": 1, "quarantine": []}


def test_the_list(kbd, put):
    put("a.yaml", "x" * 2048, owner="team")
    header, line = kbd("quarantine", "ls").out.splitlines()
    assert header.split() == ["NAME", "REASON", "OWNER", "SIZE", "SINCE", "SAID"]
    assert line.split()[:4] == ["a.yaml", "invalid_job", "team", "2.00"]
    assert line.endswith("/candidate: it is wrong; mend it")
    (entry,) = json.loads(kbd("quarantine", "ls", "--json").out)["quarantine"]
    assert (entry["name"], entry["problems"][0]["pointer"]) == ("a.yaml", "/candidate")


def shown(found, columns=80):
    return "\n".join(terminal_lines(found, Painter(columns, styles=False))).split("\n")


def test_the_list_on_a_terminal(put, spool):
    long = "softmax-of-a-run-with-a-rather-long-name-v412.yaml"
    put("a.yaml", "x" * 2048, owner="team", message="it is wrong in more words than a narrow terminal holds")
    put(long, message="it is wrong")
    (spool.quarantine / "bare").write_text("")
    found = QuarantineContents(spool).all()
    for columns in (60, 80, 120):
        assert max(map(len, shown(found, columns))) <= columns
    assert shown(found, 60) == [
        "bare                  unknown · 0 B",
        "                      no reason can be read",
        "a.yaml                invalid_job · team · 2.00 KiB · now",
        "                      /candidate: it is wrong in more words",
        "                      than a narrow terminal holds; mend it",
        long,
        "                      invalid_job · 0 B · now",
        "                      /candidate: it is wrong; mend it",
        "",
        "All that is said of one, and what to do: kbd quarantine show",
        "NAME",
    ]


def test_the_gist_of_what_is_wrong(spool):
    problems = [
        Problem("", "its name is odd", expected="a b", found="c d", hint="rename it"),
        Problem("/x", "no"),
    ]
    entry = Quarantinee("a.yaml", "file", 1, "a.yaml", code="bad_name", problems=tuple(problems))
    assert shown([entry])[1].strip() == "its name is odd; rename it (and 1 more)"
    entry = Quarantinee("l", "symlink", 1, "link.yaml", code="unsafe_file", message="link.yaml: a symlink")
    assert shown([entry])[1].strip() == "a symlink"


def test_one_with_all_that_is_wrong(kbd, put, spool):
    put("a.yaml")
    out = kbd("quarantine", "show", "a.yaml").out
    assert "invalid_job" in out
    assert str(spool.quarantine / "a.yaml") in out
    assert "  /candidate: it is wrong; mend it" in out
    assert "kbd quarantine release a.yaml" in out
    assert json.loads(kbd("quarantine", "show", "a.yaml", "--json").out)["quarantine"][0]["kind"] == "file"


def test_what_strangers_wrote_is_not_obeyed(kbd, put):
    put("a.yaml", message=EVIL, owner=EVIL)
    for arguments in (["ls"], ["show", "a.yaml"]):
        out = kbd("quarantine", *arguments).out
        assert "\x1b" not in out
        assert "\u202e" not in out
        assert "\\x1b[2Jgone\\u202e" in out


def test_release(kbd, put, spool):
    put("a.yaml", GOOD)
    ended = kbd("quarantine", "release", "a.yaml", "--id", "b")
    assert (ended.code, ended.out) == (0, "b\n")
    assert [path.name for path in spool.inbox.iterdir()] == ["b.yaml"]
    put("c.yaml", "nonsense: true")
    ended = kbd("quarantine", "release", "c.yaml")
    assert ended.code == ExitCode.REJECTED
    assert "c.yaml stays in quarantine" in ended.err


def test_removal(kbd, put, spool):
    put("a.yaml")
    put("b.yaml")
    ended = kbd("quarantine", "rm", "a.yaml", "nothing")
    assert ended.code == ExitCode.NOT_FOUND
    assert len(list(spool.quarantine.iterdir())) == 4
    assert kbd("quarantine", "rm", "a.yaml", "b.yaml").out == "a.yaml\nb.yaml\n"
    assert list(spool.quarantine.iterdir()) == []


@pytest.mark.parametrize("verb", ["show", "release", "rm"])
def test_a_name_that_is_not_there(kbd, verb):
    ended = kbd("quarantine", verb, "nothing")
    assert ended.code == ExitCode.NOT_FOUND
    assert "kbd quarantine ls" in ended.err
