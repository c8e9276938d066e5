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


def test_a_damaged_database_is_rebuilt(kbd, place, store, has_published, make_result):
    has_published(make_result())
    database = place.state / "kbd.db"
    database.write_bytes(b"no database" * 1000)
    told = kbd("status")
    assert (told.code, "kbd doctor --rebuild" in told.err) == (74, True)
    ended = kbd("doctor", "--rebuild")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"set aside  {database}.2")
    assert "restored   1 job with a result\nqueued     0 jobs that had been claimed\n" in ended.out
    assert "job" in kbd("show", "job").out
    document = json.loads(kbd("doctor", "--rebuild", "--json").out)
    assert (document["schema_version"], document["restored"], document["known"]) == (1, 0, 1)


def test_nothing_is_rebuilt_beside_a_daemon(kbd, daemon_runs):
    with daemon_runs():
        ended = kbd("doctor", "--rebuild")
    assert (ended.code, "4242" in ended.err) == (1, True)
