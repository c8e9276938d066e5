import json
import os
import time

import pytest

from kbd.backends.artifacts import ArtifactCache, seal
from kbd.daemon.cli.exit_codes import ExitCode

LONG_AGO = time.time() - 100 * 86_400


@pytest.fixture
def filed(spool):
    """Jobs in done/, of long ago."""

    def put(*names):
        folder = spool.done / "20250101"
        folder.mkdir(exist_ok=True)
        for name in names:
            (folder / f"{name}.yaml").write_text("x: 1\n")
        return folder

    return put


@pytest.fixture
def everywhere(place, spool, filed):
    """Something old in every area."""
    filed("a")
    log = place.state / "logs" / "jobs" / "a" / "1" / "candidate.log"
    log.parent.mkdir(parents=True)
    log.write_text("hello")
    cache = ArtifactCache(place.state / "artifacts", 1 << 20)
    descriptor = os.memfd_create("source")
    os.truncate(descriptor, 2000)
    archive = seal(descriptor, 2000)
    cache.publish("ab" * 32, archive)
    archive.close()
    os.close(descriptor)
    (spool.quarantine / "q.yaml").write_text("x")
    (spool.quarantine / "q.yaml.reason.json").write_text("{}")
    kernels = [path for _, path, _ in cache.entries()]
    for path in (log, log.parent, log.parent.parent, *kernels, spool.quarantine / "q.yaml.reason.json"):
        os.utime(path, (LONG_AGO, LONG_AGO))
    return {"log": log, "kernel": kernels[0], "done": spool.done / "20250101", "quarantine": spool.quarantine}


def removed(ended):
    return {name: area["removed"] for name, area in json.loads(ended.out)["areas"].items()}


@pytest.mark.usefixtures("store")
def test_a_dry_run_removes_nothing(kbd, everywhere):
    ended = kbd("gc", "--dry-run", "-v")
    assert ended.code == 0
    assert "done        1 would be removed (5 B), 0 kept (0 B)\n" in ended.out
    assert str(everywhere["done"] / "a.yaml") in ended.out
    assert all(path.exists() for path in everywhere.values())


@pytest.mark.usefixtures("store")
def test_the_quarantine_only_where_it_is_named(kbd, everywhere):
    assert removed(kbd("gc", "--json")) == {"done": 1, "logs": 1, "cache": 1}
    assert not any(everywhere[name].exists() for name in ("log", "kernel", "done"))
    assert len(list(everywhere["quarantine"].iterdir())) == 2
    assert removed(kbd("gc", "quarantine", "--json")) == {"quarantine": 1}
    assert list(everywhere["quarantine"].iterdir()) == []


@pytest.mark.usefixtures("store")
def test_young_things_stay(kbd, everywhere):
    assert removed(kbd("gc", "--older-than", "9999d", "--json")) == {"done": 0, "logs": 0, "cache": 0}
    assert removed(kbd("gc", "--older-than", "9999d", "--max-size", "0", "--json"))["done"] == 1


def test_what_is_not_published_stays(kbd, filed, store, has_remembered, make_result):
    has_remembered(make_result("owed"))
    has_remembered(make_result("told"))
    store.mark_published("told", "done/20250101/told.yaml")
    folder = filed("owed", "told", "unknown")
    assert removed(kbd("gc", "done", "--json")) == {"done": 2}
    assert [path.name for path in folder.iterdir()] == ["owed.yaml"]


def test_a_host_without_the_database_goes_by_the_outbox(kbd, spool, filed):
    folder = filed("owed", "told")
    (spool.outbox / "told.json").write_text("{}")
    assert removed(kbd("gc", "done", "--json")) == {"done": 1}
    assert [path.name for path in folder.iterdir()] == ["owed.yaml"]


def test_failures_are_told(kbd, spool, filed, monkeypatch):
    filed("told")
    (spool.outbox / "told.json").write_text("{}")

    def refuse(path):
        raise PermissionError(f"may not remove {path.name}")

    monkeypatch.setattr("kbd.daemon.removable.remove", refuse)
    ended = kbd("gc", "done")
    assert ended.code == ExitCode.UNUSABLE
    assert "not removed: may not remove told.yaml" in ended.err


@pytest.mark.parametrize("flags", [["--older-than", "old"], ["--max-size", "big"], ["outbox"]])
def test_wrong_flags(kbd, flags):
    assert kbd("gc", *flags).code == ExitCode.USAGE
