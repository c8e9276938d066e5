"""The artifact cache: complete entries or none, whoever else writes, and never more than allowed."""

import os
import threading

import pytest

from kbd.backends.artifacts import ArtifactCache, Counters, seal

KEY = "ab" + "0" * 62
OTHER = "cd" + "1" * 62


@pytest.fixture
def make_archive():
    opened = []

    def make(content=b"an archive", unfinished=None):
        descriptor = os.memfd_create("source")
        os.write(descriptor, content)
        opened.append(seal(descriptor, len(content), unfinished))
        os.close(descriptor)
        return opened[-1]

    yield make
    for archive in opened:
        archive.close()


@pytest.fixture
def cache(tmp_path):
    return ArtifactCache(tmp_path / "artifacts", limit_bytes=1 << 20)


@pytest.fixture
def content_of(cache):
    def read(key, cache=cache):
        archive = cache.fetch(key)
        if archive is None:
            return None
        try:
            return os.pread(archive.descriptor, archive.nbytes + 1, 0)
        finally:
            archive.close()

    return read


def the_entry(cache, key=KEY):
    return cache.folder / key[:2] / f"{key}.artifact"


def test_there_and_back(cache, content_of, make_archive):
    assert content_of(KEY) is None
    cache.publish(KEY, make_archive(b"y" * 1000))
    assert content_of(KEY) == b"y" * 1000
    assert content_of(OTHER) is None


def test_what_is_left_to_build_is_remembered(cache, make_archive):
    cache.publish(KEY, make_archive(unfinished="it wants a device"))
    archive = cache.fetch(KEY)
    assert archive.unfinished == "it wants a device"
    archive.close()


def test_what_is_handed_out_cannot_be_changed(cache, make_archive):
    archive = make_archive()
    for attempt in (
        lambda: os.write(archive.descriptor, b"x"),
        lambda: os.ftruncate(archive.descriptor, 0),
        lambda: os.ftruncate(archive.descriptor, 99),
    ):
        with pytest.raises(PermissionError):
            attempt()


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[:-1],
        lambda whole: whole + b"x",
        lambda whole: whole[:-3] + b"???",
        lambda whole: b"{}\n" + whole,
        lambda whole: b"",
        lambda whole: b"\xff" * 10,
        lambda whole: whole.replace(b'"sha256"', b'"sha257"'),
    ],
    ids=["cut", "longer", "changed", "another header", "empty", "no header", "no digest"],
)
def test_a_damaged_entry_is_a_miss_and_goes(cache, content_of, make_archive, damage):
    cache.publish(KEY, make_archive())
    entry = the_entry(cache)
    entry.write_bytes(damage(entry.read_bytes()))
    assert content_of(KEY) is None
    assert not entry.exists()
    assert cache.usage().counters.broken == 1
    cache.publish(KEY, make_archive())
    assert content_of(KEY) == b"an archive"


def test_the_least_recently_used_go_first(tmp_path, content_of, make_archive):
    cache = ArtifactCache(tmp_path / "small", limit_bytes=3200)
    keys = [f"{number:02d}" + "0" * 62 for number in range(3)]
    for age, key in enumerate(keys):
        cache.publish(key, make_archive(b"x" * 800))
        os.utime(the_entry(cache, key), (1000 + age, 1000 + age))
    assert content_of(keys[0], cache) is not None  # used now
    cache.publish(KEY, make_archive(b"y" * 800))
    assert [content_of(key, cache) is not None for key in (*keys, KEY)] == [True, False, True, True]
    usage = cache.usage()
    assert usage.entries == 3
    assert usage.nbytes <= usage.limit_bytes
    assert usage.counters.evicted == 1


def test_what_is_larger_than_the_cache_is_not_kept(cache, content_of, make_archive):
    cache.publish(KEY, make_archive(b"x" * (2 << 20)))
    assert content_of(KEY) is None


def test_hits_and_misses_are_counted_for_all_daemons_together(cache, content_of, make_archive):
    content_of(KEY)
    cache.publish(KEY, make_archive())
    content_of(KEY, ArtifactCache(cache.folder, 1 << 20))
    content_of(KEY)
    assert cache.usage().counters == Counters(hits=2, misses=1, published=1)


def test_clearing(cache, content_of, make_archive):
    cache.publish(KEY, make_archive())
    assert cache.clear().entries == 1
    assert content_of(KEY) is None
    assert (cache.usage().entries, cache.usage().counters.misses) == (0, 1)
    assert ArtifactCache(cache.folder / "never", 1).clear().entries == 0


def test_several_daemons_publish_and_fetch_at_once(cache, content_of, make_archive):
    content = os.urandom(50_000)
    archives = [make_archive(content) for _ in range(4)]
    wrong = []

    def work(archive):
        mine = ArtifactCache(cache.folder, 1 << 20)
        for _ in range(10):
            mine.publish(KEY, archive)
            if content_of(KEY, mine) != content:
                wrong.append(archive)

    threads = [threading.Thread(target=work, args=(archive,)) for archive in archives]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert list((cache.folder / "tmp").iterdir()) == []
    assert cache.usage().counters.published == 40


def test_what_a_dead_daemon_left_is_removed(cache, make_archive):
    cache.publish(KEY, make_archive())
    left, fresh = cache.folder / "tmp" / "left", cache.folder / "tmp" / "fresh"
    for path in (left, fresh):
        path.write_text("half an entry")
    os.utime(left, (1000, 1000))
    cache.publish(OTHER, make_archive())
    assert not left.exists()
    assert fresh.exists()


def test_nobody_else_can_enter(cache, make_archive):
    cache.publish(KEY, make_archive())
    for folder in (cache.folder, cache.folder / "tmp", cache.folder / KEY[:2]):
        assert folder.stat().st_mode & 0o077 == 0


def test_a_source_that_ends_too_early():
    descriptor = os.memfd_create("short")
    try:
        with pytest.raises(OSError, match="found the end"):
            seal(descriptor, 10)
    finally:
        os.close(descriptor)
