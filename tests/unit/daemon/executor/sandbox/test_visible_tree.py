"""What is visible: outermost folders only, as named and as they really are."""

import os
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from kbd.daemon.executor.sandbox.visible_tree import Shown, VisibleTree, is_within, outermost

NAMES = st.lists(st.sampled_from("abc"), max_size=3).map(lambda parts: "/" + "/".join(parts))


def test_folders_in_folders_are_dropped(tmp_path):
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    assert outermost([str(inner), str(tmp_path / "outer")]) == (Shown(*[str(tmp_path / "outer")] * 2),)


def test_a_link_is_shown_under_both_names(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    assert set(outermost([str(link)])) == {Shown(str(link), str(real)), Shown(str(real), str(real))}


def test_neither_the_root_nor_what_is_missing_nor_relative_names(tmp_path):
    assert outermost(["/", "", "usr", str(tmp_path / "missing")]) == ()


def test_siblings_with_a_common_beginning_are_not_inside(tmp_path):
    for name in ("lib", "lib64"):
        (tmp_path / name).mkdir()
    assert len(outermost([str(tmp_path / "lib"), str(tmp_path / "lib64")])) == 2


@given(NAMES, NAMES)
def test_is_within_is_about_whole_names(path, folder):
    expected = Path(path).is_relative_to(folder)
    assert is_within(path, folder) == expected


def test_this_interpreter_and_kbd_are_visible():
    tree = VisibleTree.of_this_interpreter()
    for needed in (sys.prefix, os.path.realpath(sys.executable), __import__("torch").__file__, "/usr"):
        assert tree.shows(os.path.realpath(needed)), needed
    assert tree.shows(os.path.realpath(sys.modules[VisibleTree.__module__].__file__))
    for outer in tree.shown:
        assert not any(is_within(other.path, outer.path) for other in tree.shown if other != outer)


def test_system_links_are_kept_as_links():
    for link in VisibleTree.of_this_interpreter().links:
        assert os.readlink(link.path) == link.target


def test_tools_in_the_home_do_not_make_the_home_visible(tmp_path, monkeypatch):
    home = tmp_path / "home"
    (home / "bin").mkdir(parents=True)
    nvcc = home / "bin" / "nvcc"
    nvcc.write_text("#!/bin/sh\n")
    nvcc.chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", str(home / "bin"))
    assert not VisibleTree.of_this_interpreter().shows(str(home))


def test_a_compiler_that_is_a_link_is_visible_under_the_name_by_which_it_is_found(tmp_path, monkeypatch):
    """As /opt/gcc/bin/gcc, which is a link to /usr/bin/gcc."""
    real = tmp_path / "usr" / "bin" / "gcc-12"
    real.parent.mkdir(parents=True)
    real.touch(mode=0o755)
    link = tmp_path / "opt" / "gcc" / "bin" / "gcc"
    link.parent.mkdir(parents=True)
    link.symlink_to(real)
    monkeypatch.setenv("HOME", "/home/nobody")
    monkeypatch.setenv("PATH", str(link.parent))
    visible = VisibleTree.of_this_interpreter()
    assert visible.shows(str(link))
    assert visible.shows(str(real))


def test_compilers_are_visible_where_the_variables_say(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/nobody")
    for name, compiler in (("CC", "gcc"), ("CXX", "g++")):
        program = tmp_path / name / "bin" / compiler
        program.parent.mkdir(parents=True)
        program.touch(mode=0o755)
        monkeypatch.setenv(name, f"{program} -pipe")
    visible = VisibleTree.of_this_interpreter()
    assert visible.shows(str(tmp_path / "CC" / "bin" / "gcc"))
    assert visible.shows(str(tmp_path / "CXX" / "bin" / "g++"))


def test_cuda_and_libraries_are_visible_where_the_variables_say(tmp_path, monkeypatch):
    for name in ("cuda", "libraries"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "cuda"))
    monkeypatch.setenv("LD_LIBRARY_PATH", f":{tmp_path / 'libraries'}:relative")
    tree = VisibleTree.of_this_interpreter()
    assert tree.shows(str(tmp_path / "cuda"))
    assert tree.shows(str(tmp_path / "libraries"))
