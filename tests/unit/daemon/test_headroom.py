import pytest

from kbd.daemon.headroom import Headroom, Room, free_bytes

MIB = 1 << 20


class Queue:
    def __init__(self, length, owed):
        self.length = length
        self.results = owed

    def queued(self):
        return self.length

    def owed(self):
        return self.results


def room(queued, *free, owed=0, limit=10, floor=256 * MIB, folders=("spool", "state")):
    sizes = dict(zip(folders, free, strict=True))
    return Headroom(
        Queue(queued, owed), folders, queue_limit=limit, min_free_bytes=floor, free=sizes.__getitem__
    ).room()


@pytest.mark.parametrize(("queued", "expected"), [(0, 10), (9, 1)])
def test_what_is_left_of_the_queue(queued, expected):
    assert room(queued, 256 * MIB, 256 * MIB) == Room(expected)


@pytest.mark.parametrize("queued", [10, 11])
def test_a_full_queue(queued):
    full = room(queued, 256 * MIB, 256 * MIB)
    assert full.jobs == 0
    assert f"{queued} jobs" in (full.why_none or "")
    assert "KBD_QUEUE_LIMIT" in (full.why_none or "")


@pytest.mark.fault("a disk is full")
@pytest.mark.fault("the outbox is read-only")
def test_results_that_the_outbox_does_not_take_fill_the_queue_too():
    assert room(3, 256 * MIB, 256 * MIB, owed=6) == Room(1)
    full = room(3, 256 * MIB, 256 * MIB, owed=7)
    assert full.jobs == 0
    assert "3 jobs are queued and 7 results wait for the outbox" in (full.why_none or "")


@pytest.mark.parametrize("free", [(255, 1000), (1000, 255)])
def test_either_disk_being_full(free):
    found = room(0, *(size * MIB for size in free))
    assert found.jobs == 0
    assert "255 MiB" in (found.why_none or "")
    assert ("spool", "state")[free.index(255)] in (found.why_none or "")


def test_no_floor_no_limit():
    assert room(0, 0, 0, floor=0).jobs == 10


def test_a_real_file_system_has_a_size(tmp_path):
    assert free_bytes(tmp_path) > 0
