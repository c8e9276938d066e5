import json

import pytest

from kbd.daemon.cli.exit_codes import ExitCode
from kbd.inbox.claim import Refusal, Refused
from kbd.inbox.errors import Problem
from kbd.inbox.quarantine import Quarantine

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
