import pytest

from kbd.inbox.lookup import delivery_named
from kbd.inbox.spool import Spool


@pytest.fixture
def spool(tmp_path):
    return Spool.create(tmp_path / "spool")


@pytest.mark.parametrize("suffix", [".yaml", ".yml", ".json"])
@pytest.mark.parametrize("owner", [None, "ann"])
def test_found_by_name(spool, suffix, owner):
    folder = spool.inbox / (owner or "")
    folder.mkdir(exist_ok=True)
    (folder / f"a{suffix}").write_text("")
    found = delivery_named(spool, "a")
    assert found is not None
    assert (found.path, found.name, found.owner) == (folder / f"a{suffix}", f"a{suffix}", owner)
    assert delivery_named(spool, "b") is None


def test_a_folder_is_found_as_a_job_and_not_as_an_owner(spool):
    (spool.inbox / "a.job").mkdir()
    (spool.inbox / "a.job" / "b.yaml").write_text("")
    found = delivery_named(spool, "a")
    assert found is not None
    assert found.name == "a.job"
    assert delivery_named(spool, "b") is None


def test_what_is_no_delivery_is_not_found(spool, tmp_path):
    (spool.inbox / ".hidden").mkdir()
    (spool.inbox / ".hidden" / "a.yaml").write_text("")
    (spool.inbox / "b.yaml").symlink_to(tmp_path)
    (spool.inbox / "c.yaml").mkdir()
    assert [delivery_named(spool, name) for name in "abc"] == [None] * 3
