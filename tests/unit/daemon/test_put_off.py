from kbd.daemon.put_off import PutOff
from kbd.inbox.claim import Taken


def taken(tmp_path, *names):
    return [Taken(tmp_path / name, None) for name in names]


def test_each_is_due_once_when_it_has_waited(tmp_path):
    now = 100.0
    put_off = PutOff(2.0, lambda: now)
    put_off.add(taken(tmp_path, "a", "b"))
    now += 1.5
    put_off.add(taken(tmp_path, "c"))
    assert put_off.due() == []
    now += 0.5
    assert put_off.due() == taken(tmp_path, "a", "b")
    assert len(put_off) == 1
    now += 1.5
    assert put_off.due() == taken(tmp_path, "c")
    assert put_off.due() == []


def test_one_is_taken_out_by_its_name_before_its_time(tmp_path):
    put_off = PutOff(2.0, lambda: 100.0)
    put_off.add(taken(tmp_path, "a.yaml", "b.job"))
    assert [put_off.take_out("b")] == taken(tmp_path, "b.job")
    assert (put_off.take_out("b"), len(put_off)) == (None, 1)
