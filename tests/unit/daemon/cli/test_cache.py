"""`kbd cache`: what is kept, and letting it go."""

import json
import os

import pytest

from kbd.backends.artifacts import ArtifactCache, seal


@pytest.fixture
def cache(place):
    """A cache with one kernel of 2000 bytes that was asked for twice and found once."""
    cache = ArtifactCache(place.state / "artifacts", 1 << 20)
    key = "ab" * 32
    assert cache.fetch(key) is None
    descriptor = os.memfd_create("source")
    os.truncate(descriptor, 2000)
    archive = seal(descriptor, 2000)
    cache.publish(key, archive)
    found = cache.fetch(key)
    for open_one in (archive, found):
        open_one.close()
    os.close(descriptor)
    return cache


def test_an_empty_cache(kbd):
    ended = kbd("cache")
    assert ended.code == 0
    assert "0 kernels, 0 B of 4.00 GiB" in ended.out
    assert "0 of 0 times\n" in ended.out


def test_what_is_kept(kbd, cache):
    out = kbd("cache").out
    assert str(cache.folder) in out
    assert "1 kernel, 2." in out
    assert "1 of 2 times (50%)" in out


def test_for_programs(kbd, cache):
    told = json.loads(kbd("cache", "--json").out)
    assert (told["entries"], told["cleared"], told["folder"]) == (1, False, str(cache.folder))
    assert told["counters"]["hits"] == 1


def test_clearing_tells_what_there_was(kbd, cache):
    out = kbd("cache", "--clear").out
    assert "\ncleared   1 kernel, " in out
    assert "0 kernels" in kbd("cache").out


def test_the_environment_says_where_and_how_much(kbd, monkeypatch, tmp_path):
    monkeypatch.setenv("KBD_ARTIFACTS", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("KBD_ARTIFACTS_BYTES", "2048")
    out = kbd("cache").out
    assert str(tmp_path / "elsewhere") in out
    assert "of 2.00 KiB" in out
