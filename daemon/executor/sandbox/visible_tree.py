"""What of the host a runner may see: the system, the interpreter and its packages, CUDA; read-only.

Worked out once by the nursery, from what it runs on itself.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store")
SETTINGS = (
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime"),
    *("/etc/nsswitch.conf", "/etc/OpenCL", "/etc/nvidia", "/etc/cuda"),
)
CUDA_VARIABLES = ("CUDA_HOME", "CUDA_PATH")
COMPILER_VARIABLES = ("CC", "CXX")
TOOLS = ("nvcc", "gcc", "g++", "ninja", "ccache")
ROOMS = ("backends", "daemon", "inbox", "outbox", "store")


@dataclass(frozen=True)
class Link:
    """A symbolic link to make again as it is: /bin on a host where that is usr/bin."""

    path: str
    target: str


@dataclass(frozen=True)
class Shown:
    """A folder or file to see at `path`, which is at `source` when every symbolic link is followed."""

    path: str
    source: str


@dataclass(frozen=True)
class VisibleTree:
    """Folders and files of the host by absolute paths, none of them inside another."""

    shown: tuple[Shown, ...]
    links: tuple[Link, ...]

    @classmethod
    def of_this_interpreter(cls) -> VisibleTree:
        """What Python, the packages it can import, kbd itself, compilers and CUDA need here."""
        links = tuple(Link(path, os.readlink(path)) for path in SYSTEM if Path(path).is_symlink())
        linked = {link.path for link in links}
        system = [path for path in (*SYSTEM, *SETTINGS) if path not in linked]
        return cls(outermost([*system, *_of_python(), *_of_tools()]), links)

    def shows(self, path: str) -> bool:
        """Whether something of this path, which some other rule keeps secret, is in a visible folder."""
        return any(is_within(path, shown.path) for shown in self.shown)


def _of_python() -> Iterator[str]:
    yield from (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix)
    yield str(Path(sys.executable).resolve().parent.parent)
    yield from filter(None, sys.path)
    for room in ROOMS:
        module = sys.modules.get(f"kbd.{room}")
        if module is not None and module.__file__ is not None:
            yield str(Path(module.__file__).parent)


def _of_tools() -> Iterator[str]:
    """CUDA and compilers by their variables, and where PATH finds them; libraries where LD_LIBRARY_PATH says."""
    yield from (os.environ[name] for name in CUDA_VARIABLES if os.environ.get(name))
    yield from filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep))
    home = str(Path.home())
    named = [os.environ[name].split()[0] for name in COMPILER_VARIABLES if os.environ.get(name, "").strip()]
    for tool in (*TOOLS, *named):
        if (found := shutil.which(tool)) is not None:
            for path in (Path(found), Path(found).resolve()):  # /opt/gcc/bin/gcc may be a link into /usr
                prefix = str(path.parent.parent)
                if not is_within(home, prefix):  # ~/bin/gcc must not make the whole home visible
                    yield prefix


def outermost(paths: Iterable[str]) -> tuple[Shown, ...]:
    """Those that exist, as named and as resolved, without those that lie in another; never the root itself."""
    named = {os.path.abspath(path) for path in paths if path.startswith("/") and os.path.exists(path)}
    every = sorted((named | {os.path.realpath(path) for path in named}) - {"/"})
    kept: list[str] = []
    for path in every:
        if not any(is_within(path, outer) for outer in kept):
            kept.append(path)
    return tuple(Shown(path, os.path.realpath(path)) for path in kept)


def is_within(path: str, folder: str) -> bool:
    """Whether the path is this folder or lies in it, going by the names alone."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")
