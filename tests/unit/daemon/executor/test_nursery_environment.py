"""What the nursery sees of the daemon's environment."""

import os

from kbd.daemon.executor.nursery_environment import FIXED, KEPT, nursery_environment


def test_only_what_is_listed_is_kept():
    given = dict.fromkeys((*KEPT, "LD_PRELOAD", "KBD_SPOOL", "PYTHONSTARTUP", "AWS_SECRET"), "/x")
    assert set(nursery_environment(given)) == set(KEPT) | set(FIXED)


def test_fixed_variables_cannot_be_overridden():
    given = {"CUDA_VISIBLE_DEVICES": "0,1", "OMP_NUM_THREADS": "64", "LANG": "C.UTF-8"}
    found = nursery_environment(given)
    assert found == FIXED | {"LANG": "C.UTF-8"}
    assert found["CUDA_VISIBLE_DEVICES"] == "", "a nursery that sees a device could initialise it"


def test_search_paths_become_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    found = nursery_environment({"PYTHONPATH": f"here{os.pathsep}{os.pathsep}/there"})
    assert found["PYTHONPATH"] == os.pathsep.join([str(tmp_path / "here"), "/there"])


def test_an_empty_search_path_does_not_become_the_working_folder():
    assert nursery_environment({"PYTHONPATH": os.pathsep}).get("PYTHONPATH", "") == ""
