"""How much of the host a kernel can use, and that an honest one gets what it needs."""

import shutil
import signal

import pytest

from kbd.daemon.executor.sandbox.layers import Layer
from kbd.daemon.executor.sandbox.plan import FOLDER, Bounds

MIB = 1 << 20

pytestmark = pytest.mark.xdist_group("isolation")


def test_a_fork_bomb_runs_against_a_wall(ground):
    ground.need(Layer.PROCESS_COUNT)
    code = """
    count = 0
    try:
        while count < 300:
            if os.fork() == 0:
                signal.pause()
            count += 1
    except OSError as error:
        tell([count, errno.errorcode[error.errno]])
    """
    count, reason = ground.tell(code, bounds=Bounds(processes=24))
    assert count < 24
    assert reason == "EAGAIN"


@pytest.mark.parametrize("folder", [FOLDER, "/tmp", "/dev/shm"])
def test_filling_the_disk_fills_only_its_own(ground, folder):
    ground.need(Layer.MOUNT)
    code = f"""
    written = 0
    with open('{folder}/hog', 'wb', buffering=0) as hog:
        outcome = 'possible'
        try:
            while written < 64 << 20:
                written += hog.write(bytes(1 << 20))
        except OSError as error:
            outcome = errno.errorcode[error.errno]
    tell([written >> 20, outcome])
    """
    bounds = Bounds(folder_bytes=8 * MIB, temporary_bytes=8 * MIB, shared_memory_bytes=8 * MIB)
    written, outcome = ground.tell(code, bounds=bounds)
    assert written <= 8
    assert outcome in ("ENOSPC", "EFBIG")


def test_many_small_files_are_bounded_as_well(ground):
    ground.need(Layer.MOUNT)
    assert ground.tell("tell(os.statvfs('.').f_files)") <= 1 << 20


def test_private_memory_is_bounded(ground):
    ground.need(Layer.PRIVATE_MEMORY)
    code = """
    try:
        hog = bytearray(4 << 30)
        tell('possible')
    except MemoryError:
        tell('refused')
    """
    layers = ground.isolation.layers - {Layer.CGROUP}
    assert ground.tell(code, bounds=Bounds(memory_bytes=3 << 30), layers=layers) == "refused"


def test_a_memory_bomb_is_killed_and_told_apart_from_a_crash(ground):
    ground.need(Layer.CGROUP)
    code = """
    import mmap
    hog = mmap.mmap(-1, 1 << 30)  # shared memory, which no limit per process counts
    for offset in range(0, 1 << 30, 4096):
        hog[offset] = 1
    tell('possible')
    """
    attack = ground.die(code, bounds=Bounds(memory_bytes=256 * MIB))
    assert attack.told is None
    assert attack.status.out_of_memory
    assert attack.status.signal == signal.SIGKILL


def test_no_core_is_dumped(ground):
    ground.need(Layer.RESOURCE_LIMITS)
    code = "import resource; tell(resource.getrlimit(resource.RLIMIT_CORE))"
    assert ground.tell(code) == [0, 0]


def test_the_runner_is_the_first_to_be_killed_for_memory(ground):
    ground.need(Layer.OOM_FIRST)
    assert ground.tell("tell(Path('/proc/self/oom_score_adj').read_text().strip())") == "1000"


# --- what honest kernels need -----------------------------------------------------------------------


def test_modules_can_be_imported_late(ground):
    code = "import colorsys, sqlite3, torch.sparse, torch.utils.benchmark; tell(colorsys.__file__)"
    assert ground.tell(code).endswith("colorsys.py")


def test_its_folder_is_private_and_always_at_the_same_place(ground):
    ground.need(Layer.MOUNT)
    code = (
        "import tempfile; tell([os.getcwd(), os.environ['HOME'], tempfile.gettempdir(), os.listdir('/tmp')])"
    )
    home = [FOLDER, FOLDER, "/tmp"]
    assert [ground.tell(code)[:3] for _ in range(2)] == [home, home]


def test_shared_memory_works(ground):
    code = """
    from multiprocessing import shared_memory
    memory = shared_memory.SharedMemory(create=True, size=4096)
    memory.buf[0] = 7
    tell(memory.buf[0])
    memory.close(); memory.unlink()
    """
    assert ground.tell(code) == 7


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")
def test_a_compiler_works_and_what_it_makes_can_be_loaded(ground):
    code = """
    Path('f.c').write_text('int f(void) { return 42; }')
    subprocess.run(['cc', '-shared', '-fPIC', '-o', 'f.so', 'f.c'], check=True)
    tell(ctypes.CDLL('./f.so').f())
    """
    assert ground.tell(code) == 42


def test_torch_computes_with_threads(ground):
    code = """
    import torch
    torch.set_num_threads(2)
    tell(float(torch.ones(1000, 1000).matmul(torch.ones(1000, 1000)).sum()))
    """
    assert ground.tell(code) == 1e9
