import json


def test_nothing_is_wrong_enough(kbd, place):
    ended = kbd("doctor")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[-1].endswith(" 0 fail")
    assert "ok    spool            " in ended.out


def test_a_fault_is_shown_with_its_cure(kbd, spool):
    spool.answers.rmdir()
    ended = kbd("doctor")
    assert ended.code == 1
    lines = ended.out.splitlines()
    (at,) = [place for place, line in enumerate(lines) if line.startswith("fail ")]
    assert lines[at].split() == ["fail", "spool", str(spool.root), "lacks", "answers"]
    assert lines[at + 1].strip() == f"→ kbd init --spool {spool.root}"


def test_for_programs(kbd, spool):
    spool.sentinel.unlink()
    ended = kbd("doctor", "--json")
    document = json.loads(ended.out)
    assert (ended.code, document["schema_version"], document["state"]) == (1, 1, "fail")
    (bad,) = [check for check in document["checks"] if check["state"] == "fail"]
    assert set(bad) == {"name", "state", "finding", "cure"}
    assert bad["name"] == "spool"
    assert all(check["cure"] is None for check in document["checks"] if check["state"] == "ok")


def test_nothing_is_changed(kbd, place, spool):
    def seen():
        return sorted(path for path in (*spool.root.rglob("*"), *place.state.rglob("*")))

    before = seen()
    kbd("doctor")
    assert seen() == before
