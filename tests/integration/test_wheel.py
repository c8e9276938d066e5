"""The wheel, built and installed alone: every module and every file that travels is in it."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
ROOMS = ("backends", "daemon", "inbox", "outbox", "store")
IMPORT_ALL = """
import importlib, pkgutil, sys
import kbd
from pathlib import Path
site = Path(sys.argv[1])
count = 0
for module in pkgutil.walk_packages([str(site / "kbd")], "kbd."):
    if module.name.endswith(("migrations.env", ".nursery")):
        continue  # programs, not modules
    found = importlib.import_module(module.name)
    assert Path(found.__file__).is_relative_to(site), found.__file__
    count += 1
print(count)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    archive = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True
    )
    if archive.returncode != 0:
        pytest.skip("not a git checkout: what belongs to the source is unknown")
    for name in archive.stdout.split():
        path = ROOT / name
        if path.is_file() and not path.is_symlink():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(path.read_bytes())
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return next(folder.glob("*.whl"))


@pytest.mark.xdist_group("wheel")
def test_every_source_file_is_in_the_wheel(wheel):
    packed = set(zipfile.ZipFile(wheel).namelist())
    for room in ROOMS:
        wanted = {f"kbd/{path.relative_to(ROOT)}" for path in (ROOT / room).rglob("*.py")}
        assert wanted - packed == set()
        assert f"kbd/{room}/py.typed" in packed


@pytest.mark.xdist_group("wheel")
def test_the_wheel_brings_no_other_top_level_package(wheel):
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"kbd"}


@pytest.mark.xdist_group("wheel")
def test_every_module_of_the_installed_wheel_can_be_imported(wheel, tmp_path):
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    command = [sys.executable, "-P", "-c", IMPORT_ALL, str(site)]
    found = subprocess.run(
        command, capture_output=True, text=True, env={"PYTHONPATH": str(site), "PATH": "/usr/bin"}
    )
    assert found.returncode == 0, found.stderr
    assert int(found.stdout) > 100
