import json

import pytest

from kbd.inbox.errors import UnsafeFile
from kbd.inbox.renaming import deliver_as, require_folder
from kbd.inbox.spool import Spool


@pytest.fixture
def spool(tmp_path):
    return Spool.create(tmp_path / "spool")


def test_a_file_that_declares_no_id_stays_as_it_is(spool, tmp_path):
    (tmp_path / "a.yaml").write_text("text: here\n")
    assert deliver_as(tmp_path / "a.yaml", spool, "b") == "b"
    assert (spool.inbox / "b.yaml").read_text() == "text: here\n"


def test_a_declared_id_is_replaced(spool, tmp_path):
    (tmp_path / "odd-name").write_text("{id: a, text: here}\n")
    assert deliver_as(tmp_path / "odd-name", spool, "b", "team", name="a.yaml") == "b"
    assert json.loads((spool.inbox / "team" / "b.json").read_text()) == {"id": "b", "text": "here"}


def test_a_folder(spool, tmp_path):
    folder = tmp_path / "a.job"
    folder.mkdir()
    (folder / "job.yaml").write_text("id: a\n")
    (folder / "kernel.cu").write_text("code")
    assert deliver_as(folder, spool, "b") == "b"
    assert sorted(path.name for path in (spool.inbox / "b.job").iterdir()) == ["job.json", "kernel.cu"]


def test_what_is_no_folder(tmp_path):
    (tmp_path / "link.job").symlink_to(tmp_path)
    with pytest.raises(UnsafeFile):
        require_folder(tmp_path / "link.job")
    with pytest.raises(FileNotFoundError, match="gone"):
        require_folder(tmp_path / "nothing.job")
