"""System calls of SQLite that fail in this process, through the door that SQLite's own tests use: `xSetSystemCall`.

See https://sqlite.org/c3ref/vfs.html. Only SQLite's calls are touched, and all connections of the process.
"""

import _sqlite3
import contextlib
import ctypes
from collections.abc import Container, Iterator

import pytest

_CALL = ctypes.CFUNCTYPE(
    ctypes.c_ssize_t, ctypes.c_long, ctypes.c_long, ctypes.c_long, ctypes.c_long, use_errno=True
)
_SLEEP = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)


class _Vfs(ctypes.Structure):
    """`struct sqlite3_vfs`, version 3."""

    _fields_ = (
        *((name, ctypes.c_int) for name in ("iVersion", "szOsFile", "mxPathname")),
        *((name, ctypes.c_void_p) for name in ("pNext", "zName", "pAppData")),
        *((f"method{number}", ctypes.c_void_p) for number in range(9)),
        *(
            (name, ctypes.c_void_p)
            for name in ("xSleep", "xCurrentTime", "xGetLastError", "xCurrentTimeInt64")
        ),
        ("xSetSystemCall", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)),
        ("xGetSystemCall", ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)),
    )


def _vfs() -> _Vfs:
    try:
        find = ctypes.CDLL(_sqlite3.__file__).sqlite3_vfs_find
    except AttributeError:
        pytest.skip("SQLite is a part of this interpreter and shows nothing of itself")
    find.restype = ctypes.POINTER(_Vfs)
    return find(None).contents


@contextlib.contextmanager
def failing(names: tuple[str, ...], numbers: Container[int], error: int) -> Iterator[list[int]]:
    """Let calls fail with `error`: those with these numbers, of all calls of these names, from 1.

    SQLite does not sleep meanwhile. Yields a list that grows by the number of each call that failed.
    """
    vfs = _vfs()
    address = ctypes.addressof(vfs)
    count, failed = iter(range(1, 1_000_000)), []

    def between(original):
        def call(*arguments):
            number = next(count)
            if number not in numbers:
                return original(*arguments)
            failed.append(number)
            ctypes.set_errno(error)
            return -1

        return _CALL(call)

    known = {name: vfs.xGetSystemCall(address, name.encode()) for name in names}
    doubles = {name: between(_CALL(pointer)) for name, pointer in known.items() if pointer}
    assert doubles, f"SQLite makes none of the calls {names} here"
    sleep, vfs.xSleep = vfs.xSleep, ctypes.cast(no_sleep := _SLEEP(lambda _vfs, us: us), ctypes.c_void_p)
    for name, double in doubles.items():
        vfs.xSetSystemCall(address, name.encode(), ctypes.cast(double, ctypes.c_void_p))
    try:
        yield failed
    finally:
        for name in doubles:
            vfs.xSetSystemCall(address, name.encode(), None)
        vfs.xSleep = sleep
        del no_sleep
